"""Scaling policies other than Knative's, on the real program: chosen by annotation,
seen in `ebb describe` and events, and in Lua edited while they run.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from harness import PROGRAM, Ebb, wait_until

SLOW = """
import time
def handle(request):
    time.sleep(float(request.headers.get("x-seconds", "1")))
    return "done"
"""
KUBECTL = os.environ.get("KUBECTL", "kubectl")
CLASS = "autoscaling.knative.dev/class"
WINDOW = "autoscaling.knative.dev/window"


def options(values):
    return [text for key, value in values.items() for text in ("--annotation", f"{key}={value}")]


class Load:
    """So many requests inside all the time, until the end of the block."""

    def __init__(self, ebb, name, requests, seconds):
        self.ebb, self.name, self.requests, self.seconds = ebb, name, requests, seconds
        self.answers, self.ended = [], False

    def __enter__(self):
        self.threads = [threading.Thread(target=self._call) for _ in range(self.requests)]
        for thread in self.threads:
            thread.start()
        return self

    def _call(self):
        while True:
            answer = self.ebb.get(self.name, headers={"X-Seconds": str(self.seconds)}, timeout=60)
            self.answers.append(answer.status)
            if self.ended:
                return

    def __exit__(self, *_):
        self.ended = True
        for thread in self.threads:
            thread.join()


class Policies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ebb = Ebb()
        cls.ebb.start()
        cls.policies = pathlib.Path(cls.ebb.data, "policies")

    @classmethod
    def tearDownClass(cls):
        cls.ebb.__exit__(None, None, None)

    def pods(self, name):
        return len(self.ebb.pods(name, "Warm"))

    def autoscaler(self, name):
        for one in self.ebb.list("podautoscalers"):
            if one["metadata"]["labels"].get("serving.knative.dev/service") == name:
                return one["status"]
        return {}

    def events(self, reason):
        return [one["message"] for one in self.ebb.list("events") if one["reason"] == reason]

    def test_adaptive_takes_a_burst_at_once_and_goes_to_zero(self):
        ebb = self.ebb
        ebb.deploy("burst", SLOW, "--concurrency", "1",
                   *options({CLASS: "ebb.dev/adaptive", WINDOW: "2s"}))
        wait_until(lambda: self.pods("burst") == 0, "rest after the proof")
        most = 0
        with Load(ebb, "burst", 6, 3) as load:
            wait_until(lambda: self.autoscaler("burst").get("desiredScale", 0) >= 6, "six wanted")
            end = time.monotonic() + 4
            while time.monotonic() < end:
                most = max(most, self.pods("burst"), self.autoscaler("burst")["desiredScale"])
        self.assertEqual(set(load.answers), {200})
        self.assertGreaterEqual(most, 6)
        # Erlang's spare pods for six requests inside, and none for the queue.
        self.assertLessEqual(most, 14)
        wait_until(lambda: self.pods("burst") == 0, "zero", 60)
        self.assertIn("adaptive", ebb.run("get", "revisions", "burst-00001", "-o", "yaml").stdout)

    def test_a_burst_from_zero_does_not_wait_for_a_tick(self):
        ebb = self.ebb
        ebb.deploy("quick", SLOW, "--concurrency", "1", *options({CLASS: "ebb.dev/adaptive"}))
        wait_until(lambda: self.pods("quick") == 0, "rest after the proof")
        for name in ("a", "b"):  # the second time the client's own code is warm
            started = time.monotonic()
            threads = [threading.Thread(target=ebb.get, args=("quick",),
                                        kwargs={"headers": {"X-Seconds": "1"}}) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            took = time.monotonic() - started
        # One after the other they would take four seconds, with a tick's help three.
        self.assertLess(took, 2.5, name)

    def test_a_podautoscaler_can_be_changed(self):
        ebb = self.ebb
        ebb.deploy("tuned", SLOW, *options({CLASS: "ebb.dev/average", WINDOW: "3s",
                                            "autoscaling.knative.dev/target": "1"}))
        before = ebb.run("get", "revisions", "-o", "name").stdout
        if shutil.which(KUBECTL):
            kubectl = [KUBECTL, "--kubeconfig", str(pathlib.Path(ebb.data, "kubeconfig")),
                       "--cache-dir", str(pathlib.Path(ebb.data, "kubectl"))]

            def change(patch, fails=False):
                done = subprocess.run([*kubectl, "patch", "kpa", "tuned-00001", "--type=merge",
                                       "-p", patch], text=True, capture_output=True)
                self.assertEqual(done.returncode != 0, fails, done.stderr)
                return done.stdout + done.stderr
            self.assertIn("patched", change('{"spec": {"minScale": 2}}'))
            wait_until(lambda: self.pods("tuned") == 2, "the new minimum")
            shown = subprocess.run([*kubectl, "get", "kpa", "tuned-00001"], text=True,
                                   capture_output=True, check=True).stdout
            self.assertRegex(shown, r"(?m)^tuned-00001 +2 +2 +0 +0 +True ")
            refused = change('{"spec": {"window": "0s"}}', fails=True)
            self.assertIn("autoscaling.knative.dev/window", refused)
            self.assertIn("[1s, 1h", refused)
            self.assertIn("it follows from the revision",
                          change('{"spec": {"reachability": "x"}}', fails=True))
            # As whole objects, too: what `kubectl edit` and files do.
            whole = subprocess.run([*kubectl, "get", "kpa", "tuned-00001", "-o", "yaml"],
                                   text=True, capture_output=True, check=True).stdout
            for way in ("apply", "replace"):
                done = subprocess.run([*kubectl, way, "-f", "-"], text=True, capture_output=True,
                                      input=re.sub(r'(min-scale|minScale): "2"', r'\1: "1"', whole))
                self.assertEqual(done.returncode, 0, done.stderr)
            wait_until(lambda: self.pods("tuned") == 1, "the smaller minimum")
            annotated = subprocess.run([*kubectl, "annotate", "kpa", "tuned-00001",
                                        "autoscaling.knative.dev/min-scale-"], text=True,
                                       capture_output=True)
            self.assertEqual(annotated.returncode, 0, annotated.stderr)
            wait_until(lambda: self.pods("tuned") == 0, "no minimum any more", 60)
        self.assertEqual(ebb.run("get", "revisions", "-o", "name").stdout, before)

    @unittest.skipUnless(shutil.which(KUBECTL), "no kubectl: install kubernetes-client")
    def test_a_class_that_nobody_declared_follows_what_is_set(self):
        ebb = self.ebb
        ebb.deploy("plain", SLOW)
        self.assertEqual(self.autoscaler("plain")["class"], "ebb.dev/adaptive")
        subprocess.run([KUBECTL, "--kubeconfig", str(pathlib.Path(ebb.data, "kubeconfig")),
                        "--cache-dir", str(pathlib.Path(ebb.data, "kubectl")), "annotate", "kpa",
                        "plain-00001", "autoscaling.knative.dev/metric=rps"], check=True,
                       capture_output=True)
        wait_until(lambda: self.autoscaler("plain")["class"] == "kpa.autoscaling.knative.dev",
                   "kpa, which has the metric")

    def test_deploy_warns_of_a_policy_that_is_not_there(self):
        done = self.ebb.deploy("lost", SLOW, *options({CLASS: "ebb.dev/lua",
                                                       "ebb.dev/policy-file": "lost.lua"}))
        self.assertIn("warning: its scaling policy failed: lost.lua: there is no such file",
                      done.stderr)
        row = self.ebb.run("get", "kpa", "lost-00001").stdout
        self.assertIn("POLICY FAILED: lost.lua", row)
        conditions = {one["type"]: one for one in self.autoscaler("lost")["conditions"]}
        self.assertEqual(conditions["ScalingActive"]["reason"], "PolicyFailed")
        self.assertEqual(conditions["Ready"]["status"], "False")

    def test_average_makes_exactly_what_the_rule_says(self):
        ebb = self.ebb
        ebb.deploy("average", SLOW, *options({CLASS: "ebb.dev/average", WINDOW: "3s",
                                              "autoscaling.knative.dev/target": "4"}))
        with Load(ebb, "average", 10, 8):
            wait_until(lambda: self.autoscaler("average").get("desiredScale") == 3, "ceil(10 / 4)")
            self.assertEqual(self.pods("average"), 3)
            self.assertIn("average", self.autoscaler("average")["reason"])
            self.assertIn("/ target 4.0 -> 3", ebb.run("describe", "service", "average").stdout)
        wait_until(lambda: self.pods("average") == 0, "zero", 60)

    def test_a_lua_policy_is_edited_while_it_runs(self):
        ebb = self.ebb
        policy = self.policies / "mine.lua"
        ebb.deploy("lua", SLOW, *options({CLASS: "ebb.dev/lua", WINDOW: "2s",
                                          "ebb.dev/policy-file": "mine.lua"}))
        with Load(ebb, "lua", 1, 1):
            # There is no file yet: a request is served all the same.
            wait_until(lambda: "no such file" in self.autoscaler("lua").get("error", ""), "the lack")
            self.assertEqual(self.pods("lua"), 1)
            policy.write_text('function decide(m, s) return {desired = 2, reason = "two"} end\n')
            wait_until(lambda: self.pods("lua") == 2, "two pods")
            self.assertNotIn("error", self.autoscaler("lua"))
            self.assertIn("two", ebb.run("describe", "service", "lua").stdout)

            policy.write_text('function decide(m, s) return {desired = 3, reason = "three"} end\n')
            wait_until(lambda: self.pods("lua") == 3, "three pods")

            policy.write_text("function decide(m, s)\n  return {desired = = 4}\nend\n")
            wait_until(lambda: self.autoscaler("lua").get("error"), "the complaint")
            self.assertEqual(self.pods("lua"), 3)
            shown = ebb.run("describe", "service", "lua").stdout
            self.assertIn("the policy failed: mine.lua:2:", shown)
            wait_until(lambda: "PolicyFailed" in ebb.run("describe", "service", "lua").stdout,
                       "its event")
            self.assertIn("POLICY FAILED: mine.lua:2:", ebb.run("get", "kpa").stdout)

            # What fails only when it runs keeps the amount, too.
            policy.write_text("function decide(m, s)\n  return {desired = m.none + 1}\nend\n")
            wait_until(lambda: any("arithmetic" in text for text in self.events("PolicyFailed")),
                       "the error at run time")
            self.assertEqual(self.pods("lua"), 3)

            policy.write_text('function decide(m, s) return {desired = 1, reason = "mended"} end\n')
            wait_until(lambda: self.pods("lua") == 1, "one pod")
            self.assertNotIn("error", self.autoscaler("lua"))
            wait_until(lambda: self.events("PolicyMended"), "the event that it works again")
        policy.write_text("function decide(m, s) return {desired = s.in_flight + s.waiting} end\n")
        wait_until(lambda: self.pods("lua") == 0, "zero", 60)

    def test_what_cannot_be_is_refused_when_it_is_declared(self):
        for values, said in (
                ({CLASS: "ebb.dev/lua"}, "needs ebb.dev/policy-file"),
                ({CLASS: "ebb.dev/magic"}, "must be ebb.dev/adaptive"),
                ({CLASS: "ebb.dev/adaptive", "ebb.dev/policy-share": "2"}, "[0.0001, 0.5]"),
                ({"ebb.dev/schedule": "never | always | 3"}, "annotations[ebb.dev/schedule]"),
                ({CLASS: "ebb.dev/adaptive", "autoscaling.knative.dev/scale-down-delay": "1m"},
                 "only with class kpa"),
                ({WINDOW: "0s"}, "must be in [1s"),
                ({CLASS: "kpa.autoscaling.knative.dev", WINDOW: "2s"}, "must be in [6s")):
            refused = self.ebb.deploy("wrong", SLOW, *options(values), check=False)
            self.assertEqual(refused.returncode, 1, said)
            self.assertIn(said, refused.stderr)

    def test_policy_check(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "p.lua")

            def check(text):
                file.write_text(text)
                return subprocess.run([PROGRAM, "policy", "check", str(file)], text=True,
                                      capture_output=True)
            good = check("function decide(m, s) return {desired = s.waiting} end\n")
            self.assertEqual((good.returncode, good.stderr), (0, ""))
            self.assertIn("none there, 1 waits: 1 (", good.stdout)
            self.assertTrue(good.stdout.endswith(f"{file}: ok\n"))
            bad = check("function decide(m, s)\n  return {desired = = 1}\nend\n")
            self.assertEqual((bad.returncode, bad.stdout), (1, ""))
            self.assertIn(f"Error: {file}:2:", bad.stderr)
            late = check("function decide(m, s)\n  return {desired = m.none + 1}\nend\n")
            self.assertEqual(late.returncode, 1)
            self.assertIn(f"Error: {file}:2:", late.stderr)
            self.assertIn("at rest", late.stderr)
        missing = subprocess.run([PROGRAM, "policy", "check", "/nowhere.lua"], text=True,
                                 capture_output=True)
        self.assertEqual(missing.returncode, 1)


class Limits(unittest.TestCase):
    """What the operator allows a namespace and a revision, changed while it runs."""

    def test_a_full_namespace_serves_in_turn(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "ebb.yaml")

            def limits(text):
                file.write_text("autoscaling: {%s}\n" % text)
            limits("max-pods-per-namespace: 1, max-scale-limit: 5")
            with Ebb("--config", str(file)) as ebb:
                for name in ("a", "b", "c"):
                    ebb.deploy(name, SLOW, "--concurrency", "1")
                wait_until(lambda: not ebb.pods(state="Warm"), "rest after the proofs")
                answered = []

                def call(name, seconds):
                    answer = ebb.get(name, headers={"X-Seconds": str(seconds)}, timeout=60)
                    answered.append((name, answer.status))

                def asked(name):
                    return any(one["metadata"]["name"] == name + "-00001" and
                               one["status"]["inFlight"] + one["status"]["waiting"] > 0
                               for one in ebb.list("podautoscalers"))
                threads = []
                for name, seconds in (("a", 3), ("c", 1), ("b", 0)):
                    threads.append(threading.Thread(target=call, args=(name, seconds)))
                    threads[-1].start()
                    wait_until(lambda name=name: asked(name), name + "'s request")
                # The third of them has nothing to do but to wait for the two before it.
                wait_until(lambda: "the namespace may have 1 pods" in
                           ebb.run("describe", "service", "b").stdout, "the reason")
                most = 0
                while any(thread.is_alive() for thread in threads):
                    wanted = sum(one["status"]["desiredScale"]
                                 for one in ebb.list("podautoscalers"))
                    most = max(most, wanted)
                self.assertEqual(answered, [("a", 200), ("c", 200), ("b", 200)])
                self.assertEqual(most, 1)
                self.assertIn("NamespaceFull", ebb.run("get", "events").stdout)

                limits("max-scale-limit: 2")
                ebb.signal(signal.SIGHUP)
                wait_until(lambda: any("were read again" in line for line in ebb.log), "the reload")
                with Load(ebb, "a", 6, 2):
                    wait_until(lambda: "held at max-scale-limit 2" in
                               ebb.run("get", "kpa", "a-00001").stdout, "the limit")
                    self.assertEqual(len(ebb.pods("a", "Warm")), 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
