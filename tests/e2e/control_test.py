"""What the control plane does on its own, and what it tells of it: events, autoscaler
state, scale by the formula, bounds, and a Local Controller that hangs."""

import base64
import concurrent.futures
import json
import math
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import threading
import time
import unittest
import urllib.parse
import urllib.request

from harness import PATIENCE, Ebb, wait_until

HELLO = "def handle(request):\n    return 'hello'\n"
# Answers when it is told to, or after a while.
SLOW = """
import time
def handle(request):
    time.sleep(float(request.path[1:] or 0))
    return 'done'
"""
EATER = """
def handle(request):
    return str(len(bytearray(512 << 20)))
"""
WINDOW = ("--annotation", "autoscaling.knative.dev/window=6s")


def annotation(key, value):
    return "--annotation", f"autoscaling.knative.dev/{key}={value}"


def call_api(ebb, path, body=None):
    """A GET (or POST) of the API as any client with the kubeconfig does it."""
    config = pathlib.Path(ebb.data, "kubeconfig").read_text()
    server = re.search(r'server"?:\s*"?([^"\s]+)', config)[1]
    token = re.search(r'token"?:\s*"?([^"\s]+)', config)[1]
    context = None
    if authority := re.search(r'certificate-authority-data"?:\s*"?([^"\s]+)', config):
        context = ssl.create_default_context(cadata=base64.b64decode(authority[1]).decode())
    request = urllib.request.Request(
        server + path, json.dumps(body).encode() if body else None,
        {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:
        return json.load(answer)


def events_of(ebb, kind, name):
    """reason -> event, of one object, asked for as kubectl describe does."""
    selector = f"involvedObject.kind={kind},involvedObject.name={name}"
    if kind != "Node":
        selector += ",involvedObject.namespace=default"
    selector = urllib.parse.quote(selector)
    found = call_api(ebb, f"/api/v1/namespaces/default/events?fieldSelector={selector}&limit=500")
    return {event["reason"]: event for event in found["items"]}


def scale_of(ebb, revision):
    return call_api(ebb, "/apis/autoscaling.internal.knative.dev/v1alpha1/namespaces/default/"
                         f"podautoscalers/{revision}")["status"]


class Control(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ebb = Ebb().__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)

    def test_events_and_status_tell_the_story_of_a_function(self):
        ebb = self.ebb
        ebb.deploy("story", HELLO, *WINDOW)
        self.assertEqual(ebb.get("story").status, 200)
        scale = scale_of(ebb, "story-00001")
        self.assertEqual(scale["desiredScale"], 1)
        self.assertRegex(scale["decidedAt"], r"^\d{4}-\d\d-\d\dT")

        def status():
            revision = [r for r in ebb.list("revisions") if r["metadata"]["name"] == "story-00001"]
            return revision[0]["status"]

        def active():
            return {c["type"]: c["status"] for c in status()["conditions"]}.get("Active")
        wait_until(lambda: status().get("actualReplicas") == 1 and active() == "True", "Active")
        wait_until(lambda: status().get("actualReplicas", 0) == 0 and active() == "False",
                   "not Active any more")
        events = events_of(ebb, "Service", "story")
        for reason in ("RevisionCreated", "RevisionReady", "TrafficSwitched", "ScaledFromZero",
                       "ScaledToZero"):
            self.assertIn(reason, events)
            self.assertEqual(events[reason]["type"], "Normal")
        self.assertIn("story-00001", events["TrafficSwitched"]["message"])
        self.assertIn("ScaledToZero", events_of(ebb, "Revision", "story-00001"))
        self.assertEqual(events_of(ebb, "Service", "nobody"), {})
        nodes = events_of(ebb, "Node", "local")
        self.assertIn("NodeReady", nodes)

    def test_the_command_line_shows_them(self):
        ebb = self.ebb
        ebb.deploy("shown", HELLO)
        self.assertIn("shown-00001", ebb.run("get", "podautoscalers").stdout)
        self.assertIn("RevisionReady", {event["reason"] for event in ebb.list("events")})

    @unittest.skipUnless(shutil.which("kubectl"), "no kubectl")
    def test_kubectl_describes_a_service_with_its_events(self):
        ebb = self.ebb
        ebb.deploy("described", HELLO)

        def kubectl(*arguments):
            result = subprocess.run(
                ["kubectl", *arguments], text=True, capture_output=True, timeout=PATIENCE * 3,
                env={**os.environ, "KUBECONFIG": ebb.data + "/kubeconfig", "HOME": ebb.data})
            self.assertEqual(result.returncode, 0, result.stderr)
            return result.stdout
        text = kubectl("describe", "ksvc", "described")
        self.assertRegex(text, r"(?s)Events:.*TrafficSwitched .*traffic goes 100% to described-00001")
        self.assertIn("described-00001", kubectl("get", "kpa"))

    def test_a_failed_start_and_an_oom_kill_are_events(self):
        ebb = self.ebb
        self.assertNotEqual(ebb.deploy("broken", "def handle(:\n", check=False).returncode, 0)
        failed = wait_until(lambda: events_of(ebb, "Service", "broken").get("RevisionFailed"),
                            "an event of the failed revision")
        self.assertEqual(failed["type"], "Warning")
        self.assertIn("SyntaxError", failed["message"])
        ebb.deploy("model", EATER)
        spec = ebb.service("model")["spec"]
        spec["template"]["spec"]["containers"][0]["resources"] = {"limits": {"memory": "64Mi"}}
        spec["template"]["metadata"].pop("name", None)
        call_api(ebb, "/apis/serving.knative.dev/v1/namespaces/default/services", {
            "apiVersion": "serving.knative.dev/v1", "kind": "Service",
            "metadata": {"name": "eater"}, "spec": {"template": spec["template"]}})
        wait_until(lambda: ebb.condition("eater")["status"] == "True", "ready")
        # Its first request may kill it before the news that it is ready is out.
        self.assertIn(ebb.get("eater").status, (502, 503))
        wait_until(lambda: "OOMKilled" in events_of(ebb, "Service", "eater"), "the OOM kill")

    def test_it_scales_as_the_formula_says(self):
        ebb = self.ebb
        ebb.deploy("formula", SLOW, *WINDOW, "--concurrency", "2", "--annotation",
                   "autoscaling.knative.dev/class=kpa.autoscaling.knative.dev")
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            calls = [threads.submit(ebb.get, "formula", "/7") for _ in range(4)]
            # Four in the system, 70 % of two a pod: three pods.
            def settled():  # while the average rises it may want two
                scale = scale_of(ebb, "formula-00001")
                return (scale["desiredScale"], scale["inFlight"]) == (3, 4) and len(ebb.pods("formula", "Warm")) == 3
            wait_until(settled, "three pods")
            self.assertEqual([call.result().status for call in calls], [200] * 4)
            self.assertEqual(len(ebb.pods("formula", "Warm")), 3)
        wait_until(lambda: ebb.pods("formula") == [], "idle pods go away", PATIENCE + 15)

    def test_requests_per_second_are_a_metric(self):
        ebb = self.ebb
        ebb.deploy("rps", HELLO, *WINDOW, *annotation("metric", "rps"), *annotation("target", "10"))
        stop = threading.Event()

        def load():
            while not stop.wait(0.05):
                self.assertEqual(ebb.get("rps").status, 200)
        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: len(ebb.pods("rps", "Warm")) >= 2, "more pods")
            scale = wait_until(lambda: (s := scale_of(ebb, "rps-00001"))["panic"] and s,
                               "a burst that outran its pod")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        # The most that was wanted in the panic, at 70 % of the target.
        self.assertLessEqual(scale["desiredScale"], math.ceil(42 / 7))
        self.assertGreater(scale["requestsPerSecond"], 7)

    def test_minimum_maximum_and_initial_scale(self):
        ebb = self.ebb
        ebb.deploy("least", HELLO, *WINDOW, "--min", "2")
        wait_until(lambda: len(ebb.pods("least", "Warm")) == 2, "two pods")
        ebb.deploy("most", SLOW, *WINDOW, "--concurrency", "1", "--max", "2")
        with concurrent.futures.ThreadPoolExecutor(5) as threads:
            calls = [threads.submit(ebb.get, "most", "/2") for _ in range(5)]
            seen = 0
            while not all(call.done() for call in calls):
                seen = max(seen, len(ebb.pods("most", "Warm")))
            self.assertEqual(seen, 2)
            self.assertEqual([call.result().status for call in calls], [200] * 5)
        # Nothing is started, so that nothing can fail to.
        ebb.deploy("zero", "def handle(:\n", *annotation("initial-scale", "0"))
        self.assertEqual(ebb.condition("zero")["status"], "True")
        self.assertEqual(ebb.get("zero").status, 503)
        self.assertEqual(len(ebb.pods("least", "Warm")), 2)

    def test_pools_end_with_the_last_service_of_their_runtime(self):
        ebb = self.enterContext(Ebb())
        self.assertEqual(ebb.pods(), [])
        ebb.deploy("only", HELLO)
        wait_until(lambda: ebb.pods(state="Cold"), "a pool")
        ebb.run("delete", "service", "only")
        wait_until(lambda: ebb.pods() == [], "no pool")

    def test_a_local_controller_that_hangs_is_replaced(self):
        ebb = self.enterContext(Ebb())
        ebb.deploy("lasting", HELLO)
        self.assertEqual(ebb.get("lasting").status, 200)
        hung = ebb.local_controller()
        os.kill(hung, signal.SIGSTOP)
        start = time.monotonic()
        wait_until(lambda: ebb.local_controller() != hung, "another one")
        # Five seconds until it is noticed; the rest is for a busy machine.
        self.assertLess(time.monotonic() - start, 5 + PATIENCE / 4)
        self.assertEqual(ebb.get("lasting").status, 200)
        self.assertIn("NodeLost", events_of(ebb, "Node", "local"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
