"""SIGUSR2: the program becomes what lies at its path now. The next version serves at once,
beside what is still in flight in the one before; nobody is refused."""

import concurrent.futures
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

from harness import BUILD, PATIENCE, PROGRAM, Ebb, Load, WebSocket, wait_until
from tls_test import Certificates

WHO = "import os\nstate = os.urandom(8).hex()\ndef handle(request): return state\n"
HELD = """
import threading
go = threading.Condition()
def handle(request):
    with go:
        if request.path == '/go':
            go.notify_all()
        else:
            go.wait()
    return 'done'
"""
# Answered when the pod gets SIGUSR1.
SIGNALLED = """
import signal, threading
go = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: go.set())
def handle(request):
    go.wait()
    return request.path
"""
CALLER = """
import os, urllib.request
def handle(request):
    ask = urllib.request.Request(os.environ["EBB_GATEWAY"] + "/",
                                 headers={"Host": "who.default.localhost"})
    with urllib.request.urlopen(ask, timeout=20) as answer:
        return answer.read()
"""
SOCKET = """
async def app(scope, receive, send):
    await receive()
    await send({'type': 'websocket.accept'})
    while (message := await receive())['type'] == 'websocket.receive':
        await send({'type': 'websocket.send', 'bytes': message['bytes']})
"""


class Upgrade(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ebb-upgrade-")
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        self.program = folder.name + "/ebb"
        shutil.copy(PROGRAM, self.program)
        self.runtimes = folder.name + "/runtimes"
        os.symlink(BUILD / "runtimes", self.runtimes)

    def replace(self, put):
        put(self.program + ".new")
        os.chmod(self.program + ".new", 0o755)
        os.rename(self.program + ".new", self.program)  # as a package manager does

    def starts(self, ebb):
        return sum(1 for line in ebb.log if "is up" in line)

    def serving(self, *options, **more):
        return Ebb("--runtimes", self.runtimes, *options, program=self.program, **more)

    def upgrade(self, ebb):
        """Until the next version serves."""
        starts = self.starts(ebb)
        ebb.signal(signal.SIGUSR2)
        wait_until(lambda: self.starts(ebb) == starts + 1, "the next version")

    def hold(self, ebb, pool, count=1):
        """A request that is answered when the function hears of another one, to /go."""
        held = pool.submit(ebb.get, "held")
        wait_until(lambda: ebb.metric("ebb_requests_in_flight", service="held") == count, "a request")
        return held

    def test_nothing_is_refused_and_pods_live_on(self):
        with self.serving() as ebb:
            ebb.deploy("who", WHO)
            ebb.deploy("held", HELD)
            before, pods = ebb.get("who").text, ebb.pods("who")
            front, controller = ebb.front(), ebb.local_controller()
            with Load(ebb, "who") as load, concurrent.futures.ThreadPoolExecutor() as pool:
                for _ in range(2):
                    held = self.hold(ebb, pool)
                    self.replace(lambda path: shutil.copy(PROGRAM, path))
                    self.upgrade(ebb)
                    self.assertFalse(held.done())
                    self.assertEqual(ebb.get("held", "/go").text, "done")
                    self.assertEqual(held.result().text, "done")
                    wait_until(lambda: len(ebb.fronts()) == 1, "the front before to end")
                    seen = len(load.answers)
                    wait_until(lambda: len(load.answers) > seen + 50, "answers")
            self.assertEqual((set(load.answers), load.errors), ({200}, []))
            self.assertEqual(ebb.get("who").text, before)
            self.assertEqual(ebb.pods("who"), pods)
            self.assertNotEqual(ebb.front(), front)
            self.assertEqual(ebb.local_controller(), controller)
            os.kill(controller, signal.SIGUSR2)  # as who tells it to all of a service
            self.assertEqual(os.stat(f"/proc/{ebb.process.pid}/exe").st_ino,
                             os.stat(self.program).st_ino)
            # The Local Controller was started by the version before: it is ours all the same.
            os.kill(controller, signal.SIGKILL)
            wait_until(lambda: ebb.local_controller() != controller, "another Local Controller")
            self.assertEqual(ebb.get("who").status, 200)
            self.assertFalse(pathlib.Path(f"/proc/{controller}").exists(), "a zombie")
            self.assertEqual(ebb.stop(), 0, "".join(ebb.log))
            self.assertEqual(ebb.leftovers(), [])

    def test_a_version_that_does_not_run_changes_nothing(self):
        with self.serving() as ebb:
            ebb.deploy("who", WHO)
            before, front = ebb.get("who").text, ebb.front()
            self.replace(lambda path: pathlib.Path(path).write_text("#!/bin/sh\necho broken\nexit 3\n"))
            ebb.signal(signal.SIGUSR2)
            wait_until(lambda: "no upgrade, all stays as it is" in "".join(ebb.log), "the refusal")
            self.assertIn("would not start: broken", "".join(ebb.log))
            os.unlink(self.program)
            ebb.signal(signal.SIGUSR2)
            wait_until(lambda: "".join(ebb.log).count("no upgrade, all stays") == 2, "the refusal")
            # One that runs, but finds no longer what it needs.
            shutil.copy(PROGRAM, self.program)
            os.rename(self.runtimes, self.runtimes + ".gone")
            ebb.signal(signal.SIGUSR2)
            wait_until(lambda: "".join(ebb.log).count("no upgrade, all stays") == 3, "the refusal")
            self.assertIn("would not start: there are no runtimes in", "".join(ebb.log))
            self.assertEqual((ebb.get("who").text, ebb.front()), (before, front))
            self.assertEqual(ebb.stop(), 0)


    def test_calls_between_functions_and_of_all_protocols_go_on(self):
        certificates = Certificates(self)
        certificates.make("one", "*.default.localhost")

        def curl(ebb, url, *options):
            def call():
                done = subprocess.run(
                    ["curl", "-ksS", "--max-time", str(PATIENCE), "-o", os.devnull, "-w",
                     "%{http_code} %{http_version}", *options, url],
                    capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                return done.stdout
            return Load(ebb, "", threads=1, call=call)
        with self.serving("--config", certificates.settings("one")) as ebb:
            ebb.deploy("who", WHO)
            ebb.deploy("caller", CALLER)
            plain = "http://%s:%d" % ebb.gateway
            to = ("--resolve", f"who.default.localhost:{ebb.https[1]}:127.0.0.1")
            secure = f"https://who.default.localhost:{ebb.https[1]}"
            with Load(ebb, "caller", threads=2) as between, \
                    curl(ebb, plain, "--http2-prior-knowledge", "-H",
                         "Host: who.default.localhost") as h2c, \
                    curl(ebb, secure, "--http2", *to) as h2, \
                    curl(ebb, secure, "--http1.1", *to) as tls:
                loads = {between: 200, h2c: "200 2", h2: "200 2", tls: "200 1.1"}
                for _ in range(3):
                    self.upgrade(ebb)
                    seen = {load: len(load.answers) for load in loads}
                    wait_until(lambda: all(len(load.answers) > seen[load] + 3 for load in loads),
                               "answers of all")
            for load, answer in loads.items():
                self.assertEqual((set(load.answers), load.errors), ({answer}, []))
            self.assertEqual(ebb.stop(), 0)

    def test_requests_of_the_version_before_take_slots(self):
        with self.serving() as ebb, concurrent.futures.ThreadPoolExecutor() as pool:
            ebb.deploy("two", SIGNALLED, "--concurrency", "2", "--max", "1", "--annotation",
                       "autoscaling.knative.dev/window=6s")
            wait_until(lambda: ebb.pods("two") == [], "no pods", PATIENCE * 2)
            calls = [pool.submit(ebb.get, "two", "/1")]
            wait_until(lambda: ebb.metric("ebb_requests_in_flight", service="two") == 1, "a request")
            pod, = ebb.pods("two")
            self.upgrade(ebb)
            calls += [pool.submit(ebb.get, "two", f"/{n}") for n in (2, 3)]
            wait_until(lambda: ebb.metric("ebb_requests_waiting", service="two") == 1,
                       "one that finds no slot")
            self.assertEqual(ebb.metric("ebb_requests_in_flight", service="two"), 2)
            # A third version beside the two.
            ebb.signal(signal.SIGUSR2)
            wait_until(lambda: self.starts(ebb) == 3, "the third version")
            self.assertEqual(len(ebb.fronts()), 3)
            wait_until(lambda: ebb.metric("ebb_requests_in_flight", service="two") == 2,
                       "those of both before")
            # Nobody calls, but the pod is not idle.
            self.assertEqual(ebb.pods("two"), [pod])
            ebb.signal_pod(pod[0], signal.SIGUSR1)
            answers = [call.result() for call in calls]
            self.assertEqual([answers[0].text, sorted(a.status for a in answers)],
                             ["/1", [200, 200, 503]])
            refused = next(a for a in answers if a.status == 503)
            self.assertIn("is being replaced by a new version", refused.text)
            self.assertEqual(refused.headers["Retry-After"], "1")
            wait_until(lambda: len(ebb.fronts()) == 1, "the fronts before to end")
            wait_until(lambda: ebb.pods("two") == [], "no pods", PATIENCE * 2)

    def test_a_websocket_goes_on(self):
        with self.serving() as ebb:
            ebb.deploy("socket", SOCKET)
            socket = WebSocket(ebb.gateway, "socket.default.localhost")
            self.addCleanup(socket.close)
            self.upgrade(ebb)
            for word in (b"still", b"here"):
                socket.send(word)
                self.assertEqual(socket.receive(), word)
            socket.close()
            wait_until(lambda: len(ebb.fronts()) == 1, "the front before to end")

    def test_who_is_told_to_end_answers_what_both_have(self):
        with self.serving() as ebb, concurrent.futures.ThreadPoolExecutor() as pool:
            ebb.deploy("held", SIGNALLED)
            before = self.hold(ebb, pool)
            self.upgrade(ebb)
            after = self.hold(ebb, pool, 2)
            pod, _ = ebb.pods("held")[0]
            self.assertTrue(ebb.signal_pod(pod, 0))  # now, since the API ends first
            ebb.signal(signal.SIGTERM)
            wait_until(lambda: "draining" in "".join(ebb.log), "that it ends")
            ebb.signal_pod(pod, signal.SIGUSR1)
            self.assertEqual([before.result().text, after.result().text], ["/"] * 2)
            self.assertEqual(ebb.wait(), 0, "".join(ebb.log))
            self.assertEqual(ebb.leftovers(), [])

    def test_a_killed_one_costs_only_what_was_in_it(self):
        with self.serving() as ebb, concurrent.futures.ThreadPoolExecutor() as pool:
            ebb.deploy("held", HELD)
            before = self.hold(ebb, pool)
            pods = ebb.pods("held")
            self.upgrade(ebb)
            leaving, serving = ebb.fronts()
            # The one that serves: the next is told again what the first has in flight.
            os.kill(serving, signal.SIGKILL)
            wait_until(lambda: self.starts(ebb) == 3, "another front")
            wait_until(lambda: ebb.metric("ebb_requests_in_flight", service="held") == 1, "a request")
            # The one that leaves: its requests are lost, no other.
            after = self.hold(ebb, pool, 2)
            os.kill(leaving, signal.SIGKILL)
            self.assertRaises(OSError, before.result)
            wait_until(lambda: ebb.metric("ebb_requests_in_flight", service="held") == 1, "the other")
            self.assertEqual(ebb.get("held", "/go").text, "done")
            self.assertEqual(after.result().text, "done")
            self.assertEqual(ebb.pods("held"), pods)
            self.assertIn("has ended (by signal 9) with requests in flight", "".join(ebb.log))
            self.assertEqual(ebb.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
