"""The wall clock jumps by a day, forth and back: no wait notices, and the times that are
shown make sense. The machine's clock stays as it is: libfaketime stands before that of
`ebb up` alone; functions see the true one."""

import contextlib
import datetime
import email.utils
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sysconfig
import tempfile
import time
import unittest

from harness import PATIENCE, PROGRAM, Ebb, wait_until
from tls_test import Certificates, secure_connection

# The one for programs with threads.
LIBRARY = pathlib.Path("/usr/lib", sysconfig.get_config_var("MULTIARCH") or "", "faketime",
                       "libfaketimeMT.so.1")
DAY = 24 * 3600
SAID = "def handle(request):\n    print(request.path, flush=True)\n    return 'fine'\n"
SLOW = """
import time
def handle(request):
    body = request.body
    if request.path == "/begun":
        yield "begun"
    time.sleep(float(request.headers["x-seconds"]))
    yield f" and {len(body)} bytes"
"""


def setUpModule():
    if not LIBRARY.exists():
        raise unittest.SkipTest(f"no {LIBRARY}: install the package faketime")
    program = pathlib.Path(PROGRAM).read_bytes()
    if b"__asan_init" in program or b"__tsan_init" in program:
        raise unittest.SkipTest("a sanitizer's library must come before libfaketime")


class Jumping(Ebb):
    """An Ebb whose wall clock is some days ahead of the machine's."""

    def __init__(self, *options):
        self.folder = tempfile.TemporaryDirectory(prefix="ebb-clock-")
        os.chmod(self.folder.name, 0o755)  # the front reads the offset, too
        self.offset = pathlib.Path(self.folder.name, "offset")
        self.access_log = pathlib.Path(self.folder.name, "access.log")
        self.set(0)
        super().__init__(
            "--access-log", str(self.access_log), *options,
            prefix=("env", f"LD_PRELOAD={LIBRARY}", f"FAKETIME_TIMESTAMP_FILE={self.offset}",
                    "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"))

    def __exit__(self, *_):
        try:
            super().__exit__()
        finally:
            self.folder.cleanup()
            for name in ("faketime_shm_", "sem.faketime_sem_"):  # stays if it was killed
                pathlib.Path(f"/dev/shm/{name}{self.process.pid}").unlink(missing_ok=True)

    def set(self, days):
        new = self.offset.with_suffix(".new")
        new.write_text(f"{days:+}d\n")
        new.rename(self.offset)

    def jump(self, days):
        """To so many days ahead of the machine's clock, and surely there."""
        self.set(days)
        date = email.utils.parsedate_to_datetime(self.get("nobody").headers["Date"])
        ahead = date.timestamp() - time.time()
        if abs(ahead - days * DAY) > DAY / 24:
            raise AssertionError(f"{ahead} s ahead, not {days} days")

    def run_here(self, *arguments):
        """The command line, by the same clock."""
        return subprocess.run(
            [*self.prefix, PROGRAM, "--data", self.data, *arguments], text=True, check=True,
            capture_output=True, timeout=PATIENCE).stdout

    def ages_from_api(self, kind):
        """By name, as kubectl shows them."""
        token = pathlib.Path(self.data, "token").read_text().strip()
        with contextlib.closing(self.api_connection()) as connection:
            connection.request("GET", kind, headers={
                "Authorization": "Bearer " + token,
                "Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
            table = json.loads(connection.getresponse().read())
        age = [column["name"] for column in table["columnDefinitions"]].index("Age")
        return {row["cells"][0]: row["cells"][age] for row in table["rows"]}

    def logged(self, **fields):
        lines = [json.loads(line) for line in self.access_log.read_text().splitlines()]
        return [line for line in lines if fields.items() <= line.items()]


class Clock(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        certificates = Certificates(cls)
        cls.certificate = certificates.make("wildcard", "*.default.localhost")
        cls.ebb = Jumping("--config", certificates.settings("wildcard")).__enter__()
        cls.addClassCleanup(cls.ebb.__exit__)

    def setUp(self):
        self.ebb.jump(0)

    def send(self, name, path="/", seconds=0, body=b"", length=0):
        """A request whose answer is read later."""
        connection = self.ebb.connection()
        self.addCleanup(connection.close)
        connection.putrequest("POST", path, skip_host=True)
        for field, value in (("Host", f"{name}.default.localhost"), ("X-Seconds", seconds),
                             ("Content-Length", length)):
            connection.putheader(field, value)
        connection.endheaders(body)
        return connection

    def test_requests_in_flight_are_answered(self):
        ebb = self.ebb
        ebb.deploy("slow", SLOW)
        ebb.deploy("one", SLOW, "--concurrency", "1", "--max", "1")
        for days in (1, -1):
            with self.subTest(days=days):
                begun = self.send("slow", "/begun", seconds=1).getresponse()
                self.assertEqual(begun.read(5), b"begun")
                sends = self.send("one", body=b"12345", length=10)
                wait_until(lambda: ebb.metric("ebb_requests_in_flight", service="one") == 1,
                           "one inside")
                waits = self.send("one")
                wait_until(lambda: ebb.metric("ebb_requests_waiting", service="one") == 1,
                           "one that waits")
                ebb.jump(days)
                sends.send(b"67890")
                sent, waited = sends.getresponse(), waits.getresponse()
                self.assertEqual([begun.status, sent.status, waited.status], [200] * 3)
                self.assertEqual([begun.read(), sent.read(), waited.read()],
                                 [b" and 0 bytes", b" and 10 bytes", b" and 0 bytes"])
                self.assertEqual(ebb.get("slow", headers={"X-Seconds": "0"},
                                         connection=sends).status, 200, "the connection is kept")
                ebb.jump(0)

    def test_timeouts_are_as_long_as_before(self):
        self.ebb.deploy("late", SLOW, "--timeout", "2s")
        for days in (1, -1):
            with self.subTest(days=days):
                began = time.monotonic()
                silent = self.send("late", seconds=30)
                begun = self.send("late", "/begun", seconds=30).getresponse()
                self.assertEqual(begun.read(5), b"begun")
                self.ebb.jump(days)
                answer = silent.getresponse()
                self.assertEqual(answer.status, 504)
                self.assertIn(b"within 2 s", answer.read())
                with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)):
                    begun.read()
                self.assertGreaterEqual(time.monotonic() - began, 2)
                self.assertLess(time.monotonic() - began, 15)
                self.ebb.jump(0)

    def test_zero_comes_after_the_window_and_ends_with_a_request(self):
        ebb = self.ebb
        ebb.deploy("rests", SAID, "--annotation", "autoscaling.knative.dev/window=6s",
                   "--annotation", "autoscaling.knative.dev/class=kpa.autoscaling.knative.dev")
        for days in (1, -1):
            with self.subTest(days=days):
                self.assertEqual(ebb.get("rests").status, 200)
                began = time.monotonic()
                ebb.jump(days)
                wait_until(lambda: not ebb.pods("rests"), "zero", PATIENCE * 2)
                self.assertGreater(time.monotonic() - began, 4, "not at once")
                answer = ebb.get("rests")
                self.assertEqual(answer.text, "fine")
                request = answer.headers["X-Request-Id"]
                self.assertTrue(wait_until(lambda: ebb.logged(id=request), "its line")[0]["cold"])

    def test_a_schedule_goes_by_the_wall_clock(self):
        ebb = self.ebb
        tomorrow = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
        opens, closes = (f"{at:%-M %-H * * %w}" for at in (
            tomorrow - datetime.timedelta(hours=6), tomorrow + datetime.timedelta(hours=6)))
        ebb.deploy("planned", SAID, "--annotation", "autoscaling.knative.dev/window=2s",
                   "--annotation", f"ebb.dev/schedule={opens} | {closes} | 1 | UTC")
        wait_until(lambda: not ebb.pods("planned"), "zero before it opens")
        ebb.jump(1)
        wait_until(lambda: ebb.pods("planned", "Warm"), "a pod that nobody asked for")
        ebb.jump(0)
        wait_until(lambda: not ebb.pods("planned"), "zero, as it is closed again")

    def check_times(self, path, ahead):
        """Of what was said about the newest request: in the access log, and by the function."""
        line = wait_until(lambda: self.ebb.logged(path=path), "its line")[0]
        said = wait_until(lambda: [text.split() for text in self.ebb.run(
            "logs", "early", "--timestamps").stdout.splitlines() if path in text], "what it said")
        for text in (line["time"], said[0][1]):
            at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
            self.assertAlmostEqual((at - time.time()) / DAY, ahead, delta=0.1)
        for took in (line["duration_us"], line["queue_us"]):
            self.assertIn(took, range(int(PATIENCE * 1e6)))

    def test_what_is_shown_makes_sense(self):
        ebb = self.ebb
        ebb.deploy("early", SAID, "--min", "1")
        for path, days in (("/a", 0), ("/b", 1), ("/c", 0), ("/d", -1)):
            ebb.jump(days)
            self.assertEqual(ebb.get("early", path).status, 200)
            self.check_times(path, days)
            if path == "/b":
                ebb.deploy("ahead", SAID)
                self.assertRegex(ebb.run_here("get", "services", "early"), r" True +24h\n")
                shown = ebb.run_here("describe", "service", "early")
                self.assertRegex(shown, r"\n  Age +24h\n")
                self.assertRegex(shown, r"\n  Ready +True +24h\n")
            if path == "/c":  # and "ahead" lies in the future
                self.assertRegex(ebb.run_here("get", "services", "ahead"), r" True +0s\n")
                for name in ("early", "ahead"):
                    shown = ebb.run_here("describe", "service", name)
                    self.assertRegex(shown, r"\n  Age +[\dms]+\n")
                    self.assertNotRegex(shown, r"\s-\d|invalid|unknown")
        # Now all of them do; the API's certificate holds.
        self.assertRegex(ebb.run_here("get", "services"), r" True +0s\n")
        for kind in ("/api/v1/nodes", "/apis/serving.knative.dev/v1/services"):
            ages = ebb.ages_from_api(kind)
            self.assertEqual(set(ages.values()), {"0s"}, ages)
        said = ebb.run("logs", "early").stdout.split()
        self.assertEqual(said[1::2], ["/a", "/b", "/c", "/d"], "in the order in which it came")

    def test_https(self):
        ebb = self.ebb
        host = "secure.default.localhost"
        ebb.deploy("secure", SAID)
        kept = secure_connection(ebb, self.certificate, host)
        self.addCleanup(kept.close)
        self.assertEqual(ebb.get("secure", connection=kept).status, 200)
        before, session, trust = kept.sock, kept.sock.session, kept.sock.context
        for days in (1, -1):
            ebb.jump(days)
            self.assertEqual(ebb.get("secure", connection=kept).status, 200)
            self.assertIs(kept.sock, before)
            for earlier in (None, session):  # one is offered a ticket of another day
                new = secure_connection(ebb, None, host, trust=trust, session=earlier)
                self.assertEqual(ebb.get("secure", connection=new).status, 200)
                new.close()


class Restart(unittest.TestCase):
    def test_what_was_made_tomorrow_goes_on(self):
        """A front and a whole Ebb that begin before what they find was made."""
        with Jumping() as ebb:
            ebb.deploy("here", SAID)
            self.assertEqual(ebb.get("here").text, "fine")
            ebb.jump(-1)
            front = ebb.front()
            os.kill(front, signal.SIGKILL)
            wait_until(lambda: ebb.front() != front, "another front")
            self.assertEqual(ebb.get("here").text, "fine")
            self.assertEqual(ebb.stop(), 0)
            ebb.start()
            self.assertEqual(ebb.get("here").text, "fine")
            self.assertRegex(ebb.run_here("get", "services"), r"here .* True +0s\n")
            self.assertEqual(ebb.stop(), 0)
            self.assertEqual(ebb.leftovers(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
