"""HTTP/2 and gRPC, with clients and servers of others: curl, nghttp, h2load, grpcio."""

import json
import pathlib
import socket
import subprocess
import tempfile
import unittest

from grpc_server import GRPC_SERVER
from harness import PATIENCE, Ebb, wait_until

# Debian's, which has its grpcio, for clients and functions alike.
PYTHON = "/usr/bin/python3"
HELLO = """\
def handle(request):
    body = request.body or b''
    return f'{request.method} {request.path} {len(body)} {request.headers.get("cookie")}\\n'
"""
STREAM = """\
import time
def handle(request):
    def pieces():
        for i in range(3):
            yield f'{i}\\n'
            time.sleep(0.3)
    return pieces()
"""
GRPC_CLIENT = '''
import json, queue, sys, time
import grpc
address, host, what, trusted = sys.argv[1:5]
options = [("grpc.default_authority", host), ("grpc.max_receive_message_length", 64 << 20)]
if trusted:
    channel = grpc.secure_channel(
        address, grpc.ssl_channel_credentials(open(trusted, "rb").read()),
        options=options + [("grpc.ssl_target_name_override", host)])
else:
    channel = grpc.insecure_channel(address, options=options)
call = {"Unary": channel.unary_unary, "Fails": channel.unary_unary, "Slow": channel.unary_unary,
        "None": channel.unary_unary, "Dies": channel.unary_unary, "Many": channel.unary_stream, "Sums": channel.stream_unary,
        "Talks": channel.stream_stream}
def method(name): return call[name]("/test.Test/" + name)
out = {}
def failure(error):
    return {"code": error.code().name, "details": error.details(),
            "trailers": {k: v for k, v in error.trailing_metadata() or ()}}
if what == "unary":
    answer, rpc = method("Unary").with_call(b"there", timeout=20, metadata=(("x-asked", "told"),))
    out = {"answer": answer.decode(), "initial": dict(rpc.initial_metadata()),
           "trailing": dict(rpc.trailing_metadata())}
elif what == "large":
    out = {"size": len(method("Unary")(b"x" * (5 << 20), timeout=60))}
elif what == "too large":
    try:
        method("Unary")(b"x" * (9 << 20), timeout=60)
    except grpc.RpcError as error:
        out = failure(error)
elif what == "parallel":
    calls = [method("Unary").future(str(i).encode(), timeout=60) for i in range(300)]
    out = {"right": sum(c.result() == b"hi " + str(i).encode() for i, c in enumerate(calls))}
elif what == "many":
    out = {"got": [int(m) for m in method("Many")(b"1000", timeout=20)]}
elif what == "sums":
    out = {"sum": int(method("Sums")((str(i).encode() for i in range(1000)), timeout=20))}
elif what == "talks":
    said = queue.Queue()
    answers = method("Talks")(iter(said.get, None), timeout=20)
    heard = [next(answers).decode()]
    for word in ("one", "two", "three"):
        said.put(word.encode())
        heard.append(next(answers).decode())  # before the next is said
    said.put(None)
    heard += [m.decode() for m in answers]
    out = {"heard": heard}
elif what in ("Fails", "None", "Dies"):
    try:
        method(what)(b"x", timeout=20)
    except grpc.RpcError as error:
        out = failure(error)
elif what == "deadline":
    begin = time.monotonic()
    try:
        method("Slow")(b"x", timeout=0.5)
    except grpc.RpcError as error:
        out = {"code": error.code().name, "seconds": time.monotonic() - begin}
print(json.dumps(out))
'''


# The runtime has no word for what comes before the answer. That waits for another call.
HINTS = """
import threading

go = threading.Event()

def handle(request):
    if request.path == "/go":
        go.set()
        return "gone"
    connection = request._reader._connection.socket
    connection.sendall(b"HTTP/1.1 103 Early Hints\\r\\nLink: </style.css>\\r\\n\\r\\n")
    go.wait()
    go.clear()
    return "hinted"
"""


class Http2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ebb = Ebb().__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)
        cls.ebb.deploy("hello", HELLO)
        cls.url = "http://{}:{}".format(*cls.ebb.gateway)

    def curl(self, *arguments, host="hello.default.localhost"):
        result = subprocess.run(
            ["curl", "-sS", "--max-time", str(PATIENCE), "-w", "\n%{http_version} %{http_code}",
             "-H", f"Host: {host}", *arguments], text=True, capture_output=True, timeout=PATIENCE * 2)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_curl_with_prior_knowledge_and_by_upgrade(self):
        for flag in ("--http2-prior-knowledge", "--http2"):
            self.assertEqual(self.curl(flag, self.url + "/a?b"), "GET /a 0 None\n\n2 200", flag)
        # What has a body stays HTTP/1.1 where the client may only ask.
        self.assertEqual(self.curl("--http2", "-d", "abc", self.url), "POST / 3 None\n\n1.1 200")
        self.assertEqual(self.curl("--http1.1", self.url), "GET / 0 None\n\n1.1 200")
        self.assertIn("\n2 404", self.curl("--http2-prior-knowledge", self.url, host="none.default.localhost"))

    def test_large_bodies(self):
        data = b"x" * (5 << 20)
        result = subprocess.run(
            ["curl", "-sS", "--http2-prior-knowledge", "-H", "Host: hello.default.localhost",
             "--data-binary", "@-", self.url], input=data, capture_output=True, timeout=PATIENCE * 2)
        self.assertEqual(result.stdout, b"POST / %d None\n" % len(data))

    def test_cookies_are_joined(self):
        lines = subprocess.run(["nghttp", "-H", ":authority: hello.default.localhost",
                                "-H", "cookie: a=1", "-H", "cookie: b=2", self.url],
                               text=True, capture_output=True, timeout=PATIENCE).stdout
        self.assertIn("a=1; b=2", lines)

    def test_early_hints_come_before_the_answer(self):
        self.ebb.deploy("hints", HINTS, "--max", "1")
        with socket.create_connection(self.ebb.gateway, timeout=PATIENCE) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: hints.default.localhost\r\n"
                      b"Connection: close\r\n\r\n")
            answer = s.makefile("rb")
            self.assertEqual(answer.readline(), b"HTTP/1.1 103 Early Hints\r\n")
            self.assertEqual(answer.readline(), b"Link: </style.css>\r\n")
            self.assertEqual(answer.readline(), b"\r\n")
            self.assertEqual(self.ebb.get("hints", "/go").text, "gone")
            self.assertEqual(answer.readline(), b"HTTP/1.1 200 OK\r\n")
            self.assertTrue(answer.read().endswith(b"\r\n\r\nhinted"))
        self.ebb.get("hints", "/go")
        heads = self.curl("-i", "--http2-prior-knowledge", self.url,
                          host="hints.default.localhost")
        self.assertRegex(heads, r"(?s)HTTP/2 103 \nlink: </style.css>\n\nHTTP/2 200 .*hinted")

    def test_pieces_arrive_one_by_one(self):
        self.ebb.deploy("stream", STREAM)
        with subprocess.Popen(["curl", "-sSN", "--http2-prior-knowledge",
                               "-H", "Host: stream.default.localhost", self.url],
                              stdout=subprocess.PIPE) as curl:
            self.assertEqual(curl.stdout.read(2), b"0\n")
            self.assertIsNone(curl.poll(), "the rest does not exist yet")
            self.assertEqual(curl.stdout.read(), b"1\n2\n")

    def test_many_streams(self):
        result = subprocess.run(
            ["h2load", "-n3000", "-c4", "-m50", "-H", ":authority: hello.default.localhost", self.url],
            text=True, capture_output=True, timeout=PATIENCE * 3)
        self.assertIn("3000 succeeded, 0 failed, 0 errored", result.stdout)

    def test_an_end_serves_what_is_under_way(self):
        with Ebb() as ebb:
            ebb.deploy("slow", "import time\ndef handle(request):\n    time.sleep(1)\n    return 'served'\n")
            with subprocess.Popen(["curl", "-sS", "--http2-prior-knowledge",
                                   "-H", "Host: slow.default.localhost",
                                   "http://{}:{}".format(*ebb.gateway)], stdout=subprocess.PIPE) as curl:
                wait_until(lambda: ebb.metric("ebb_requests_in_flight", service="slow"), "it is under way")
                ebb.stop()
                self.assertEqual(curl.stdout.read(), b"served")

    def test_who_leaves_before_the_answer_frees_the_slot(self):
        # A minute: longer than the test waits for it.
        self.ebb.deploy("slow", "import time\ndef handle(request):\n    time.sleep(60)\n", "--no-call")
        def under_way():
            return self.ebb.metric("ebb_requests_in_flight", service="slow")
        with subprocess.Popen(["curl", "-sS", "--http2-prior-knowledge",
                               "-H", "Host: slow.default.localhost", self.url]) as curl:
            wait_until(lambda: under_way() == 1, "it is under way")
            curl.kill()
        wait_until(lambda: under_way() == 0, "its slot is free")

    def test_nonsense_ends_the_connection(self):
        before = self.curl("--http2-prior-knowledge", self.url)
        for nonsense in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
                         b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                         b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"):
            with socket.create_connection(self.ebb.gateway, timeout=PATIENCE) as client:
                client.sendall(nonsense)
                while client.recv(4096):
                    pass
        self.assertEqual(self.curl("--http2-prior-knowledge", self.url), before)


class Grpc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="ebb-grpc-")
        cls.addClassCleanup(folder.cleanup)
        cls.certificate = folder.name + "/cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-days", "2", "-subj", "/CN=test", "-addext",
             "subjectAltName=DNS:grpc.default.localhost", "-keyout", folder.name + "/key.pem",
             "-out", cls.certificate], check=True, capture_output=True)
        settings = pathlib.Path(folder.name, "ebb.yaml")
        settings.write_text("https: 127.0.0.1:0\nmaxBody: 8Mi\ncertificates:\n"
                            f"- certificate: {cls.certificate}\n  key: {folder.name}/key.pem\n")
        cls.ebb = Ebb("--config", str(settings)).__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)
        cls.ebb.deploy("grpc", {"run": GRPC_SERVER}, "--port", "h2c:8080", "--no-call",
                       "--concurrency", "0", runtime="exec")

    def client(self, what, host="grpc.default.localhost", tls=False):
        address = self.ebb.https if tls else self.ebb.gateway
        result = subprocess.run(
            [PYTHON, "-c", GRPC_CLIENT, "{}:{}".format(*address), host, what,
             self.certificate if tls else ""], text=True, capture_output=True, timeout=PATIENCE * 5)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def test_unary_with_metadata_both_ways(self):
        out = self.client("unary")
        self.assertEqual(out["answer"], "hi there")
        self.assertEqual(out["initial"]["x-initial"], "told")
        self.assertEqual(out["trailing"]["x-trailing"], "behind")

    def test_by_tls(self):
        self.assertEqual(self.client("unary", tls=True)["answer"], "hi there")
        self.assertEqual(len(self.client("talks", tls=True)["heard"]), 4)
        self.assertEqual(self.client("Fails", tls=True)["code"], "FAILED_PRECONDITION")

    def test_large_messages(self):
        self.assertEqual(self.client("large"), {"size": (5 << 20) + 3})

    def test_many_at_once(self):
        self.assertEqual(self.client("parallel"), {"right": 300})

    def test_streams_of_either_side(self):
        self.assertEqual(self.client("many"), {"got": list(range(1000))})
        self.assertEqual(self.client("sums"), {"sum": 499500})

    def test_a_talk(self):
        self.assertEqual(self.client("talks"), {"heard": [
            "welcome", "you said one", "you said two", "you said three"]})

    def test_errors_come_through(self):
        out = self.client("Fails")
        self.assertEqual((out["code"], out["details"]), ("FAILED_PRECONDITION", "not like this: \u00e4"))
        self.assertEqual(out["trailers"]["x-why"], "because")
        self.assertEqual(self.client("None")["code"], "UNIMPLEMENTED")

    def test_errors_of_the_gateway_have_words(self):
        out = self.client("Fails", host="none.default.localhost")
        self.assertEqual(out["code"], "UNIMPLEMENTED")
        self.assertIn("no function answers for the host", out["details"])
        def refused():
            return self.ebb.metric("ebb_requests_total", service="grpc", code="4xx")
        before = refused()
        out = self.client("too large")
        self.assertEqual(out["code"], "RESOURCE_EXHAUSTED")
        self.assertIn("larger than 8388608 bytes", out["details"])
        wait_until(lambda: refused() == before + 1, "it is counted by what it is in HTTP, 413")
        self.ebb.deploy("dies", {"run": "#!/bin/sh\nread -r line < /dev/tcp/nowhere\nexit 3\n"}, "--port", "h2c",
                        "--no-call", "--no-wait", runtime="exec")
        out = self.client("Fails", host="dies.default.localhost")
        self.assertEqual(out["code"], "UNAVAILABLE")
        self.assertIn("dies", out["details"])

    def test_trailers_behind_a_length(self):
        # nghttp and nghttpd name the length of a body that has trailers. Pods do not see
        # /usr/sbin.
        run = "#!/bin/sh\nexec /code/nghttpd -v --no-tls -d /code --trailer 'grpc-status: 7' $PORT\n"
        self.ebb.deploy("sized", {"run": run, "index.html": "sized\n",
                                  "nghttpd": pathlib.Path("/usr/sbin/nghttpd").read_bytes()},
                        "--port", "h2c", "--no-call", runtime="exec")
        said = subprocess.run(
            ["nghttp", "-v", "-d", "-", "--trailer", "x-told: behind",
             "-H", ":authority: sized.default.localhost", "http://{}:{}/".format(*self.ebb.gateway)],
            input="abc", text=True, capture_output=True, timeout=PATIENCE).stdout
        self.assertIn("content-length: 6", said)
        self.assertIn("recv (stream_id=13) grpc-status: 7", said)
        wait_until(lambda: "x-told: behind" in self.ebb.run("logs", "sized").stdout,
                   "the function got the request's trailers")

    def test_a_pod_that_dies_is_told_of_and_replaced(self):
        out = self.client("Dies")
        self.assertEqual(out["code"], "UNAVAILABLE")
        self.assertIn("exited with code 7", out["details"])
        self.assertEqual(self.client("unary")["answer"], "hi there")

    def test_a_deadline_of_the_client(self):
        out = self.client("deadline")
        self.assertEqual(out["code"], "DEADLINE_EXCEEDED")
        wait_until(lambda: self.ebb.metric("ebb_requests_in_flight", service="grpc") == 0,
                   "its slot is free")


if __name__ == "__main__":
    unittest.main()
