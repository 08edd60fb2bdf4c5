"""`ebb up --config`: what a settings file does, at the start and on SIGHUP."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import unittest
import urllib.request

from harness import PROGRAM, Ebb, wait_until

HELLO = "def handle(request): return 'hi'\n"


class Settings(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ebb-settings-")
        self.addCleanup(self.folder.cleanup)
        os.chmod(self.folder.name, 0o777)  # the front opens the access log anew in it
        self.file = pathlib.Path(self.folder.name, "ebb.yaml")

    def test_the_file_is_used_and_read_again(self):
        access_log = pathlib.Path(self.folder.name, "access.log")
        self.file.write_text(f"domain: example.test\npool: 2\naccessLog: {access_log}\n"
                             "metrics: 127.0.0.1:0\nserverTiming: all\n")
        with Ebb("--config", str(self.file)) as ebb:
            ebb.deploy("set", HELLO)
            answer = ebb.get("set.default.example.test")
            self.assertEqual((answer.status, answer.text), (200, "hi"))
            self.assertIn("dur=", answer.headers["Server-Timing"])
            wait_until(lambda: len(ebb.pods(state="Cold")) == 2, "two cold pods")

            def line():
                text = access_log.read_text()
                return text.endswith("\n") and json.loads(text.splitlines()[-1])
            self.assertEqual(wait_until(line, "the access log")["service"], "set")

            page = next(l for l in ebb.log if "metrics" in l).split()[-1]
            with urllib.request.urlopen(page, timeout=20) as metrics:
                self.assertIn("ebb_requests_total{", metrics.read().decode())

            # A wrong file changes nothing, and says why.
            self.file.write_text("pool: many\n")
            ebb.signal(signal.SIGHUP)
            wait_until(lambda: any("settings stay as they are" in l and "pool" in l for l in ebb.log),
                       "the complaint")
            self.assertEqual(ebb.get("set.default.example.test").status, 200)

            # A right one does, and names what must wait.
            access_log.rename(str(access_log) + ".1")
            self.file.write_text(f"domain: other.test\npool: 4\naccessLog: {access_log}\n")
            ebb.signal(signal.SIGHUP)
            wait_until(lambda: len(ebb.pods(state="Cold")) == 4, "four cold pods")
            said = "".join(ebb.log)
            self.assertIn("take effect at the next start: metrics, domain, serverTiming", said)
            self.assertEqual(ebb.get("set.default.example.test").status, 200)
            wait_until(lambda: access_log.exists() and access_log.read_text(), "a new access log")
            self.assertEqual(ebb.stop(), 0)
            self.assertEqual(ebb.leftovers(), [])

    def test_autoscaling_and_gc_are_taken_over(self):
        self.file.write_text("autoscaling: {window: 6s}\n")
        with Ebb("--config", str(self.file)) as ebb:
            for version in range(3):
                ebb.deploy("live", HELLO + f"# {version}\n")
            self.assertEqual(ebb.pods("live", "Warm"), [])
            self.file.write_text("autoscaling: {window: 6s, min-scale: 2}\n"
                                 "gc: {min-non-active-revisions: 0, max-non-active-revisions: 1}\n")
            ebb.signal(signal.SIGHUP)
            wait_until(lambda: len(ebb.pods("live", "Warm")) == 2, "the new minimum")
            wait_until(lambda: sorted(r["metadata"]["name"] for r in ebb.list("revisions"))
                       == ["live-00002", "live-00003"], "the oldest revision goes")
            self.assertNotIn("take effect at the next start", "".join(ebb.log))
            self.file.write_text("autoscaling: {window: 6s}\n")
            ebb.signal(signal.SIGHUP)
            wait_until(lambda: ebb.pods("live", "Warm") == [], "no minimum any more", 60)

    def refused(self, *options):
        command = [PROGRAM, "up", "--data", self.folder.name + "/data", *options]
        for flag in ("--gateway", "--api"):
            if flag not in options:
                command += [flag, "127.0.0.1:0"]
        result = subprocess.run(command, text=True, capture_output=True, timeout=60)
        self.assertNotEqual(result.returncode, 0)
        return result.stderr

    def test_wrong_settings_stop_the_start(self):
        self.file.write_text("pool: 2\ngatway: :80\n")
        self.assertIn(f"{self.file}: gatway: unknown key", self.refused("--config", str(self.file)))
        self.file.write_text("pool: [\n")
        self.assertRegex(self.refused("--config", str(self.file)), r"ebb\.yaml: line \d")
        self.assertIn("/nowhere", self.refused("--config", "/nowhere"))
        self.assertIn("pool: -3 is not within", self.refused("--pool", "-3"))
        wrong = subprocess.run([PROGRAM, "get", "services"], text=True, capture_output=True,
                               env={**os.environ, "EBB_IO_ENGINE": "magic"})
        self.assertEqual((wrong.returncode, wrong.stderr),
                         (2, 'ebb: EBB_IO_ENGINE is "magic", but may be uring or epoll\n'))

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            self.assertIn(address, self.refused("--gateway", address))
            self.assertIn(address, self.refused("--api", address))
            self.assertIn(address, self.refused("--metrics", address))

    def test_the_service_manager_is_told(self):
        path = self.folder.name + "/notify.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(60)
            os.environ["NOTIFY_SOCKET"] = path
            try:
                with Ebb() as ebb:
                    self.assertEqual(manager.recv(100), b"READY=1")
                    self.assertEqual(ebb.stop(), 0)
                    self.assertEqual(manager.recv(100), b"STOPPING=1")
            finally:
                del os.environ["NOTIFY_SOCKET"]

    def test_without_isolation_it_warns_and_runs(self):
        with Ebb("--isolation", "none") as ebb:
            self.assertIn("isolation is off", "".join(ebb.log))
            ebb.deploy("bare", HELLO)
            self.assertEqual(ebb.get("bare").status, 200)
            self.assertEqual(ebb.stop(), 0)
            self.assertEqual(ebb.leftovers(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
