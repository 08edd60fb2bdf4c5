"""A full disk, slow clients, answers and waits beyond their bounds: what each gets, and
where it can be seen. Nothing else is touched."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import resource
import selectors
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from harness import PATIENCE, Ebb, wait_until

SHORT_WINDOW = ("--annotation", "autoscaling.knative.dev/window=6s")

GOOD = "def handle(request): return 'fine'\n"


def host(name):
    return f"Host: {name}.default.localhost\r\n".encode()


def exchange(address, data, timeout=PATIENCE):
    """All that comes back until the server closes."""
    with socket.create_connection(address, timeout=timeout) as s:
        s.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := s.recv(65536):
                answer += piece
        return answer


class Refused(unittest.TestCase):
    """Requests that no function gets."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        os.chmod(folder.name, 0o777)
        cls.log = pathlib.Path(folder.name, "access.log")
        cls.ebb = Ebb("--access-log", str(cls.log)).__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)
        cls.ebb.deploy("counts", "n = [0]\ndef handle(request):\n    n[0] += 1\n"
                                 "    return str(n[0])\n", "--max", "1", "--min", "1")

    def logged(self, request_id):
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["id"] == request_id]

    def test_each_is_explained_counted_and_in_the_access_log(self):
        before = int(self.ebb.get("counts").text)
        a_host = host("counts")
        chunked = b"Transfer-Encoding: chunked\r\n"
        cases = {
            "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, b"Host"),
            "both lengths": (b"POST / HTTP/1.1\r\n" + a_host + b"Content-Length: 5\r\n" + chunked +
                             b"\r\n0\r\n\r\n", 400, b""),
            "two lengths": (b"POST / HTTP/1.1\r\n" + a_host + b"Content-Length: 5\r\n"
                            b"Content-Length: 6\r\n\r\nhello!", 400, b""),
            "bare line feeds": (b"GET / HTTP/1.1\n" + a_host.replace(b"\r", b"") + b"\n", 400, b""),
            "a space before the colon": (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, b""),
            "a folded field": (b"GET / HTTP/1.1\r\n" + a_host + b"X: a\r\n b\r\n\r\n", 400, b""),
            "an unknown coding": (b"POST / HTTP/1.1\r\n" + a_host +
                                  b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, b""),
            "a later version": (b"GET / HTTP/2.0\r\n" + a_host + b"\r\n", 505, b""),
            "a head too large": (b"GET / HTTP/1.1\r\n" + a_host + b"X: " + b"x" * 40000 +
                                 b"\r\n\r\n", 431, b""),
            "a body too large": (b"POST / HTTP/1.1\r\n" + a_host +
                                 b"Content-Length: 104857601\r\n\r\n", 413, b"104857600 bytes"),
        }
        counted = self.ebb.metric("ebb_requests_unrouted_total", reason="bad_request")
        for name, (data, status, text) in cases.items():
            with self.subTest(name):
                answer = exchange(self.ebb.gateway, data)
                self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), answer)
                self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)
                self.assertIn(text, answer)
                found = re.search(rb"(?i)x-request-id: (\S+)", answer)
                self.assertTrue(found, answer)
                lines = wait_until(lambda i=found[1].decode(): self.logged(i), "its line")
                self.assertEqual([line["status"] for line in lines], [status])
                self.assertEqual(lines[0]["refused"], "bad_request")
        self.assertEqual(self.ebb.metric("ebb_requests_unrouted_total", reason="bad_request"),
                         counted + len(cases))
        self.assertEqual(int(self.ebb.get("counts").text), before + 1, "no function saw them")

    def test_a_chunked_body_that_is_too_large(self):
        self.ebb.deploy("reads", "def handle(request): return str(len(request.body))\n")
        piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        with socket.create_connection(self.ebb.gateway, timeout=PATIENCE * 3) as s:
            s.sendall(b"POST / HTTP/1.1\r\n" + host("reads") +
                      b"Transfer-Encoding: chunked\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                for _ in range(101):
                    s.sendall(piece)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while got := s.recv(65536):
                    answer += got
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer[:300])
        self.assertIn(b"104857600 bytes", answer)

    def test_a_full_queue(self):
        """One pod that holds one request, and more wait than may: 503 at once."""
        self.ebb.deploy("one", "import time\ndef handle(request):\n    time.sleep(300)\n",
                        "--concurrency", "1", "--max", "1", "--timeout", "120s")
        beyond = 20
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if most < 11000:
            self.skipTest(f"only {most} descriptors")
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        clients = []
        try:
            with selectors.DefaultSelector() as answers:
                for _ in range(1 + 10_000 + beyond):
                    s = socket.create_connection(self.ebb.gateway, timeout=PATIENCE * 3)
                    clients.append(s)
                    s.sendall(b"GET / HTTP/1.1\r\n" + host("one") + b"\r\n")
                    answers.register(s, selectors.EVENT_READ)
                refused = []
                while len(refused) < beyond and (ready := answers.select(PATIENCE)):
                    for key, _ in ready:
                        refused.append(key.fileobj.recv(4096))
                        answers.unregister(key.fileobj)
            self.assertEqual(len(refused), beyond)
            for answer in refused:
                self.assertTrue(answer.startswith(b"HTTP/1.1 503 "), answer)
                self.assertRegex(answer.lower(), rb"\r\nretry-after: \d+\r\n")
                self.assertIn(b"overloaded", answer)
            self.assertEqual(self.ebb.get("counts").status, 200, "others are served")
            self.assertEqual(self.ebb.metric("ebb_requests_waiting", service="one"), 10_000)
        finally:
            for s in clients:
                s.close()
        wait_until(lambda: self.ebb.metric("ebb_requests_waiting", service="one") == 0,
                   "who left waits no more", PATIENCE * 3)
        self.ebb.run("delete", "service", "one")


class Timeouts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ebb = Ebb().__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)

    def serve(self, name, source, **timeouts):
        """With the timeouts of a revision's spec, in seconds."""
        self.ebb.deploy(name, source)
        service = self.ebb.service(name)
        service["spec"]["template"]["spec"].update(timeouts)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({k: service[k] for k in ("apiVersion", "kind", "spec")} |
                      {"metadata": {"name": name, "annotations": service["metadata"].get(
                          "annotations", {})}}, file)
            file.flush()
            self.ebb.run("apply", "-f", file.name)
        wait_until(lambda: self.ebb.condition(name)["status"] == "True" and
                   self.ebb.service(name)["status"]["latestReadyRevisionName"].endswith("-00002"),
                   "the second revision")

    def took(self, call):
        began = time.monotonic()
        result = call()
        return time.monotonic() - began, result

    def described(self, name):
        return self.ebb.run("describe", "service", name).stdout

    def test_response_start(self):
        # Shorter than the whole was stored before: it may be set all the same.
        self.serve("start", "import time\ndef handle(request): time.sleep(60)\n",
                   timeoutSeconds=20, responseStartTimeoutSeconds=1)
        took, answer = self.took(lambda: self.ebb.get("start"))
        self.assertEqual(answer.status, 504)
        self.assertIn("did not begin to answer within 1 s (responseStartTimeoutSeconds)",
                      answer.text)
        self.assertGreaterEqual(took, 1)
        self.assertLess(took, 15)
        wait_until(lambda: "RequestTimedOut" in self.described("start"), "the event")

    def test_the_whole(self):
        self.serve("whole", "import time\ndef handle(request): time.sleep(60)\n",
                   timeoutSeconds=1)
        took, answer = self.took(lambda: self.ebb.get("whole"))
        self.assertEqual(answer.status, 504)
        self.assertIn("within 1 s", answer.text)
        self.assertGreaterEqual(took, 1)
        self.assertLess(took, 15)

    def test_idle(self):
        self.serve("idle", "import time\ndef handle(request):\n    yield 'a'\n    time.sleep(60)\n",
                   timeoutSeconds=50, idleTimeoutSeconds=1)
        request = b"GET / HTTP/1.1\r\n" + host("idle") + b"\r\n"
        took, answer = self.took(lambda: exchange(self.ebb.gateway, request, timeout=40))
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        self.assertNotIn(b"\r\n0\r\n", answer, "cut, not ended")
        self.assertGreaterEqual(took, 1)
        self.assertLess(took, 30)
        wait_until(lambda: "(idleTimeoutSeconds)" in self.described("idle"), "the event")

    def test_a_client_that_stops_reading_holds_a_pod_no_longer_than_its_time(self):
        self.serve("stalled", "def handle(request):\n    for _ in range(2000):\n"
                              "        yield b'x' * 100000\n", timeoutSeconds=2)
        s = socket.create_connection(self.ebb.gateway, timeout=PATIENCE)
        try:
            began = time.monotonic()
            s.sendall(b"GET / HTTP/1.1\r\n" + host("stalled") + b"\r\n")
            wait_until(lambda: self.ebb.metric("ebb_requests_total", service="stalled") == 1,
                       "its place is free again", 25)
            self.assertGreaterEqual(time.monotonic() - began, 2)
            self.assertLess(time.monotonic() - began, 25, "not the 30 s for a client")
        finally:
            s.close()

    def test_bad_answers_can_be_seen(self):
        self.ebb.deploy("garbage", {"run": f"""#!/usr/bin/python3
import os, socket
s = socket.create_server(('', int(os.environ['PORT'])))
while True:
    c, _ = s.accept()
    path = (c.recv(65536).split(b' ') + [b''] * 2)[1]  # whoever only connects says nothing
    if path == b'/garbage': c.sendall(b'no HTTP\\r\\n\\r\\n')
    if path == b'/large': c.sendall(b'HTTP/1.1 200 OK\\r\\nX: ' + b'x' * 100000 + b'\\r\\n\\r\\n')
    c.close()
"""}, runtime="exec")
        garbage = self.ebb.get("garbage", "/garbage")
        self.assertEqual((garbage.status, "not valid HTTP" in garbage.text), (502, True))
        wait_until(lambda: "BadAnswer" in self.described("garbage"), "the event")
        large = self.ebb.get("garbage", "/large")
        self.assertEqual(large.status, 502)
        self.assertIn("head is larger than 32768 bytes", large.text)
        took, nothing = self.took(lambda: self.ebb.get("garbage", "/nothing"))
        self.assertEqual(nothing.status, 502)
        self.assertIn("closed the connection without an answer", nothing.text)
        wait_until(lambda: "Last failure" in self.described("garbage"), "where a user looks first")


class Killed(unittest.TestCase):
    def test_a_pod_that_loads_costs_its_callers_nothing(self):
        with Ebb() as ebb, concurrent.futures.ThreadPoolExecutor(9) as threads:
            def let_load(calls):
                while not all(call.done() for call in calls):
                    for pod, _ in ebb.pods("slow"):
                        ebb.signal_pod(pod, signal.SIGUSR1)

            let_load([threads.submit(
                ebb.deploy, "slow", "import signal\n"
                "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
                "print('loads', flush=True)\n"
                "signal.sigwait([signal.SIGUSR1])\n"
                "def handle(request): return request.body\n", *SHORT_WINDOW)])
            wait_until(lambda: ebb.pods("slow") == [], "no pods", PATIENCE * 2)

            def loads():
                return ebb.run("logs", "slow").stdout.count("loads")
            before = loads()
            calls = [threads.submit(ebb.get, "slow", method="POST", body=b"data")
                     for _ in range(8)]
            wait_until(lambda: loads() > before, "a pod that loads")
            killed, _ = ebb.pods("slow")[0]
            self.assertTrue(ebb.signal_pod(killed, signal.SIGKILL))
            let_load(calls)
            self.assertEqual([call.result().text for call in calls], ["data"] * 8)
            self.assertNotIn(killed, [name for name, _ in ebb.pods("slow")])
            self.assertIn("killed from outside", ebb.run("describe", "service", "slow").stdout)


class Deployments(unittest.TestCase):
    """What somebody does after a first mistake."""

    def test_each_try_is_judged_by_itself(self):
        with Ebb() as ebb:
            for word in ("FIRST", "SECOND", "THIRD"):
                tried = ebb.deploy("f", f"raise ValueError('{word}')\n", check=False)
                self.assertEqual(tried.returncode, 1)
                self.assertIn(f"ValueError: {word}", tried.stderr)
                shown = ebb.run("describe", "service", "f").stdout
                self.assertIn(f"ValueError: {word}", shown.split("Last failure")[1])
                self.assertIn(f"ValueError: {word}", ebb.get("f").text)
            good = ebb.deploy("f", GOOD)
            self.assertIn("http://f.default.localhost", good.stdout)
            self.assertEqual(ebb.get("f").text, "fine")
            self.assertNotIn("Last failure\n  f-0000", ebb.run("describe", "service", "f").stdout)


class NoDescriptors(unittest.TestCase):
    MOST = 4200  # little more than a pod wants to be allowed

    def test_who_is_connected_is_served_and_others_wait(self):
        """The front runs out of file descriptors, and gets them back."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limits[1] < self.MOST + 1000:
            self.skipTest(f"only {limits[1]} descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        with Ebb(prefix=("prlimit", f"--nofile={self.MOST}:{self.MOST}")) as ebb, \
                contextlib.ExitStack() as stack:
            ebb.deploy("here", "def handle(request): return 'here'\n", "--min", "1", "--max", "1",
                       "--concurrency", "50")
            ebb.deploy("asleep", "def handle(request): return 'awake'\n")
            old = ebb.connection()
            self.assertEqual(ebb.get("here", connection=old).text, "here")
            front = ebb.front()
            crowd = []
            for _ in range(self.MOST + 200):
                s = stack.enter_context(socket.create_connection(ebb.gateway, PATIENCE))
                s.sendall(b"GET / HTTP/1.1\r\n" + host("here") + b"\r\n")
                crowd.append(s)
            wait_until(lambda: "cannot accept connections for now" in "".join(ebb.log),
                       "a word of it in the log")
            for _ in range(20):
                self.assertEqual(ebb.get("here", connection=old).text, "here")
            # A cold start needs descriptors too: it is answered, one way or the other.
            self.assertIn(ebb.get("asleep", connection=old).status, (200, 502, 503))
            for s in crowd[:1000]:
                s.close()
            for s in crowd[1000:]:  # who could not come in has waited, and was not refused
                self.assertTrue(s.recv(4096).startswith(b"HTTP/1.1 200 "))
            wait_until(lambda: ebb.get("asleep").text == "awake", "a cold start")
            self.assertEqual(ebb.front(), front, "it has not been started anew")
            old.close()

    def test_the_local_controller_makes_no_pods_until_it_has_some_again(self):
        cold = 4
        with Ebb("--pool", str(cold)) as ebb:
            ebb.deploy("here", "def handle(request): return 'here'\n", "--min", "1", "--max", "1",
                       "--concurrency", "50")
            names = [f"asleep-{i}" for i in range(cold + 8)]
            for name in names:
                ebb.deploy(name, GOOD, *SHORT_WINDOW)

            def at_rest():
                pods = ebb.pods()
                return len(pods) == cold + 1 and len(ebb.pods(state="Cold")) == cold
            wait_until(at_rest, "a full pool")
            controller, front = ebb.local_controller(), ebb.front()

            def held():
                groups = [p for p in ebb.cgroup_folder().iterdir() if p.is_dir()]
                sockets = list(pathlib.Path(ebb.data, "run/pods").iterdir())
                return (len(os.listdir(f"/proc/{controller}/fd")), len(groups), len(sockets))
            before = held()
            # The second is of one that was begun with the last ones.
            shortage = "the Local Controller is short of file descriptors|Too many open files"
            limits = resource.prlimit(controller, resource.RLIMIT_NOFILE)

            def limit(most):
                resource.prlimit(controller, resource.RLIMIT_NOFILE, (most, limits[1]))

            def call(name):
                start = time.monotonic()
                answer = ebb.get(name)
                self.assertLess(time.monotonic() - start, PATIENCE / 2)
                return answer

            def call_all():
                with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
                    return list(pool.map(call, names))

            def recovers():
                start = time.monotonic()
                limit(limits[0])
                for name in names:
                    wait_until(lambda: ebb.get(name).status == 200, f"{name} starts again")
                self.assertLess(time.monotonic() - start, PATIENCE / 2)
                wait_until(at_rest, "a full pool", PATIENCE * 3)
                wait_until(lambda: held() == before, f"as much as before, {before}")

            # Who has a pod keeps it, and cold ones are given out; others are not made, beyond one
            # or two for which numbers between those in use suffice.
            limit(1 + max(int(name) for name in os.listdir(f"/proc/{controller}/fd")) + 8)
            answers = call_all()
            self.assertGreaterEqual([a.status for a in answers].count(200), cold, answers)
            self.assertEqual({a.status for a in answers}, {200, 503}, answers)
            for answer in answers:
                if answer.status == 503:
                    self.assertRegex(answer.text, shortage)
                    self.assertIsNotNone(answer.headers["Retry-After"])
            self.assertEqual(ebb.get("here").text, "here")
            self.assertIn("PoolFailed", ebb.run("get", "events").stdout)
            recovers()

            # Not even one is left for a moment.
            limit(3)
            answers = call_all()
            self.assertEqual({a.status for a in answers}, {503}, answers)
            for answer in answers:
                self.assertRegex(answer.text, shortage)
            for _ in range(20):
                self.assertEqual(ebb.get("here").text, "here")
            os.kill(front, signal.SIGKILL)  # the next one must wait for the Local Controller
            wait_until(lambda: "a front has to wait" in "".join(ebb.log), "a word of it in the log")
            recovers_at = time.monotonic()
            limit(limits[0])
            wait_until(lambda: ebb.front() != front and ebb.get("here").text == "here", "the next front")
            self.assertLess(time.monotonic() - recovers_at, PATIENCE / 2)
            recovers()
            self.assertEqual(ebb.local_controller(), controller)
            self.assertEqual(ebb.stop(), 0)
            self.assertEqual(ebb.leftovers(), [])


class NoProcesses(unittest.TestCase):
    def limited(self):
        """A command to run Ebb with and what finds the file that limits its processes. With cgroup
        v1 those of all its parts, as a service's TasksMax does; v2 asks only the group that a pod
        is born into."""
        found = re.search(r"^\d+:pids:(.*)$", pathlib.Path("/proc/self/cgroup").read_text(), re.M)
        if not found:
            return (), lambda ebb: ebb.cgroup_folder() / "pids.max"
        folder = pathlib.Path("/sys/fs/cgroup/pids" + found[1], f"test-{os.getpid()}")
        folder.mkdir()
        self.addCleanup(folder.rmdir)
        join = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
        return ("sh", "-c", join, str(folder)), lambda ebb: folder / "pids.max"

    def test_warm_functions_go_on_and_the_others_come_back(self):
        prefix, find_limit = self.limited()
        with Ebb("--pool", "1", prefix=prefix) as ebb:
            ebb.deploy("here", GOOD, "--min", "1")
            asleep = [f"asleep-{i}" for i in range(4)]
            for name in asleep:
                ebb.deploy(name, GOOD, *SHORT_WINDOW)
            wait_until(lambda: not any(ebb.pods(name) for name in asleep), "no pods",
                       PATIENCE * 2)
            wait_until(lambda: ebb.pods(state="Cold"), "a cold pod")
            front, controller = ebb.front(), ebb.local_controller()
            self.assertEqual(ebb.get("here").text, "fine")
            limit = find_limit(ebb)
            limit.write_text("1")

            answers = [ebb.get(name) for name in asleep]
            statuses = [answer.status for answer in answers]
            self.assertEqual(statuses[0], 200, "the cold pod is given out as ever")
            self.assertEqual(statuses[-1], 503, answers)
            self.assertIn("cannot clone a pod: Resource temporarily unavailable", answers[-1].text)
            self.assertIn("retry-after", {name.lower() for name in answers[-1].headers})
            for _ in range(50):
                self.assertEqual(ebb.get("here").text, "fine")
            self.assertRegex(ebb.run("get", "events").stdout,
                             "PoolFailed.*Resource temporarily unavailable")
            self.assertIn("cannot start pods of runtime python", "".join(ebb.log))
            # However long it lasts, who comes is told soon, and it goes on being tried.
            until = time.monotonic() + 8
            while time.monotonic() < until:
                began = time.monotonic()
                self.assertEqual(ebb.get(asleep[-1]).status, 503)
                self.assertLess(time.monotonic() - began, 5)
                self.assertEqual(ebb.get("here").text, "fine")

            limit.write_text("max")
            began = time.monotonic()
            wait_until(lambda: ebb.get(asleep[-1]).text == "fine", "a cold start")
            self.assertLess(time.monotonic() - began, 6)
            wait_until(lambda: ebb.pods(state="Cold"), "a full pool")
            self.assertEqual((ebb.front(), ebb.local_controller()), (front, controller),
                             "neither has been started anew")


class FullDisk(unittest.TestCase):
    def test_what_is_deployed_goes_on(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "none", folder],
                           check=True)
            try:
                self.fill_and_free(folder)
            finally:
                subprocess.run(["umount", "--lazy", folder], check=True)

    def fill_and_free(self, folder):
        data = folder + "/data"
        filler = pathlib.Path(folder, "filler")
        os.mkdir(data)
        with Ebb(data=data) as ebb:
            ebb.deploy("hello", GOOD)
            with open(filler, "wb", buffering=0) as file:
                with self.assertRaises(OSError):
                    while True:
                        file.write(b"x" * 65536)
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"x")
            large = "# " + "x" * 3_000_000 + "\n" + GOOD
            failed = ebb.deploy("more", large, check=False)
            self.assertEqual(failed.returncode, 1)
            self.assertRegex(failed.stderr, "No space left|disk is full|full")
            self.assertEqual(ebb.get("hello").text, "fine")
            refused = ebb.run("delete", "service", "hello", check=False)
            if refused.returncode != 0:  # with luck there is a page left
                self.assertIn("make room on the disk of", refused.stderr)
                self.assertEqual(ebb.get("hello").text, "fine")
            self.assertEqual(ebb.stop(), 0)
            ebb.listen = ("127.0.0.1:0", ebb.api)  # as is in the kubeconfig
            ebb.start()  # still full
            if refused.returncode != 0:
                self.assertEqual(ebb.get("hello", timeout=PATIENCE * 2).text, "fine")
            filler.unlink()
            ebb.deploy("more", large)
            self.assertEqual(ebb.get("more").text, "fine")


if __name__ == "__main__":
    unittest.main(verbosity=2)
