"""A function at zero answers through the whole path, and goes away again."""

import concurrent.futures
import hashlib
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from harness import PROGRAM, ROOT, Ebb, wait_until

HELLO = "def handle(request):\n    return 'hello from ' + request.path\n"
SHORT_WINDOW = ("--annotation", "autoscaling.knative.dev/window=6s")


class Cycle(unittest.TestCase):
    def test_from_zero_and_back_to_zero(self):
        ebb = self.enterContext(Ebb())
        deployed = ebb.deploy("cycle", HELLO, *SHORT_WINDOW)
        self.assertIn("http://cycle.default.localhost", deployed.stdout)
        self.assertIn("curl -H 'Host: cycle.default.localhost'", deployed.stdout)
        for round in range(2):
            wait_until(lambda: ebb.pods("cycle") == [], "no pods while nobody calls")
            answer = ebb.get("cycle", f"/{round}")
            self.assertEqual((answer.status, answer.text), (200, f"hello from /{round}"))
            self.assertEqual([state for _, state in ebb.pods("cycle")], ["Warm"])
            self.assertEqual(ebb.node_state(), "Occupied")
        wait_until(lambda: ebb.pods("cycle") == [], "zero pods again")
        wait_until(lambda: ebb.node_state() == "Idle", "an idle node")
        self.assertTrue(all(state == "Cold" for _, state in ebb.pods()))


class FirstRequest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ebb = Ebb().__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)

    def test_resources_exist_in_knatives_shape(self):
        ebb = self.ebb
        ebb.deploy("shape", HELLO)
        service = ebb.service("shape")
        self.assertEqual(service["apiVersion"], "serving.knative.dev/v1")
        self.assertEqual(service["status"]["latestReadyRevisionName"], "shape-00001")
        for kind in ("configurations", "routes"):
            self.assertIn("shape", [o["metadata"]["name"] for o in ebb.list(kind)])
        self.assertIn("shape-00001", [o["metadata"]["name"] for o in ebb.list("revisions")])
        self.assertIn("shape", ebb.run("get", "services").stdout)

    def test_a_hundred_first_calls_at_once(self):
        ebb = self.ebb
        ebb.deploy("burst", HELLO)
        wait_until(lambda: ebb.pods("burst") == [], "no pods before the burst")
        barrier = threading.Barrier(100)

        def call(_):
            barrier.wait()
            return ebb.get("burst")

        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            answers = list(pool.map(call, range(100)))
        self.assertEqual([a for a in answers if a.status != 200], [])
        self.assertEqual(len(ebb.pods("burst")), 1)  # one start per need

    def test_a_hundred_first_calls_one_at_a_time_per_pod(self):
        ebb = self.ebb
        ebb.deploy("single", HELLO, "--concurrency", "1")
        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            answers = list(pool.map(lambda _: ebb.get("single"), range(100)))
        self.assertEqual([a for a in answers if a.status != 200], [])

    def test_bodies_stream_both_ways(self):
        ebb = self.ebb
        ebb.deploy("stream", """
import hashlib
def handle(request):
    digest = hashlib.sha256()
    while piece := request.read(65536):
        digest.update(piece)
    yield digest.hexdigest()
    for i in range(50):
        yield '.' * 100_000
""")
        body = os.urandom(20_000_000)
        answer = ebb.get("stream", method="POST", body=body)
        self.assertEqual(answer.text[:64], hashlib.sha256(body).hexdigest())
        self.assertEqual(len(answer.text), 64 + 5_000_000)
        pieces = [body[i:i + 100_000] for i in range(0, 1_000_000, 100_000)]
        answer = ebb.get("stream", method="POST", body=iter(pieces))
        self.assertEqual(answer.text[:64], hashlib.sha256(body[:1_000_000]).hexdigest())

    def test_a_streamed_piece_arrives_before_the_next_exists(self):
        ebb = self.ebb
        ebb.deploy("drip", "def handle(request):\n    yield 'first'\n    request.read(1)\n"
                           "    yield 'second'\n")
        connection = ebb.connection()
        connection.putrequest("POST", "/", skip_host=True)
        connection.putheader("Host", "drip.default.localhost")
        connection.putheader("Content-Length", "2")
        connection.endheaders()
        connection.send(b"1")  # one byte is held back until the first piece is here
        answer = connection.getresponse()
        self.assertEqual(answer.read(5), b"first")
        connection.send(b"2")
        self.assertEqual(answer.read(), b"second")
        connection.close()

    def test_keep_alive_on_the_clients_side(self):
        ebb = self.ebb
        ebb.deploy("keep", HELLO)
        connection = ebb.connection()
        ebb.get("keep", connection=connection)
        before = connection.sock
        for _ in range(20):
            self.assertEqual(ebb.get("keep", connection=connection).status, 200)
        self.assertIs(connection.sock, before)
        connection.close()

    def test_what_a_function_may_return(self):
        ebb = self.ebb
        ebb.deploy("kinds", """
def handle(request):
    return {'/str': 'text', '/bytes': b'raw', '/dict': {'a': 1}, '/none': None,
            '/tuple': ('made', 201, {'X-Kind': 'tuple'}), '/echo': request.method + ' ' +
            request.query + ' ' + request.headers['X-In'] + ' ' + request.text}[request.path]
""")
        def call(path, **kw):
            return ebb.get("kinds", path, headers={"X-In": "in"}, **kw)
        self.assertEqual(call("/str").headers["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(call("/bytes").body, b"raw")
        self.assertEqual(call("/dict").body, b'{"a": 1}')
        self.assertEqual(call("/none").status, 204)
        self.assertEqual((call("/tuple").status, call("/tuple").headers["x-kind"]), (201, "tuple"))
        self.assertEqual(call("/echo?q=1", method="PUT", body=b"data").text, "PUT q=1 in data")
        self.assertEqual(call("/str", method="HEAD").body, b"")

    def test_a_new_revision_takes_over_without_a_failed_request(self):
        ebb = self.ebb
        ebb.deploy("roll", "def handle(request): return 'one'\n")
        stop = threading.Event()
        answers = []

        def load():
            while not stop.is_set():
                answers.append(ebb.get("roll"))

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        ebb.deploy("roll", "def handle(request): return 'two'\n")
        wait_until(lambda: answers[-1].text == "two", "the new revision answers")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual([a for a in answers if a.status != 200], [])
        self.assertEqual({a.text for a in answers}, {"one", "two"})
        wait_until(lambda: all("-00002" in p["metadata"]["labels"]["serving.knative.dev/revision"]
                               for p in ebb.list("pods")
                               if p["metadata"]["labels"].get("serving.knative.dev/service") == "roll"),
                   "the old revision's pods are gone")

    def test_delete(self):
        ebb = self.ebb
        ebb.deploy("brief", HELLO)
        self.assertEqual(ebb.get("brief").status, 200)
        ebb.run("delete", "service", "brief")
        wait_until(lambda: ebb.get("brief").status == 404, "404 after the deletion")
        wait_until(lambda: ebb.pods("brief") == [], "its pods are gone")
        wait_until(lambda: all("brief" not in o["metadata"]["name"]
                               for k in ("services", "configurations", "routes", "revisions")
                               for o in ebb.list(k)), "all that it owned is gone")


class Ending(unittest.TestCase):
    def test_ctrl_c_under_load_answers_what_is_in_flight_and_leaves_nothing(self):
        with Ebb() as ebb:
            ebb.deploy("slow", "import time\ndef handle(request):\n    time.sleep(0.3)\n    return 'done'\n")
            ebb.get("slow")
            started = threading.Semaphore(0)
            answers, refused = [], []

            def load():
                while True:
                    connection = ebb.connection()
                    try:
                        connection.connect()
                        connection.request("GET", "/", headers={"Host": "slow.default.localhost"})
                    except OSError:
                        return  # not accepted any more: no request in flight
                    started.release()
                    try:
                        answer = connection.getresponse()
                        answers.append((answer.status, answer.read()))
                    except OSError as error:
                        refused.append(error)
                        return
                    finally:
                        connection.close()

            threads = [threading.Thread(target=load) for _ in range(20)]
            for thread in threads:
                thread.start()
            for _ in range(40):  # the second round is under way
                started.acquire()
            ebb.signal(signal.SIGINT)
            for thread in threads:
                thread.join()
            self.assertEqual(ebb.wait(), 0, "".join(ebb.log))
            self.assertEqual(set(answers), {(200, b"done")})
            # A connection that waited in the kernel's queue when the listener closed
            # was never accepted: it is reset without any answer, which is no request
            # in flight.
            self.assertTrue(all(isinstance(e, (ConnectionResetError, BrokenPipeError))
                                for e in refused), refused)
            self.assertLessEqual(len(refused), 2)
            self.assertEqual(ebb.leftovers(), [])

    def test_a_restart_keeps_what_was_deployed(self):
        with Ebb() as ebb:
            ebb.deploy("stay", HELLO)
            self.assertEqual(ebb.stop(), 0)
            self.assertEqual(ebb.leftovers(), [])
            ebb.start()
            self.assertEqual(ebb.get("stay").status, 200)

    def test_hundreds_of_pods_end_with_their_service(self):
        with Ebb() as ebb:
            ebb.deploy("many", HELLO, "--min", "150")
            wait_until(lambda: len(ebb.pods("many", "Warm")) == 150, "150 pods", 60)
            ebb.run("delete", "service", "many")
            wait_until(lambda: not ebb.pods(state="Draining") and not ebb.pods(state="Warm"),
                       "all pods are gone", 60)
            self.assertEqual(ebb.stop(), 0)
            self.assertEqual(ebb.leftovers(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
