"""The request path under what clients and functions do: tags, splits, WebSocket,
timeouts, bounds, clients that leave, rollouts and deletion under load."""

import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

from harness import BUILD, PATIENCE, Ebb, WebSocket, wait_until

# So that a function that was called (deploy does) soon rests.
SHORT_WINDOW = ("--annotation", "autoscaling.knative.dev/window=6s")
VERSION = "import os\ndef handle(request): return os.environ['K_REVISION']\n"
ECHO = "def handle(request): return dict(request.headers)\n"
# Speaks WebSocket on the raw connection that its request came on: the runtime has no
# word for that, so the function takes the descriptor from beneath it.
WEBSOCKET = '''
import base64, hashlib, socket, struct

def read_exactly(s, n):
    data = b""
    while len(data) < n:
        piece = s.recv(n - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data

def frame(opcode, data):
    head = bytes([0x80 | opcode])
    if len(data) < 126:
        return head + bytes([len(data)]) + data
    if len(data) < 65536:
        return head + b"\\x7e" + struct.pack(">H", len(data)) + data
    return head + b"\\x7f" + struct.pack(">Q", len(data)) + data

def handle(request):
    if "upgrade" not in request.headers:
        return "plain"
    key = request.headers["sec-websocket-key"]
    s = request._reader._connection.socket
    s.settimeout(None)
    accept = base64.b64encode(hashlib.sha1(
        (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    s.sendall(("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\n"
               "Connection: Upgrade\\r\\nSec-WebSocket-Accept: %s\\r\\n\\r\\n" % accept).encode())
    try:
        while True:
            first, second = read_exactly(s, 2)
            length = second & 127
            if length == 126:
                length = struct.unpack(">H", read_exactly(s, 2))[0]
            elif length == 127:
                length = struct.unpack(">Q", read_exactly(s, 8))[0]
            mask = read_exactly(s, 4)
            data = bytes(b ^ mask[i % 4] for i, b in enumerate(read_exactly(s, length)))
            s.sendall(frame(first & 15, data))
            if first & 15 == 8:
                break
    except (EOFError, OSError):
        pass
    s.shutdown(socket.SHUT_RDWR)
    return None
'''


# Writes a body to HEAD too, as careless servers do: what its caller asked for.
CARELESS = '''#!/usr/bin/python3
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = unquote(self.path.partition("?")[2]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def do_POST(self):
        self.do_GET()  # without a look at what the client sends

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
'''


class RequestPath(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ebb = Ebb().__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)

    def many(self, count, call, threads=8):
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda _: call(), range(count)))

    # --- Routing ---

    def test_tags_and_a_split(self):
        ebb = self.ebb
        ebb.deploy("split", VERSION)
        ebb.deploy("split", VERSION + "# two\n")
        ebb.run("traffic", "split", "--revision", "split-00001=90", "--revision",
                "split-00002=10", "--tag", "next=split-00002")
        wait_until(lambda: ebb.get("next-split.default.localhost").text == "split-00002",
                   "the tag's host")
        self.assertEqual(ebb.get("split", headers={"Knative-Serving-Tag": "next"}).text,
                         "split-00002")
        seen = collections.Counter()

        def call(_):
            connection = ebb.connection()
            texts = [ebb.get("split", connection=connection,
                             headers={"Knative-Serving-Tag": "unknown"}).text for _ in range(250)]
            connection.close()
            return texts

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for texts in pool.map(call, range(8)):
                seen.update(texts)
        self.assertEqual(sum(seen.values()), 2000)
        self.assertAlmostEqual(seen["split-00002"] / 2000, 0.1, delta=0.02)
        self.assertEqual(ebb.get("nothing-split.default.localhost").status, 404)

    def test_a_tag_header_that_leads_nowhere_is_not_passed_on(self):
        ebb = self.ebb
        ebb.deploy("tagged", ECHO)
        seen = json.loads(ebb.get("tagged", headers={"Knative-Serving-Tag": "x"}).text)
        self.assertNotIn("knative-serving-tag", {k.lower() for k in seen})

    # --- A pod that hangs ---

    def test_a_pod_that_stops_answering_is_replaced(self):
        ebb = self.ebb
        ebb.deploy("loops", "async def handle(request):\n"
                            "    if request.path == '/loop':\n        while True: pass\n"
                            "    return 'fine'\n",
                   "--timeout", "1s", "--concurrency", "0")
        self.assertEqual(ebb.get("loops").status, 200)
        hung = [name for name, _ in ebb.pods("loops", "Warm")]
        self.assertEqual(len(hung), 1)
        self.assertEqual(ebb.get("loops", "/loop").status, 504)
        # Others want to be served: they are, after the third that was not.
        statuses = [ebb.get("loops").status for _ in range(4)]
        self.assertEqual(statuses, [504, 504, 200, 200])
        self.assertNotIn(hung[0], [name for name, _ in ebb.pods("loops", "Warm")])
        wait_until(lambda: hung[0] not in [name for name, _ in ebb.pods("loops")],
                   "the hung pod has ended")
        text = ebb.run("describe", "service", "loops").stdout
        self.assertIn("PodHung", text)
        self.assertEqual(ebb.metric("ebb_pods_hung_total", service="loops"), 1)

    def test_an_idle_pod_is_frozen_if_wanted(self):
        code = ("import threading, time\nticks = 0\n"
                "def tick():\n    global ticks\n    while True:\n        ticks += 1\n        time.sleep(0.005)\n"
                "threading.Thread(target=tick, daemon=True).start()\n"
                "def handle(request):\n    return str(ticks)\n")
        self.ebb.deploy("still", code, "--annotation", "ebb.dev/freeze=true", "--min", "1")

        def frozen():
            return self.ebb.metric("ebb_pods_frozen", service="still")
        for _ in range(3):
            began, before = time.monotonic(), int(self.ebb.get("still").text)
            wait_until(lambda: frozen() == 1, "a frozen pod")
            time.sleep(1)
            ticks = int(self.ebb.get("still").text) - before
            self.assertLess(ticks, (time.monotonic() - began - 1) / 0.005 + 20, "it stood still for a second")
            self.assertEqual(frozen(), 0)
        wrong = self.ebb.deploy("wrong", code, "--annotation", "ebb.dev/freeze=perhaps", check=False)
        self.assertIn('must be "true" or "false"', wrong.stderr)
        # One that is frozen ends like others.
        wait_until(lambda: frozen() == 1, "a frozen pod")
        self.ebb.run("delete", "service", "still")
        wait_until(lambda: not self.ebb.pods("still"), "its end")

    def test_load_is_packed_or_spread_as_wanted(self):
        # Answers when all of its callers are there, with its pod's name.
        code = ("import asyncio, socket\n"
                "async def handle(request):\n"
                "    await asyncio.sleep(0.3)\n    return socket.gethostname()\n")
        ebb = self.ebb

        def pods_of(name, requests):
            """How many requests each pod got of some that overlap."""
            answers = self.many(requests, lambda: ebb.get(name), threads=requests)
            self.assertEqual({answer.status for answer in answers}, {200})
            return sorted(collections.Counter(answer.text for answer in answers).values())

        def deploy(balancing, *options):
            name = f"{balancing or 'default'}-{len(options)}"
            wish = ("--annotation", f"ebb.dev/load-balancing={balancing}") if balancing else ()
            ebb.deploy(name, code, "--min", "2", "--max", "2", *wish, *options)
            wait_until(lambda: ebb.metric("ebb_pods_ready", service=name) == 2, "two pods")
            return name

        limit = ("--concurrency", "4")
        target = ("--concurrency", "0", "--annotation", "autoscaling.knative.dev/target=3")
        self.assertEqual(pods_of(deploy("", *limit), 4), [4])
        self.assertEqual(pods_of(deploy("pack", *limit), 4), [4])
        self.assertEqual(pods_of(deploy("spread", *limit), 4), [2, 2])
        self.assertEqual(pods_of(deploy("spread", *limit), 8), [4, 4])
        self.assertEqual(pods_of(deploy("", *target), 4), [2, 2])
        packed = deploy("pack", *target)
        self.assertEqual(pods_of(packed, 3), [3])
        self.assertEqual(pods_of(packed, 4), [1, 3])
        self.assertEqual(pods_of(packed, 8), [4, 4])
        self.assertIn("ebb.dev/load-balancing", ebb.run("describe", "service", packed).stdout)
        wrong = ebb.deploy("wrong", code, "--annotation", "ebb.dev/load-balancing=random", check=False)
        self.assertIn('must be "pack" or "spread"', wrong.stderr)

    # --- WebSocket ---

    def test_websocket(self):
        ebb = self.ebb
        ebb.deploy("ws", WEBSOCKET, "--timeout", "1s")
        self.assertEqual(ebb.get("ws").text, "plain")
        ws = WebSocket(ebb.gateway, "ws.default.localhost")
        self.assertEqual(ws.status, 101)
        self.assertEqual(ws.headers["upgrade"].lower(), "websocket")
        self.assertEqual(ws.headers["sec-websocket-accept"], ws.accept)
        for size in (1, 200, 70_000, 1_000_000):
            data = os.urandom(size)
            sender = threading.Thread(target=ws.send, args=(data,))
            sender.start()
            self.assertEqual(ws.receive(), data)
            sender.join()
        time.sleep(1.5)  # the service's timeout is for the handshake only
        ws.send(b"still there")
        self.assertEqual(ws.receive(), b"still there")
        ws.send(b"", opcode=8)
        self.assertEqual(ws.receive(), b"")
        self.assertEqual(ws.file.read(), b"")
        ws.close()

    # --- Timeouts ---

    def test_timeouts(self):
        ebb = self.ebb
        ebb.deploy("late", "import time\ndef handle(request):\n    yield 'a'\n"
                           "    time.sleep(3)\n    yield 'b'\n", "--timeout", "1s")
        connection = ebb.connection()
        connection.request("GET", "/", headers={"Host": "late.default.localhost"})
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        with self.assertRaises(Exception):  # cut: no end that looks like one
            answer.read()
        connection.close()

    # --- Bounds ---

    def test_the_body_limit(self):
        ebb = self.ebb
        ebb.deploy("body", "def handle(request): return 'unread'\n")
        with socket.create_connection(ebb.gateway, timeout=PATIENCE) as s:
            s.sendall(b"POST / HTTP/1.1\r\nHost: body.default.localhost\r\n"
                      b"Content-Length: 104857601\r\n\r\n")
            self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 413 "))

    def test_clients_that_leave_the_queue(self):
        ebb = self.ebb
        ebb.deploy("busy", "import time\ndef handle(request):\n"
                           "    open('/tmp/n', 'a').write('x')\n"
                           "    if request.path == '/slow': time.sleep(2)\n"
                           "    return str(len(open('/tmp/n').read()))\n",
                   "--concurrency", "1", "--max", "1")
        before = int(ebb.get("busy").text)
        slow = threading.Thread(target=lambda: ebb.get("busy", "/slow"))
        slow.start()
        wait_until(lambda: ebb.metric("ebb_requests_in_flight", service="busy") == 1,
                   "one is inside")
        leavers = [socket.create_connection(ebb.gateway) for _ in range(20)]
        for s in leavers:
            s.sendall(b"GET / HTTP/1.1\r\nHost: busy.default.localhost\r\n\r\n")
        wait_until(lambda: ebb.metric("ebb_requests_waiting", service="busy") == 20,
                   "all wait")
        for s in leavers:
            s.close()
        wait_until(lambda: ebb.metric("ebb_requests_waiting", service="busy") == 0,
                   "nobody waits any more")
        self.assertEqual(ebb.metric("ebb_requests_in_flight", service="busy"), 1)
        slow.join()
        wait_until(lambda: ebb.metric("ebb_requests_refused_total", service="busy",
                                      reason="client_left") == 20, "they are counted")
        self.assertEqual(int(ebb.get("busy").text), before + 2)  # nobody computed for who had left

    def test_a_client_that_leaves_a_quiet_answer(self):
        ebb = self.ebb
        ebb.deploy("quiet", "import asyncio\n"
                            "async def handle(request):\n"
                            "    async def events():\n"
                            "        yield 'first'\n"
                            "        await asyncio.sleep(3600)\n"
                            "    return events() if request.path == '/events' else 'free'\n",
                   "--concurrency", "1", "--max", "1")
        self.assertEqual(ebb.get("quiet").text, "free")
        with socket.create_connection(ebb.gateway, PATIENCE) as s:
            s.sendall(b"GET /events HTTP/1.1\r\nHost: quiet.default.localhost\r\n\r\n")
            got = b""
            while b"first" not in got:
                got += s.recv(1000)
            wait_until(lambda: ebb.metric("ebb_requests_in_flight", service="quiet") == 1,
                       "it holds its slot")
        self.assertEqual(ebb.get("quiet", timeout=PATIENCE).text, "free")

    def test_a_client_that_ended_its_side_and_reads_slowly_gets_all(self):
        size = 16 << 20  # more than sockets hold
        self.ebb.deploy("large", f"def handle(request):\n"
                                 f"    for _ in range(16): yield b'x' * {size // 16}\n")
        with socket.create_connection(self.ebb.gateway, PATIENCE) as s:
            s.sendall(b"GET / HTTP/1.0\r\nHost: large.default.localhost\r\n\r\n")
            s.shutdown(socket.SHUT_WR)
            head, _, body = s.recv(4096).partition(b"\r\n\r\n")
            self.assertIn(b" 200 ", head)
            time.sleep(2.5)  # longer than silence lasts until it is looked after
            got = len(body)
            while piece := s.recv(1 << 16):
                got += len(piece)
        self.assertEqual(got, size)

    def test_head_tells_the_length(self):
        self.ebb.deploy("long", "def handle(request): return 'x' * 1234\n")
        answer = self.ebb.get("long", method="HEAD")
        self.assertEqual((answer.status, answer.headers["Content-Length"], answer.body),
                         (200, "1234", b""))

    def test_an_answer_nobody_asked_for_reaches_nobody(self):
        ebb = self.ebb
        ebb.deploy("careless", {"main": CARELESS}, "--concurrency", "20", "--max", "1",
                   runtime="exec")
        evil = urllib.parse.quote("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
        for pause in (0, 0.02):
            for _ in range(20):
                ebb.get("careless", "/?" + evil, method="HEAD")
                time.sleep(pause)
                self.assertEqual(ebb.get("careless", "/?innocent").text, "innocent")

    def test_a_body_that_stays_away_holds_nothing_up(self):
        ebb = self.ebb
        ebb.deploy("early", {"main": CARELESS}, "--concurrency", "1", "--max", "1",
                   runtime="exec")
        self.assertEqual(ebb.get("early", "/?warm").text, "warm")
        for framing in ("Content-Length: 1000000", "Transfer-Encoding: chunked"):
            with socket.create_connection(ebb.gateway, PATIENCE) as s:
                s.sendall(f"POST /?early HTTP/1.1\r\nHost: early.default.localhost\r\n{framing}"
                          "\r\n\r\n".encode())
                answer = b""
                while b"early" not in answer:
                    answer += s.recv(4096) or self.fail("no answer before the body")
                begun = time.monotonic()
                self.assertEqual(ebb.get("early", "/?next").text, "next")
                self.assertLess(time.monotonic() - begun, PATIENCE / 2, framing)

    def test_an_early_answer_is_seen_by_who_sends_everything_first(self):
        self.ebb.deploy("rejecting", {"main": CARELESS}, "--max", "1", runtime="exec")
        answer = self.ebb.get("rejecting", "/?no", method="POST", body=b"x" * (8 << 20))
        self.assertEqual((answer.status, answer.text), (200, "no"))

    def test_as_a_proxy_is_asked(self):
        self.ebb.deploy("paths", "def handle(request): return request.path\n")
        for target in ("http://paths.default.localhost/a/b",
                       "http://paths.default.localhost:80/a/b"):
            self.assertEqual(self.ebb.get("paths", target).text, "/a/b")

    # --- To be seen ---

    def test_request_ids_and_server_timing(self):
        ebb = self.ebb
        ebb.deploy("seen", ECHO, *SHORT_WINDOW)
        wait_until(lambda: ebb.pods("seen") == [], "no pods")
        cold = ebb.get("seen", headers={"X-Request-Id": "mine-1", "traceparent": "00-1-2-01"})
        self.assertEqual(cold.headers["x-request-id"], "mine-1")
        passed = {k.lower(): v for k, v in json.loads(cold.text).items()}
        self.assertEqual(passed["x-request-id"], "mine-1")
        self.assertEqual(passed["traceparent"], "00-1-2-01")
        names = [part.split(";")[0].strip() for part in cold.headers["server-timing"].split(",")]
        self.assertEqual(names[:2], ["queue", "schedule"])
        self.assertEqual(names[-1], "total")
        warm = ebb.get("seen", headers={"X-Request-Id": "not sane"})
        self.assertNotIn("server-timing", warm.headers)
        self.assertNotEqual(warm.headers["x-request-id"], "not sane")
        self.assertGreaterEqual(len(warm.headers["x-request-id"]), 16)
        missing = ebb.get("nobody-there")
        self.assertTrue(missing.headers["x-request-id"])

    def test_metrics(self):
        ebb = self.ebb
        ebb.deploy("counted", VERSION)
        who = {"namespace": "default", "service": "counted", "revision": "counted-00001"}
        before = ebb.metric("ebb_requests_total", code="2xx", **who)  # deploy calls it too
        for _ in range(5):
            self.assertEqual(ebb.get("counted").status, 200)
        # A request is counted when its answer has left, a pod when it is known to be ready.
        wait_until(lambda: ebb.metric("ebb_requests_total", code="2xx", **who) == before + 5,
                   "all are counted")
        wait_until(lambda: ebb.metric("ebb_pods_ready", **who) == 1, "the pod is counted")
        self.assertEqual(ebb.metric("ebb_request_duration_seconds_count", **who), before + 5)
        self.assertGreaterEqual(ebb.metric("ebb_pods", state="Warm"), 1)
        self.assertGreaterEqual(ebb.metric("ebb_cold_start_seconds_count"), 1)
        before = ebb.metric("ebb_requests_unrouted_total", reason="no_route")
        ebb.get("nobody-counts")
        wait_until(lambda: ebb.metric("ebb_requests_unrouted_total", reason="no_route") ==
                   before + 1, "what has no route is counted")
        ebb.run("delete", "service", "counted")
        wait_until(lambda: not any(pairs.get("service") == "counted"
                                   for samples in ebb.metrics().values() for pairs, _ in samples),
                   "its numbers go with it")

    # --- Under load ---

    def under_load(self, name, threads=6):
        """Calls `name` all the while; returns the answers and how to stop."""
        ebb, stop, answers = self.ebb, threading.Event(), []

        def load():
            connection = ebb.connection()
            while not stop.is_set():
                start = time.monotonic()
                answer = ebb.get(name, connection=connection)
                answer.start, answer.end = start, time.monotonic()
                answers.append(answer)
            connection.close()

        running = [threading.Thread(target=load) for _ in range(threads)]
        for thread in running:
            thread.start()

        def finish():
            stop.set()
            for thread in running:
                thread.join()
            return answers

        return answers, finish

    def test_new_revisions_under_load(self):
        ebb = self.ebb
        ebb.deploy("rolled", VERSION, "--concurrency", "2")
        answers, finish = self.under_load("rolled")
        for i in range(3):
            ebb.deploy("rolled", VERSION + f"# {i}\n", "--concurrency", "2")
        wait_until(lambda: answers and answers[-1].text == "rolled-00004", "the last revision")
        finish()
        self.assertEqual([a for a in answers if a.status != 200], [])

    def test_deletion_under_load(self):
        ebb = self.ebb
        ebb.deploy("doomed", VERSION)
        answers, finish = self.under_load("doomed")
        wait_until(lambda: len(answers) > 50, "some answers")
        ebb.run("delete", "service", "doomed")
        wait_until(lambda: answers[-1].status == 404, "a 404")
        finish()
        self.assertEqual({a.status for a in answers}, {200, 404})
        gone = min(a.end for a in answers if a.status == 404)
        self.assertEqual({a.status for a in answers if a.start > gone}, {404})

    def test_a_burst_gets_its_pods_at_once(self):
        ebb = self.ebb
        ebb.deploy("burst", "import time\ndef handle(request):\n    time.sleep(0.8)\n",
                   "--concurrency", "10", *SHORT_WINDOW)
        wait_until(lambda: ebb.pods("burst") == [], "no pods")
        start = time.monotonic()
        answers = self.many(100, lambda: ebb.get("burst"), 100)
        took = time.monotonic() - start
        self.assertEqual({a.status for a in answers}, {204})
        # One after another on one pod would take 8 s; to wait for a decision, 2.8 s.
        self.assertLess(took, 2.5)
        self.assertLessEqual(len(ebb.pods("burst", "Warm")), 15)


# Answers with what it got, byte by byte, and trailers.
RAW = r'''#!/usr/bin/python3
import os, socket
s = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    c, _ = s.accept()
    got = b""
    def is_whole():
        head, end, body = got.partition(b"\r\n\r\n")
        return end and (b"chunked" not in head or body.endswith(b"\r\n\r\n"))
    while not is_whole():
        piece = c.recv(65536)
        if not piece:
            break
        got += piece
    if got:
        c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
                  b"Transfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n"
                  b"%x\r\n%b\r\n0\r\nx-end: fine\r\n\r\n" % (len(got), got))
    c.close()
'''


class Framing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ebb = Ebb().__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)

    def exchange(self, text):
        with socket.create_connection(self.ebb.gateway, PATIENCE) as s:
            s.sendall(text)
            got = b""
            while piece := s.recv(65536):
                got += piece
            return got

    def test_trailers_go_through_both_ways(self):
        self.ebb.deploy("raw", {"run": RAW}, runtime="exec")
        ask = (b"POST / HTTP/1.1\r\nHost: raw.default.localhost\r\n%bConnection: %b\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n0\r\nx-sum: 42\r\nhost: other\r\n\r\n")
        answer = self.exchange(ask % (b"TE: trailers\r\n", b"close, TE"))
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        self.assertIn(b"\r\nx-sum: 42\r\n", answer, "the function got the client's")
        self.assertNotIn(b"host: other", answer, "a trailer is no place for this")
        self.assertTrue(answer.endswith(b"\r\n0\r\nx-end: fine\r\n\r\n"), answer)
        answer = self.exchange(ask % (b"", b"close"))
        self.assertTrue(answer.endswith(b"\r\n0\r\n\r\n"), answer)

    def test_a_client_that_waits_for_100_is_told_when_there_is_a_pod(self):
        self.ebb.deploy("echo", "def handle(request): return request.body\n", *SHORT_WINDOW)
        wait_until(lambda: self.ebb.pods("echo") == [], "no pods", PATIENCE * 2)
        for start in ("cold", "warm"):
            with socket.create_connection(self.ebb.gateway, PATIENCE) as s:
                s.sendall(b"POST / HTTP/1.1\r\nHost: echo.default.localhost\r\nConnection: close\r\n"
                          b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n")
                self.assertEqual(s.recv(25, socket.MSG_WAITALL), b"HTTP/1.1 100 Continue\r\n\r\n", start)
                s.sendall(b"data")
                got = b""
                while piece := s.recv(65536):
                    got += piece
                self.assertTrue(got.startswith(b"HTTP/1.1 200 "), got)
                self.assertTrue(got.endswith(b"\r\n\r\ndata"), got)


# Takes what is sent to /take, once it is told to /go, and says of /give how much of that is gone.
LARGE = r'''#!/usr/bin/python3
import os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BLOCK = b"x" * 65536
go, given = threading.Event(), 0

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        global given
        if self.path != "/give":
            (go.set if self.path == "/go" else go.clear)()
            return self.answer(str(given))
        given = 0
        self.send_response(200)
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()
        for _ in range(SIZE // len(BLOCK)):
            self.wfile.write(BLOCK)
            given += len(BLOCK)

    def do_PUT(self):
        go.wait()
        length = self.headers["Content-Length"]
        self.answer(str(self.take(int(length)) if length else sum(iter(self.chunk, 0))))

    def take(self, size):
        left = size
        while left > 0:
            piece = self.rfile.read(min(left, len(BLOCK)))
            if not piece:
                raise EOFError
            left -= len(piece)
        return size

    def chunk(self):
        size = int(self.rfile.readline(), 16)
        self.take(size)
        self.rfile.readline()
        return size

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
'''


@unittest.skipIf(BUILD.name in ("asan", "tsan"), "a sanitizer keeps what was freed")
class LargeBodies(unittest.TestCase):
    """Who sends is as fast as who reads: nothing piles up in the front."""

    AT_ONCE = 2
    # In all, of transfers that go nowhere: on the way to the front and from the pod to its
    # program are TCP's buffers, each of which the kernel lets grow up to there.
    BUFFERS = sum(int(pathlib.Path("/proc/sys/net/ipv4", name).read_text().split()[2])
                  for name in ("tcp_rmem", "tcp_wmem"))
    MOST_UNDERWAY = AT_ONCE * 2 * BUFFERS
    SIZE = max(256 << 20, 3 * BUFFERS)
    MOST_GROWN = 8  # MiB of the front's memory

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="ebb-large-")
        cls.addClassCleanup(folder.cleanup)
        settings = pathlib.Path(folder.name, "settings.yaml")
        settings.write_text("maxBody: 300Mi\n")
        cls.body = pathlib.Path(folder.name, "body")
        cls.body.touch()
        os.truncate(cls.body, cls.SIZE)  # of no blocks on the disk
        cls.ebb = Ebb("--config", str(settings)).__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)
        cls.ebb.deploy("large", {"run": LARGE.replace("SIZE", str(cls.SIZE))}, "--max", "1",
                       "--min", "1", "--concurrency", "50", "--timeout", "300s", runtime="exec")

    def setUp(self):
        self.assertEqual(self.ebb.get("large", "/stop").status, 200)
        self.status = pathlib.Path(f"/proc/{self.ebb.front()}/status")
        self.before = self.memory()
        self.highest, self.stopped = self.before, threading.Event()
        self.looking = threading.Thread(target=self.look)
        self.looking.start()

    def tearDown(self):
        self.stopped.set()
        self.looking.join()

    def memory(self):
        """Of the front, in MiB."""
        return int(re.search(r"^RssAnon:\s+(\d+)", self.status.read_text(), re.M)[1]) / 1024

    def look(self):
        while not self.stopped.wait(0.01):
            self.highest = max(self.highest, self.memory())

    def curl(self, version, path, *arguments, **pipes):
        flag = "--http1.1" if version == 1 else "--http2-prior-knowledge"
        process = subprocess.Popen(
            ["curl", "-sS", "--fail", flag, "--max-time", str(PATIENCE * 10), "-H",
             "Host: large.default.localhost", *arguments,
             "http://{}:{}{}".format(*self.ebb.gateway, path)], **pipes)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def until_stuck(self, amount):
        """The amount, once that stands still."""
        last, since = 0, time.monotonic()
        deadline = since + PATIENCE
        while time.monotonic() - since < 0.5 or last == 0:
            self.assertLess(time.monotonic(), deadline, f"it goes on, after {last} bytes")
            if (now := amount()) != last:
                last, since = now, time.monotonic()
            time.sleep(0.02)
        return last

    def check_memory(self):
        self.assertLess(self.highest - self.before, self.MOST_GROWN, f"MiB, from {self.before}")

    def upload(self, version, *body, stdin=False):
        with contextlib.ExitStack() as stack:
            curls = [self.curl(version, "/take", "-T", *body, stdout=subprocess.PIPE, stdin=(
                stack.enter_context(open(self.body)) if stdin else subprocess.DEVNULL))
                for _ in range(self.AT_ONCE)]

            def taken(curl):
                """How far it has read the file."""
                for fd in pathlib.Path(f"/proc/{curl.pid}/fd").iterdir():
                    if os.readlink(fd) == str(self.body):
                        info = pathlib.Path(f"/proc/{curl.pid}/fdinfo", fd.name).read_text()
                        return int(re.search(r"pos:\s+(\d+)", info)[1])
                return 0
            underway = self.until_stuck(lambda: sum(map(taken, curls)))
            self.assertLess(underway, self.MOST_UNDERWAY)
            self.assertEqual(self.ebb.get("large", "/go").status, 200)
            for curl in curls:
                self.assertEqual(int(curl.communicate(timeout=PATIENCE * 10)[0]), self.SIZE)
        self.check_memory()

    def test_uploads_of_known_length(self):
        self.upload(1, str(self.body))

    def test_uploads_in_chunks(self):
        self.upload(1, "-", stdin=True)

    def test_uploads_of_known_length_by_http2(self):
        self.upload(2, str(self.body))

    def test_uploads_of_unknown_length_by_http2(self):
        self.upload(2, "-", stdin=True)

    def download(self, version):
        curls = [self.curl(version, "/give", stdout=subprocess.PIPE) for _ in range(self.AT_ONCE)]
        # Both of them count there.
        underway = self.until_stuck(lambda: int(self.ebb.get("large", "/stop").text))
        self.assertLess(underway, self.MOST_UNDERWAY)
        for curl in curls:
            got = 0
            while piece := curl.stdout.read1(1 << 20):
                got += len(piece)
            self.assertEqual((got, curl.wait()), (self.SIZE, 0))
            curl.stdout.close()
        self.check_memory()

    def test_downloads(self):
        self.download(1)

    def test_downloads_by_http2(self):
        self.download(2)


class CutAnswers(unittest.TestCase):
    """Each says why, where a user looks."""

    STREAM = ("import asyncio, os\n"
              "async def handle(request):\n"
              "    async def events():\n"
              "        yield 'first'\n"
              "        if request.path == '/dies': os._exit(3)\n"
              "        if request.path == '/raises': raise ValueError('no more')\n"
              "        await asyncio.sleep(3600)\n"
              "    return events()\n")

    def begin(self, ebb, path):
        s = socket.create_connection(ebb.gateway, PATIENCE)
        s.sendall(b"GET %b HTTP/1.1\r\nHost: stream.default.localhost\r\n\r\n" % path.encode())
        got = b""
        while b"first" not in got:
            piece = s.recv(1000)
            self.assertTrue(piece, got)
            got += piece
        return s

    def test_why(self):
        with tempfile.TemporaryDirectory() as folder:
            access_log = pathlib.Path(folder, "access.log")
            with Ebb("--access-log", str(access_log)) as ebb:
                def cut(number, reason):
                    wait_until(lambda: ebb.metric("ebb_answers_cut_total", reason=reason) == number,
                               reason)
                ebb.deploy("stream", self.STREAM)
                ebb.deploy("ws", WEBSOCKET.replace("s.sendall(frame(first & 15, data))",
                                                   "__import__('os')._exit(3)"))
                self.begin(ebb, "/dies").close()
                cut(1, "pod_failed")
                self.begin(ebb, "/raises").close()
                cut(2, "pod_failed")
                self.begin(ebb, "/").close()
                cut(1, "client_left")
                ws = WebSocket(ebb.gateway, "ws.default.localhost")
                ws.send(b"die")
                self.assertIsNone(ws.receive())
                ws.close()
                cut(3, "pod_failed")
                self.assertIn("status=200 reason=pod_failed", "".join(ebb.log))
            lines = [json.loads(line) for line in access_log.read_text().splitlines()]
            cuts = [(line["path"], line["cut"]) for line in lines if "cut" in line]
            self.assertEqual(cuts, [("/dies", "pod_failed"), ("/raises", "pod_failed"),
                                    ("/", "client_left"), ("/", "pod_failed")])


class Ending(unittest.TestCase):
    def test_an_open_websocket_does_not_hold_up_the_end(self):
        with tempfile.TemporaryDirectory() as folder:
            access_log = pathlib.Path(folder, "access.log")
            with Ebb("--access-log", str(access_log)) as ebb:
                ebb.deploy("ws", WEBSOCKET)
                closed = WebSocket(ebb.gateway, "ws.default.localhost")
                closed.close()
                ws = WebSocket(ebb.gateway, "ws.default.localhost")
                ws.send(b"hello")
                self.assertEqual(ws.receive(), b"hello")
                start = time.monotonic()
                ebb.signal(signal.SIGINT)
                self.assertEqual(ebb.wait(), 0, "".join(ebb.log))
                self.assertLess(time.monotonic() - start, 15)
                self.assertEqual(ebb.leftovers(), [])
                ws.close()
            lines = [json.loads(line) for line in access_log.read_text().splitlines()]
            upgraded = [line for line in lines if line.get("upgraded")]
            self.assertEqual([line.get("cut") for line in upgraded], [None, "shutdown"], lines)


if __name__ == "__main__":
    unittest.main(verbosity=2)
