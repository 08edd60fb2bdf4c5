"""What functions of each runtime may do, and what hostile ones cannot."""

import concurrent.futures
import hashlib
import http.client
import json
import os
import pathlib
import re
import socket
import threading
import time
import unittest

import harness
from harness import PATIENCE, WebSocket, wait_until


class Ebb(harness.Ebb):
    """Without deploy's own calls: the tests say who calls, and when a pod ends."""

    def deploy(self, name, source, *options, **more):
        return super().deploy(name, source, "--no-call", *options, **more)


SHORT_START = ("--annotation", "serving.knative.dev/progress-deadline=1s")

# A program in Python that answers as its handler says: for the exec runtime.
PROGRAM = """#!/usr/bin/python3
import http.server, os, sys, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *_): pass
    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        %s
    do_POST = do_GET
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    request_queue_size = 1000
Server(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
"""


def program(body):
    return {"run": PROGRAM % body.replace("\n", "\n        ")}


ASGI_WEBSOCKET = '''
async def app(scope, receive, send):
    if scope["type"] == "http":
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"plain"})
        return
    if scope["type"] != "websocket":
        raise NotImplementedError
    assert (await receive())["type"] == "websocket.connect"
    path = scope["path"]
    if path == "/refuse":
        await send({"type": "websocket.close"})
        return
    if path == "/deny":
        await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"teapot"})
        return
    if path == "/raise":
        raise ValueError("no luck")
    about = "%s %s %s %s" % (scope["scheme"], path, scope["query_string"].decode(),
                             ",".join(scope["subprotocols"]))
    await send({"type": "websocket.accept", "headers": [(b"x-scope", about.encode())],
                "subprotocol": "chat" if "chat" in scope["subprotocols"] else None})
    if path == "/break":
        raise ValueError("within")
    if path == "/close":
        await send({"type": "websocket.close", "code": 3001, "reason": "enough"})
        return
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            print("left", message["code"], message["reason"], flush=True)
            return
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": "text " + message["text"]})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})
'''


def log_of(ebb, service):
    """All lines of a service's pods, without time and pod."""
    out = []
    for revision in ebb.list("revisions"):
        if revision["metadata"]["labels"].get("serving.knative.dev/service") != service:
            continue
        path = pathlib.Path(ebb.data, "logs", revision["metadata"]["uid"] + ".log")
        if path.exists():
            lines = path.read_text(errors="replace").splitlines()
            for line in lines:
                assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [a-z0-9-]+ ", line), line
            out += [line.split(" ", 2)[2] for line in lines]
    return out


def raw_answer(ebb, service, path):
    """All that a client gets of an answer, to its end or its cut."""
    got = b""
    with socket.create_connection(ebb.gateway, timeout=PATIENCE) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {service}.default.localhost\r\n"
                       "Connection: close\r\n\r\n".encode())
        try:
            while piece := client.recv(65536):
                got += piece
        except ConnectionError:
            pass
    return got


class Together(unittest.TestCase):
    # For who speaks to it directly: the gateway does not know, and would end one too many.
    ONE_POD = ("--min", "1", "--max", "1")

    @classmethod
    def setUpClass(cls):
        cls.ebb = Ebb("--pool", "2").__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)

    def deploy(self, name, source, *options, runtime=None, check=True):
        return self.ebb.deploy(name, source, *options, runtime=runtime or self.runtime, check=check)

    def leave_unanswered(self, name):
        """Asks the service's pod as the gateway does, and leaves once its function has printed
        "begun"."""
        before = log_of(self.ebb, name).count("begun")
        [(pod, _)] = self.ebb.pods(name)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{self.ebb.data}/run/pods/{pod}.sock")
            client.sendall(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
            wait_until(lambda: log_of(self.ebb, name).count("begun") > before, "it has begun")

    def check_lengths(self, name):
        """Answers of bodies that are not as long as they declare: /short-whole, /short, /long,
        /none declare 10, 10, 3 and 10 bytes and have 1, 2, 5 and 0."""
        for path, given in (("/short-whole", 1), ("/none", 0)):
            answer = self.ebb.get(name, path)
            self.assertEqual((answer.status, answer.text.lower()),
                             (502, f"the answer declared 10 bytes (content-length) and gave {given}\n"))
        got = raw_answer(self.ebb, name, "/short")
        self.assertTrue(got.startswith(b"HTTP/1.1 200 OK\r\n") and got.endswith(b"\r\n\r\nab"), got)
        self.assertEqual(self.ebb.get(name, "/long").text, "abc")
        self.assertEqual(self.ebb.get(name, "/short", method="HEAD").status, 200)
        said = "ebb: the answer declared %d bytes (content-length) and gave %d%s"
        expected = [said % (10, 1, ""), said % (10, 0, ""), said % (10, 2, ""),
                    said % (3, 5, ": what is more is not sent")]
        wait_until(lambda: [line.lower() for line in log_of(self.ebb, name)] == expected, "one line each")


class Node(Together):
    runtime = "node"

    def test_what_a_function_may_return(self):
        self.deploy("kinds", {"main.mjs": """
const made = {
  '/response': () => new Response('made', { status: 201, headers: [['x-kind', 'r'], ['set-cookie', 'a=1'], ['set-cookie', 'b=2']] }),
  '/empty': () => new Response(null, { status: 404 }),
  '/json': () => Response.json({ a: [1] }),
  '/text': () => 'text', '/object': () => ({ a: 1 }), '/bytes': () => new Uint8Array([114, 97, 119]),
  '/none': () => undefined, '/number': () => 7,
  '/stream': () => new ReadableStream({ async start(c) { for (const p of ['a', 'b', 'c']) c.enqueue(p); c.close(); } }),
  '/generator': () => (async function* () { yield 'one '; yield 'two'; })(),
  '/raw-generator': () => (async function* () { yield new Uint8Array([97]); yield 'b'; })(),
  '/no-piece': () => (async function* () {})(),
  '/numbers': () => (async function* () { yield 5; })(),
  '/throw': () => { throw new TypeError('no luck'); },
  '/reject': async () => { throw null; },
  '/function': () => () => 1,
  '/sync-generator': () => (function* () { yield 'one '; yield 'two'; })(),
  '/map': () => new Map([['a', 1]]), '/array': () => [1, 2], '/error': () => new TypeError('returned'),
};
export default async (request) => {
  const url = new URL(request.url);
  if (url.pathname === '/echo') {
    return `${request.method} ${url.search} ${request.headers.get('x-in')} ${await request.text()} ${url.host}`;
  }
  return made[url.pathname]();
};
"""})
        def call(path, **kw):
            return self.ebb.get("kinds", path, headers={"X-In": "in"}, **kw)
        answer = call("/response")
        self.assertEqual((answer.status, answer.text, answer.headers["x-kind"]), (201, "made", "r"))
        self.assertEqual(answer.headers.get_all("set-cookie"), ["a=1", "b=2"])
        self.assertEqual(answer.headers["content-length"], "4")
        self.assertEqual((call("/empty").status, call("/empty").body), (404, b""))
        self.assertEqual(call("/json").body, b'{"a":[1]}')
        self.assertEqual(call("/text").headers["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(call("/object").headers["content-type"], "application/json")
        self.assertEqual(call("/bytes").body, b"raw")
        self.assertEqual(call("/none").status, 204)
        self.assertEqual(call("/number").body, b"7")
        self.assertEqual(call("/stream").body, b"abc")
        self.assertEqual(call("/generator").body, b"one two")
        answer = call("/sync-generator")
        self.assertEqual((answer.text, answer.headers["content-type"]), ("one two", "text/plain; charset=utf-8"))
        self.assertEqual((call("/map").text, call("/array").text), ('{"a":1}', "[1,2]"))
        answer = call("/error")
        self.assertEqual((answer.status, answer.text), (502, "the function threw TypeError: returned\n"))
        for path, kind in (("/generator", "text/plain; charset=utf-8"), ("/stream", "text/plain; charset=utf-8"),
                           ("/raw-generator", "application/octet-stream"), ("/no-piece", "application/octet-stream")):
            self.assertEqual((call(path).status, call(path).headers["content-type"]), (200, kind), path)
        answer = call("/numbers")
        self.assertEqual((answer.status, answer.text),
                         (502, "the function streamed number: expected strings or Uint8Arrays\n"))
        self.assertEqual(call("/text", method="HEAD").body, b"")
        answer = call("/throw")
        self.assertEqual((answer.status, answer.text), (502, "the function threw TypeError: no luck\n"))
        self.assertEqual(call("/reject").status, 502)
        self.assertIn("expected a Response", call("/function").text)
        self.assertEqual(call("/echo?q=1", method="PUT", body=b"data").text,
                         "PUT ?q=1 in data kinds.default.localhost")
        self.assertIn("TypeError: no luck", "\n".join(log_of(self.ebb, "kinds")))

    def test_the_shapes_of_a_module(self):
        shapes = {
            "esm-fetch": {"main.js": "export default { hi: 'hi', fetch(r) { return this.hi; } }",
                          "package.json": '{"type": "module"}'},
            "cjs": {"index.js": "module.exports = () => 'hi'"},
            "cjs-handle": {"main.cjs": "exports.handle = async () => 'hi'"},
            "cjs-default": {"main.js": "exports.default = () => require('./lib/hi')",
                            "lib/hi.js": "module.exports = 'hi'"},
            "named": {"package.json": '{"main": "src/start.mjs"}',
                      "src/start.mjs": "import { hi } from './hi.mjs'\nexport default () => hi",
                      "src/hi.mjs": "export const hi = 'hi'"},
            # What it reads while it is loaded is read as ever.
            "reads": {"main.mjs": """
import fs from 'node:fs';
const read = (name) => fs.promises.readFile(new URL(name, import.meta.url));
const [first, lost] = await Promise.all([read('./h.txt'), read('./none').catch((e) => e.code)]);
export default async () => (lost === 'ENOENT' ? `${first}${(await import('./i.mjs')).i}` : lost);
""", "h.txt": "h", "i.mjs": "export const i = 'i'"},
        }
        for name, files in shapes.items():
            with self.subTest(name):
                self.deploy(name, files)
                self.assertEqual(self.ebb.get(name).text, "hi")

    def test_its_environment(self):
        self.deploy("env", {"main.js": "module.exports = () => ({...process.env, cwd: process.cwd()})"},
                    "--env", "MINE=yes")
        import json
        seen = json.loads(self.ebb.get("env").text)
        for name, value in {"MINE": "yes", "PORT": "8080", "K_SERVICE": "env", "K_CONFIGURATION": "env",
                            "K_REVISION": "env-00001", "HOME": "/tmp", "cwd": "/code"}.items():
            self.assertEqual(seen[name], value)

    def test_bodies_stream_both_ways_and_many_at_once(self):
        self.deploy("stream", {"main.mjs": """
import { createHash } from 'node:crypto';
export default async (request) => {
  const digest = createHash('sha256');
  for await (const piece of request.body) digest.update(piece);
  return new Response(new ReadableStream({
    left: 50,
    start(c) { c.enqueue(new TextEncoder().encode(digest.digest('hex'))); },
    pull(c) { if (this.left-- > 0) c.enqueue(new Uint8Array(100_000)); else c.close(); },
  }));
};
"""})
        body = os.urandom(5_000_000)
        def call(_):
            return self.ebb.get("stream", method="POST", body=body).body
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for answer in pool.map(call, range(8)):
                self.assertEqual(answer[:64].decode(), hashlib.sha256(body).hexdigest())
                self.assertEqual(len(answer), 64 + 5_000_000)

    def test_a_streamed_piece_arrives_before_the_next_exists(self):
        self.deploy("drip", {"main.mjs": """
export default async function (request) {
  const reader = request.body.getReader();
  await reader.read();
  return (async function* () { yield 'first'; await reader.read(); yield 'second'; })();
}
"""})
        connection = self.ebb.connection()
        connection.putrequest("POST", "/", skip_host=True)
        connection.putheader("Host", "drip.default.localhost")
        connection.putheader("Content-Length", "2")
        connection.endheaders()
        connection.send(b"1")
        answer = connection.getresponse()
        self.assertEqual(answer.read(5), b"first")
        connection.send(b"2")
        self.assertEqual(answer.read(), b"second")
        connection.close()

    def test_a_client_that_leaves_aborts_the_request(self):
        self.deploy("leave", {"main.mjs": """
let aborted = 0;
export default (request) => {
  if (request.url.endsWith('/count')) return String(aborted);
  request.signal.addEventListener('abort', () => { aborted += 1; });
  return (async function* () { for (;;) { yield 'x'.repeat(10_000); await new Promise((r) => setTimeout(r, 5)); } })();
};
"""})
        connection = self.ebb.connection()
        connection.request("GET", "/", headers={"Host": "leave.default.localhost"})
        connection.getresponse().read(10_000)
        connection.sock.close()
        connection.close()
        wait_until(lambda: self.ebb.get("leave", "/count").text == "1", "the function hears of it")

    def test_a_client_that_leaves_before_the_answer_aborts_the_request(self):
        self.deploy("early", {"main.mjs": """
export default (request) => new Promise((resolve) => {
  if (request.method === 'GET') return resolve('here');
  console.log('begun');
  request.signal.addEventListener('abort', () => { console.log('aborted'); resolve(); });
});
"""}, *self.ONE_POD)
        self.assertEqual(self.ebb.get("early").text, "here")
        self.leave_unanswered("early")
        wait_until(lambda: log_of(self.ebb, "early") == ["begun", "aborted"], "the function hears of it")

    def test_bodies_of_another_length_than_declared(self):
        self.deploy("lengths", {"main.mjs": """
const answers = {
  '/short-whole': [10, 'a'], '/short': [10, 'a', 'b'], '/long': [3, 'ab', 'cde'], '/none': [10],
};
export default (request) => {
  const [length, ...pieces] = answers[new URL(request.url).pathname];
  return new Response(new ReadableStream({
    async pull(c) {
      if (pieces.length === 0) return c.close();
      c.enqueue(new TextEncoder().encode(pieces.shift()));
      await new Promise(setImmediate);
    },
  }, { highWaterMark: 0 }), { headers: { 'content-length': String(length) } });
};
"""})
        self.check_lengths("lengths")

    def test_a_stream_that_fails_is_cut_behind_its_first_piece(self):
        self.deploy("fails", {"main.mjs": """
async function* late() { yield 'one'; throw new Error('too late'); }
function* sync() { yield 'one'; throw new Error('too late'); }
const made = {
  '/generator': late, '/sync': sync, '/fine': () => 'fine',
  '/stream': () => new ReadableStream({ start(c) { c.enqueue('one'); }, pull() { throw new Error('too late'); } }),
};
export default (request) => {
  const { pathname } = new URL(request.url);
  console.log('run ' + pathname);
  return made[pathname]();
};
"""})
        self.assertEqual(self.ebb.get("fails", "/fine").text, "fine")
        for path in ("/generator", "/stream", "/sync"):
            with self.subTest(path):
                got = raw_answer(self.ebb, "fails", path)
                self.assertTrue(got.startswith(b"HTTP/1.1 200 OK\r\n"), got)
                self.assertTrue(got.endswith(b"\r\n\r\n3\r\none\r\n"), got)
                self.assertEqual(log_of(self.ebb, "fails").count("run " + path), 1)
        wait_until(lambda: log_of(self.ebb, "fails").count("Error: too late") == 3, "the errors in the log")

    def test_a_body_that_the_function_does_not_read(self):
        self.deploy("unread", {"main.mjs": """
export default async (request) => {
  if (request.url.endsWith('/part')) await request.body.getReader().read();
  if (request.url.endsWith('/throw')) throw new Error('no luck');
  return 'whole';
};
"""})
        for path, status in (("/", 200), ("/part", 200), ("/throw", 502)):
            self.assertEqual(self.ebb.get("unread", path, method="POST", body=bytes(20_000_000)).status, status)

    def test_garbage_is_collected_before_the_pods_memory_ends(self):
        self.deploy("garbage", {"main.mjs": """
const kept = [];
for (let i = 0; i < 300_000; ++i) kept.push({ i, text: 'kept ' + i });
export default () => {
  let sum = 0;
  for (let round = 0; round < 40; ++round) {
    const waste = [];
    for (let i = 0; i < 50_000; ++i) waste.push({ i, more: [i, i + 1] });
    sum += waste.length;
  }
  return [sum, kept.length];
};
"""})
        for _ in range(5):
            self.assertEqual(self.ebb.get("garbage").text, "[2000000,300000]")


class Exec(Together):
    runtime = "exec"

    def test_bodies_pass_both_ways_at_once_on_many_connections(self):
        self.deploy("echo", program("""
import hashlib
import json
body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
self.answer(hashlib.sha256(body).hexdigest().encode() + bytes(3_000_000))
"""))
        body = os.urandom(3_000_000)
        def call(_):
            return self.ebb.get("echo", method="POST", body=body).body
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for answer in pool.map(call, range(32)):
                self.assertEqual(answer[:64].decode(), hashlib.sha256(body).hexdigest())
                self.assertEqual(len(answer), 64 + 3_000_000)

    def test_its_environment_and_log(self):
        self.deploy("env", program(
            "self.answer(' '.join(os.environ[n] for n in "
            "('PORT', 'K_SERVICE', 'K_REVISION', 'MINE')).encode() + os.getcwd().encode())\n"
            "print('asked', flush=True)"), "--env", "MINE=yes")
        self.assertEqual(self.ebb.get("env").text, "8080 env env-00001 yes/code")
        wait_until(lambda: "asked" in log_of(self.ebb, "env"), "its output in the log")

    def test_a_program_that_listens_late_and_on_ipv6_only(self):
        self.deploy("late", {"main": """#!/usr/bin/python3
import http.server, socket, time, os
time.sleep(0.3)
class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'late')
Server(('::1', int(os.environ['PORT'])), Handler).serve_forever()
"""})
        self.assertEqual(self.ebb.get("late").text, "late")

    def test_packages_beside_the_code(self):
        files = program("import dep; self.answer(dep.NAME.encode() + os.popen('tool').read().encode())")
        self.deploy("packages", {**files, ".ebb/python/dep.py": "NAME = 'installed '\n",
                                 ".ebb/python/bin/tool": "#!/bin/sh\necho tool\n"})
        self.assertEqual(self.ebb.get("packages").text, "installed tool\n")

    def test_a_program_starts_with_the_signals_of_any_other(self):
        status = "$(grep -E '^Sig(Ign|Blk)' /proc/self/status)"
        server = program("self.answer(os.environ['STATUS'].encode())")["run"]
        self.deploy("signals", {"run": f'#!/bin/sh\nexport STATUS="{status}"\n'
                                       "exec /usr/bin/python3 /code/server\n", "server": server})
        _, blocked, _, ignored = self.ebb.get("signals").text.split()
        self.assertEqual(int(blocked, 16), 0)
        self.assertEqual(int(ignored, 16) & 0x7fffffff, 0, "but the C library's own")

    def test_a_program_that_ends_is_replaced(self):
        self.deploy("ends", program("os._exit(9) if self.path == '/end' else self.answer(b'here')"))
        self.assertEqual(self.ebb.get("ends").text, "here")
        answer = self.ebb.get("ends", "/end")
        self.assertEqual(answer.status, 502)
        self.assertIn("exited with code 9", answer.text)
        self.assertEqual(self.ebb.get("ends").text, "here")


class Python(Together):
    runtime = "python"

    def test_the_content_type_of_a_stream_is_that_of_its_first_piece(self):
        source = '''
%s
kinds = {'/text': ['a', b'b'], '/bytes': [b'a', 'b'], '/array': [bytearray(b'a'), memoryview(b'b')],
         '/empty': [], '/numbers': range(4), '/none': [None], '/late': ['a', 5]}
def fail():
    raise KeyError('before the first piece')
    yield
%s handle(request):
    if request.path == '/named': return iter(['<a>', 'b']), {'Content-Type': 'text/html'}
    if request.path == '/raises': return fail()
    return stream(kinds[request.path])
'''
        text, raw = "text/plain; charset=utf-8", "application/octet-stream"
        for name, stream in (("sync", "def stream(pieces): return iter(pieces)\n"),
                             ("generator", "def stream(pieces): yield from pieces\n"),
                             ("async", "async def stream(pieces):\n    for piece in pieces: yield piece\n"),
                             ("mixed", "def stream(pieces): yield from pieces\n")):
            self.deploy("first-" + name, source % (stream, "async def" if name in ("async", "mixed") else "def"))
            def call(path, **more):
                return self.ebb.get("first-" + name, path, **more)
            with self.subTest(name):
                for path, kind, body in (("/text", text, b"ab"), ("/bytes", raw, b"ab"), ("/array", raw, b"ab"),
                                         ("/empty", raw, b""), ("/named", "text/html", b"<a>b")):
                    answer = call(path)
                    self.assertEqual((answer.status, answer.headers["content-type"], answer.body),
                                     (200, kind, body), path)
                answer = call("/text", method="HEAD")
                self.assertEqual((answer.status, answer.headers["content-type"], answer.body), (200, text, b""))
                for path, kind in (("/numbers", "int"), ("/none", "NoneType")):
                    answer = call(path)
                    self.assertEqual((answer.status, answer.text), (502, f"the function raised TypeError: handle "
                                     f"streamed {kind}: expected pieces of str or bytes\n"))
                answer = call("/raises")
                self.assertEqual(answer.status, 502)
                self.assertIn("KeyError: 'before the first piece'", answer.text)
                with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                    call("/late")  # the head had left: only a cut tells

    def test_what_else_a_function_may_return(self):
        self.deploy("more", """
from http import HTTPStatus
def handle(request):
    return {'/enum': ('a', HTTPStatus.ACCEPTED), '/headers': ('b', {'x-a': ['1', '2']}),
            '/pairs': (b'c', 200, [('x-b', 3)]), '/text': ('d', '404 Not Here')}[request.path]
""")
        self.assertEqual(self.ebb.get("more", "/enum").status, 202)
        self.assertEqual(self.ebb.get("more", "/headers").headers.get_all("x-a"), ["1", "2"])
        self.assertEqual(self.ebb.get("more", "/pairs").headers["x-b"], "3")
        self.assertEqual(self.ebb.get("more", "/text").status, 404)

    def test_async_handlers_share_a_loop(self):
        self.deploy("async", """
import asyncio
together, most = 0, 0
async def handle(request):
    global together, most
    if request.path == '/raise': raise ValueError('no luck')
    if request.path == '/stream':
        async def pieces():
            yield 'one '
            await asyncio.sleep(0)
            yield 'two'
        return pieces(), 201
    together += 1
    most = max(most, together)
    await asyncio.sleep(0.2)
    together -= 1
    return {'most': most, 'body': request.text}
""")
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: self.ebb.get("async", method="POST", body=b"x"), range(50)))
        self.assertEqual({a.status for a in answers}, {200})
        self.assertIn(b'"body": "x"', answers[0].body)
        self.assertGreater(max(int(re.search(rb'"most": (\d+)', a.body)[1]) for a in answers), 5)
        answer = self.ebb.get("async", "/stream")
        self.assertEqual((answer.status, answer.text), (201, "one two"))
        self.assertEqual(self.ebb.get("async", "/raise").text, "the function raised ValueError: no luck\n")

    def test_an_async_generator_streams(self):
        self.deploy("agen", "async def handle(request):\n    for i in range(3):\n        yield str(i)\n")
        self.assertEqual(self.ebb.get("agen").text, "012")

    def test_a_wsgi_application(self):
        self.deploy("wsgi", """
import wsgiref.validate
def application(environ, start_response):
    body = environ['wsgi.input'].read(100)
    start_response('201 Made', [('Content-Type', 'text/plain'), ('X-Path', environ['PATH_INFO'])])
    return iter([environ['REQUEST_METHOD'].encode(), b' ', body])
app = wsgiref.validate.validator(application)
""")
        answer = self.ebb.get("wsgi", "/a%20b?q", method="POST", body=b"body")
        self.assertEqual((answer.status, answer.text, answer.headers["x-path"]), (201, "POST body", "/a b"))
        self.assertEqual(self.ebb.get("wsgi", method="HEAD").body, b"")

    def test_a_wsgi_application_must_give_bytes(self):
        self.deploy("wsgi-str", """
def app(environ, start_response):
    start_response('200 OK', [])
    path = environ['PATH_INFO']
    return {'/list': ['text'], '/second': [b'', 'text'], '/str': 'text'}.get(path) or (p for p in ['text'])
""")
        for path in ("/list", "/second", "/str", "/generator"):
            answer = self.ebb.get("wsgi-str", path)
            self.assertEqual((answer.status, answer.text),
                             (502, "the function raised TypeError: WSGI apps must give bytes, not str\n"), path)
        self.assertIn("TypeError: WSGI apps must give bytes, not str", log_of(self.ebb, "wsgi-str"))

    def test_bodies_of_another_length_than_declared(self):
        answers = """
answers = {'/short-whole': (b'10', [b'a']), '/short': (b'10', [b'a', b'b']),
           '/long': (b'3', [b'ab', b'cde']), '/none': (b'10', [])}
"""
        self.deploy("wsgi-lengths", answers + """
def app(environ, start_response):
    path = environ['PATH_INFO']
    length, pieces = answers[path]
    start_response('200 OK', [('Content-Length', length.decode())])
    return iter(pieces) if path == '/short' else pieces
""")
        self.deploy("asgi-lengths", answers + """
async def app(scope, receive, send):
    if scope['type'] != 'http':
        raise NotImplementedError
    length, pieces = answers[scope['path']]
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', length)]})
    for piece in pieces[:-1]:
        await send({'type': 'http.response.body', 'body': piece, 'more_body': True})
    await send({'type': 'http.response.body', 'body': b''.join(pieces[-1:])})
""")
        self.check_lengths("wsgi-lengths")
        self.check_lengths("asgi-lengths")

    def test_a_body_that_the_function_does_not_read(self):
        answer = "def answer(path):\n    if path == '/raise': raise ValueError('no luck')\n    return 'whole'\n"
        for name, source in (
                ("handle", "def handle(request): return answer(request.path)\n"),
                ("wsgi", "def app(environ, start_response):\n    text = answer(environ['PATH_INFO'])\n"
                         "    start_response('200 OK', [])\n    return [text.encode()]\n"),
                ("asgi", "async def app(scope, receive, send):\n    text = answer(scope.get('path', '/raise'))\n"
                         "    await send({'type': 'http.response.start', 'status': 200})\n"
                         "    await send({'type': 'http.response.body', 'body': text.encode()})\n")):
            self.deploy("unread-" + name, answer + source)
            for path, status in (("/", 200), ("/raise", 502)):
                with self.subTest(name + path):
                    got = self.ebb.get("unread-" + name, path, method="POST", body=bytes(20_000_000))
                    self.assertEqual(got.status, status)

    def test_numbers_that_json_does_not_have(self):
        self.deploy("nan", "def handle(request): return {'x': [float(request.args['x'])]}\n")
        for number in ("nan", "inf"):
            answer = self.ebb.get("nan", "/?x=" + number)
            self.assertEqual((answer.status, answer.text), (
                502, "the function raised ValueError: handle returned NaN or an infinity, which JSON does not have\n"))
        self.assertEqual(self.ebb.get("nan", "/?x=1").text, '{"x": [1.0]}')

    def test_an_asgi_application_whose_client_leaves(self):
        self.deploy("asgi-leave", """
async def app(scope, receive, send):
    if scope['type'] != 'http':
        raise NotImplementedError
    if scope['path'] == '/wait':
        print('begun', flush=True)
        while (await receive())['type'] != 'http.disconnect':
            pass
        print('left', flush=True)
        return
    await send({'type': 'http.response.start', 'status': 200})
    await send({'type': 'http.response.body', 'body': b'here'})
""", *self.ONE_POD)
        self.assertEqual(self.ebb.get("asgi-leave").text, "here")
        self.leave_unanswered("asgi-leave")
        wait_until(lambda: "left" in log_of(self.ebb, "asgi-leave"), "the application hears of it")
        self.leave_unanswered("asgi-leave")
        wait_until(lambda: log_of(self.ebb, "asgi-leave").count("left") == 2, "it hears again")
        self.assertEqual(log_of(self.ebb, "asgi-leave"), ["begun", "left"] * 2)

    def test_an_asgi_application(self):
        self.deploy("asgi", """
events = []
class App:
    async def __call__(self, scope, receive, send):
        if scope['type'] == 'lifespan':
            while True:
                message = await receive()
                events.append(message['type'])
                await send({'type': message['type'] + '.complete'})
                if message['type'] == 'lifespan.shutdown':
                    print('shut down well', flush=True)
                    return
        body = b''
        while (message := await receive()).get('more_body'):
            body += message['body']
        if scope['path'] == '/raise':
            raise ValueError('no luck')
        await send({'type': 'http.response.start', 'status': 202,
                    'headers': [(b'x-query', scope['query_string'])]})
        for piece in (body, b' ', ','.join(events).encode()):
            await send({'type': 'http.response.body', 'body': piece, 'more_body': True})
        await send({'type': 'http.response.body'})
app = App()
""")
        wait_until(lambda: "shut down well" in log_of(self.ebb, "asgi"), "the first pod's shutdown")
        answer = self.ebb.get("asgi", "/x?q=1", method="POST", body=iter([b"bo", b"dy"]))
        self.assertEqual((answer.status, answer.text), (202, "body lifespan.startup"))
        self.assertEqual(answer.headers["x-query"], "q=1")
        self.assertIn("ValueError: no luck", self.ebb.get("asgi", "/raise").text)
        self.assertEqual(self.ebb.get("asgi", method="HEAD").status, 202)

    def test_an_asgi_websocket(self):
        self.deploy("sockets", ASGI_WEBSOCKET)
        host = "sockets.default.localhost"

        def open_one(path="/chat?q=1", **fields):
            return WebSocket(self.ebb.gateway, host, path, **fields)

        with self.subTest("messages in both directions"):
            ws = open_one(**{"Sec-WebSocket-Protocol": "soap, chat"})
            self.assertEqual((ws.status, ws.headers["sec-websocket-accept"]), (101, ws.accept))
            self.assertEqual(ws.headers["sec-websocket-protocol"], "chat")
            self.assertEqual(ws.headers["x-scope"], "ws /chat q=1 soap,chat")
            ws.send("käse".encode(), 1)
            self.assertEqual(ws.receive_frame(), (1, "text käse".encode()))
            for size in (0, 200, 100_000, 3_000_000):
                data = os.urandom(size)
                ws.send(data, 2)
                self.assertEqual(ws.receive_frame(), (2, data))
            ws.send(b"ping", 9)
            self.assertEqual(ws.receive_frame(), (10, b"ping"))
            ws.send((4321).to_bytes(2, "big") + b"bye", 8)
            self.assertEqual(ws.receive_frame(), (8, (4321).to_bytes(2, "big")))
            self.assertEqual(ws.file.read(), b"")
            wait_until(lambda: "left 4321 bye" in log_of(self.ebb, "sockets"), "the disconnect")
            ws.close()

        with self.subTest("the application closes"):
            ws = open_one("/close")
            ws.send(b"", 8)
            self.assertEqual(ws.receive_frame(), (8, (3001).to_bytes(2, "big") + b"enough"))
            self.assertEqual(ws.file.read(), b"")
            ws.close()

        with self.subTest("a client that is simply gone"):
            open_one().close()
            wait_until(lambda: "left 1006 " in log_of(self.ebb, "sockets"), "the disconnect")

        with self.subTest("a client against the protocol"):
            ws = open_one()
            ws.socket.sendall(b"\x81\x01x")  # not masked
            opcode, data = ws.receive_frame()
            self.assertEqual((opcode, data[:2]), (8, (1002).to_bytes(2, "big")))
            ws.close()

        with self.subTest("refusals"):
            for path, status in (("/refuse", 403), ("/deny", 418), ("/raise", 502)):
                ws = open_one(path)
                self.assertEqual(ws.status, status, path)
                ws.close()
            ws = open_one(**{"Sec-WebSocket-Version": "8"})
            self.assertEqual((ws.status, ws.headers["sec-websocket-version"]), (426, "13"))
            ws.close()

        with self.subTest("an exception in an open one"):
            ws = open_one("/break")
            self.assertEqual(ws.receive_frame()[1][:2], (1011).to_bytes(2, "big"))
            ws.close()

        with self.subTest("http beside it"):
            self.assertEqual(self.ebb.get("sockets").text, "plain")

    def test_code_that_loads_slowly_stays_loaded(self):
        source = ("import os, time\ntime.sleep(0.3)\nLOADED = time.monotonic()\n"
                  "def handle(r):\n    return '%d %r' % (os.getpid(), LOADED)\n")
        wrong = self.ebb.deploy("heavy", source, "--annotation", "ebb.dev/preload=perhaps", check=False)
        self.assertIn('must be "true", "auto" or "false"', wrong.stderr)
        self.deploy("heavy", source, "--annotation", "ebb.dev/preload=true",
                    "--annotation", "autoscaling.knative.dev/window=6s")
        self.ebb.get("heavy")  # the first pod loads its code itself
        wait_until(lambda: "the code stays loaded here" in self.ebb.run("logs", "heavy").stdout,
                   "a pod that holds the code loaded")
        for _ in range(2):
            wait_until(lambda: not self.ebb.pods("heavy"), "zero", 60)
            began = time.monotonic()
            pid, loaded = self.ebb.get("heavy").text.split()
            self.assertNotEqual(pid, "1", "it is a fork")
            self.assertLess(float(loaded), began, "of what was loaded before the call")

    def test_files_named_like_the_runtimes_own(self):
        names = ("request", "server", "frames", "answer", "pod", "wsgi")
        self.deploy("names", {"main.py": "".join(f"import {n}\n" for n in names) +
                              "def handle(r): return r.path + ' ' + ' '.join(("
                              + ", ".join(n + ".MINE" for n in names) + "))\n",
                              **{n + ".py": f"MINE = 'my {n}'\n" for n in names}})
        self.assertEqual(self.ebb.get("names").text, "/ " + " ".join("my " + n for n in names))

    def test_what_the_pod_did_to_warm_up_is_not_seen(self):
        self.deploy("fresh", {"main.py": """
import os, sys, threading
SEEN = {
    "environment": sorted(os.environ),
    "modules": sorted(n for n, m in sys.modules.items() if n != "__main__" and
                      (getattr(m, "__file__", None) or "").startswith("/ebb/runtime")),
    "path": sys.path[:2], "folder": os.getcwd(), "main": sys.modules["main"].__name__,
    "service": os.environ["K_SERVICE"],
}
COUNT = 0
def handle(request):
    global COUNT
    COUNT += 1
    return dict(SEEN, count=COUNT)
"""}, "--env", "MINE=1")
        seen = json.loads(self.ebb.get("fresh").text)
        self.assertEqual(seen["environment"], sorted(
            ["EBB_GATEWAY", "HOME", "K_CONFIGURATION", "K_REVISION", "K_SERVICE", "LANG", "MINE",
             "PATH", "PORT"]))
        self.assertEqual(seen["modules"], [])
        self.assertEqual((seen["path"][0], seen["folder"]), ("/code", "/code"))
        self.assertNotIn("/ebb/runtime", seen["path"])
        self.assertEqual((seen["main"], seen["service"], seen["count"]), ("main", "fresh", 1))

    def test_packages_beside_the_code(self):
        self.deploy("packages", {"main.py": "import dep\ndef handle(r): return dep.NAME\n",
                                 ".ebb/python/dep.py": "NAME = 'installed'\n"})
        self.assertEqual(self.ebb.get("packages").text, "installed")


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ebb = Ebb("--pool", "2").__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)
        cls.ebb.deploy("bystander", "def handle(request): return 'fine'\n")

    def tearDown(self):
        start = time.monotonic()
        self.assertEqual(self.ebb.get("bystander").text, "fine")
        self.assertLess(time.monotonic() - start, 5)

    def fails_to_start(self, runtime, source, expected, *options):
        """The error is in deploy's output, in the condition and in the 503's body."""
        ebb, name = self.ebb, "broken"
        deployed = ebb.deploy(name, source, *options, runtime=runtime, check=False)
        self.assertEqual(deployed.returncode, 1, deployed.stdout + deployed.stderr)
        for text in expected:
            self.assertIn(text, deployed.stderr)
            self.assertIn(text, ebb.condition(name)["message"])
        answer = ebb.get(name)
        self.assertEqual(answer.status, 503)
        self.assertIn(expected[0], answer.text)
        ebb.run("delete", "service", name)
        wait_until(lambda: ebb.get(name).status == 404, "it is deleted")

    def test_code_that_does_not_start(self):
        for runtime, source, expected in (
                ("node", {"main.mjs": "export const x = 1"}, ["main.mjs exports no function"]),
                ("node", {"main.mjs": "\nsyntax error"}, ["SyntaxError: Unexpected identifier", "/code/main.mjs:2"]),
                ("node", {"main.mjs": "import 'missing'"}, ["missing"]),
                ("node", {"main.js": "console.log('last words'); process.exit(3)"},
                 ["exited with code 3 while it loaded its code", "last words"]),
                ("node", {"package.json": '{"main": "gone.js"}'}, ['"gone.js"']),
                ("exec", {"run": "echo"}, ["/code/run is not executable"]),
                ("exec", {"run": "#!/bin/sh\necho last words\nexit 4\n"},
                 ["/code/run exited with code 4 before it listened on port 8080", "last words"]),
                ("exec", {"run": "#!/no/such/shell\n"}, ["cannot run /code/run"]),
                ("exec", {"run": b"\x7fELF garbage"}, ["not a program for this machine"]),
                ("exec", {"run": "#!/bin/sh\nkill -SEGV $$\n"}, ["ended by signal 11"]),
                ("python", "app = 3\n", ["app in main.py is not callable"]),
                ("python", "def app(a): pass\n", ["neither a WSGI application"])):
            with self.subTest(f"{runtime} {expected[0]}"):
                self.fails_to_start(runtime, source, expected)

    def test_code_without_what_its_runtime_starts_from(self):
        ebb = self.ebb
        for runtime, expected in (("node", "none of main.mjs, main.js,"),
                                  ("exec", "none of run, main, server: the exec runtime starts there"),
                                  ("python", "no main.py: the python runtime starts there")):
            with self.subTest(runtime):
                refused = ebb.deploy("without", {"readme": "x"}, runtime=runtime, check=False)
                self.assertEqual(refused.returncode, 1)
                self.assertIn(expected, refused.stderr)
                self.assertNotIn("Uploading", refused.stderr)
                self.assertEqual(ebb.run("get", "service", "without", check=False).returncode, 1)

    def test_a_memory_limit_below_what_a_pod_needs(self):
        for runtime, source in (("python", "def handle(request): return 'fine'\n"),
                                ("node", {"main.mjs": "export default () => 'fine'"}),
                                ("exec", program("self.answer(b'fine')"))):
            with self.subTest(runtime):
                self.fails_to_start(runtime, source, ["the memory limit of 1Ki is too small for a pod to start in: "
                                                      f"a pod of the runtime {runtime} holds "], "--memory", "1Ki")

    def test_code_that_hangs_while_it_loads(self):
        for runtime, source in (("node", {"main.mjs": "while (true) {}"}),
                                ("node", {"main.mjs": "await new Promise(() => {})"}),
                                ("exec", {"run": "#!/bin/sh\nexec sleep 1000\n"})):
            with self.subTest(runtime):
                expected = "did not finish loading within 1 s"
                if runtime == "exec":
                    expected += ": nothing listens on port 8080 ($PORT)"
                self.fails_to_start(runtime, source, [expected], *SHORT_START)

    def test_crashes_and_exits_in_a_request(self):
        for runtime, source, expected in (
                ("node", {"main.mjs": "export default () => process.exit(5)"}, "exited with code 5"),
                ("node", {"main.mjs": "export default () => { setTimeout(() => { throw new Error('later'); }); "
                                      "return new Promise(() => {}); }"}, "exited with code 1"),
                ("node", {"main.mjs": "export default () => process.kill(1, 'SIGKILL') && process.abort()"},
                 "ended by signal"),
                ("exec", program("os.abort()"), "exited with code 134"),
                ("python", "import ctypes\ndef handle(request): ctypes.string_at(0)\n",
                 "ended by signal 11")):
            with self.subTest(expected):
                self.ebb.deploy("crash", source, runtime=runtime)
                answer = self.ebb.get("crash")
                self.assertEqual(answer.status, 502, answer)
                self.assertIn(expected, answer.text)
                if "later" in str(source):
                    self.assertIn("Error: later", self.ebb.run("describe", "service", "crash").stdout)
                self.ebb.run("delete", "service", "crash")
                wait_until(lambda: self.ebb.get("crash").status == 404, "it is deleted")

    def test_callers_do_not_see_what_a_pod_printed_for_others(self):
        self.ebb.deploy("talks", '''
import os, threading, time
def talk(secret):
    while True:
        print('the secret is', secret, flush=True)
        time.sleep(0.1)
def handle(request):
    if request.path == '/end': os._exit(7)
    threading.Thread(target=talk, args=[request.args['secret']]).start()
    return 'done'
''')
        self.assertEqual(self.ebb.get("talks", "/?secret=swordfish").text, "done")
        # The thread has begun by then, which is not to say that it has printed.
        wait_until(lambda: "swordfish" in self.ebb.run("logs", "talks").stdout, "it talks")
        answer = self.ebb.get("talks", "/end", method="POST")
        self.assertEqual(answer.status, 502)
        self.assertIn("exited with code 7", answer.text)
        self.assertNotIn("swordfish", answer.text)
        wait_until(lambda: "a pod ended while it served" in self.ebb.run("describe", "service", "talks").stdout,
                   "its owner is told")
        self.assertIn("the secret is swordfish", self.ebb.run("describe", "service", "talks").stdout)

    def test_answers_that_are_no_http(self):
        self.ebb.deploy("noise", program("self.wfile.write(os.urandom(1000)); self.close_connection = True"),
                        runtime="exec")
        self.ebb.deploy("cut", program("self.wfile.write(b'HTTP/1.1 200 OK\\r\\nContent-Le'); "
                                       "self.close_connection = True"), runtime="exec")
        answer = self.ebb.get("noise")
        self.assertEqual(answer.status, 502)
        self.assertIn("not valid HTTP", answer.text)
        self.assertEqual(self.ebb.get("cut").status, 502)

    def test_memory_is_bounded(self):
        for runtime, source in (
                ("node", {"main.mjs": "export default () => { const all = []; "
                                      "for (;;) all.push(Buffer.alloc(1 << 20, 1)); }"}),
                ("exec", program("x = bytearray(1 << 30)"))):
            with self.subTest(runtime):
                self.ebb.deploy("eats", source, runtime=runtime)
                # The kernel may look for pages to free for ten seconds before it ends anybody.
                answer = self.ebb.get("eats", timeout=PATIENCE * 3)
                self.assertEqual((answer.status, answer.text),
                                 (502, "function eats failed: the function ran out of memory (its limit is 256Mi)\n"))
                self.ebb.run("delete", "service", "eats")
                wait_until(lambda: self.ebb.get("eats").status == 404, "it is deleted")

    def test_a_fork_bomb(self):
        # While it is at its limit, which its shells complain of, the others are served.
        source = {"run": "#!/bin/sh\nbomb() { bomb | bomb & }\nbomb\nexec sleep 1000\n"}
        patient = ["--annotation", "serving.knative.dev/progress-deadline=600s"]
        deploying = threading.Thread(target=self.ebb.deploy, args=["bomb", source, *patient], kwargs={
            "runtime": "exec", "check": False})
        deploying.start()
        wait_until(lambda: any("Cannot fork" in line for line in log_of(self.ebb, "bomb")),
                   "it has as many processes as it may")
        start = time.monotonic()
        self.assertEqual(self.ebb.get("bystander").text, "fine")
        self.assertLess(time.monotonic() - start, 5)
        self.assertNotEqual(self.ebb.pods("bomb"), [], "it was there meanwhile")
        self.ebb.run("delete", "service", "bomb")
        wait_until(lambda: self.ebb.pods("bomb") == [], "its pods are gone")
        deploying.join()

    def test_a_pod_that_prints_without_end(self):
        self.ebb.deploy("noisy", "import threading, os\ndef run():\n    while True: os.write(1, b'x' * 99 + b'\\n')\n"
                                 "def handle(request):\n    threading.Thread(target=run, daemon=True).start()\n"
                                 "    return 'started'\n")
        self.assertEqual(self.ebb.get("noisy").text, "started")
        logs = pathlib.Path(self.ebb.data, "logs")
        wait_until(lambda: any(p.name.endswith(".log.1") for p in logs.iterdir()), "a rotated log")
        for _ in range(20):
            self.assertEqual(self.ebb.get("bystander").text, "fine")
        for path in logs.iterdir():
            info = path.stat()
            self.assertLessEqual(info.st_size, 4 << 20)
            self.assertEqual((info.st_uid, info.st_mode & 0o7777), (1879048192, 0o600))
        self.assertEqual(set(log_of(self.ebb, "noisy")), {"x" * 99})
        self.ebb.run("delete", "service", "noisy")
        wait_until(lambda: self.ebb.pods("noisy") == [], "its pods are gone")

    def test_sigterm(self):
        """A pod ends at once, runs its own handler, or is killed after the grace. The pod
        that proves a new revision is the one that is stopped here."""
        cases = {
            "python": ("def handle(r): pass\n",
                       "import signal, os\ndef end(*_):\n    print('bye', flush=True)\n    os._exit(0)\n"
                       "signal.signal(signal.SIGTERM, end)\ndef handle(r): pass\n",
                       "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef handle(r): pass\n"),
            "node": ({"main.mjs": "export default () => 1"},
                     {"main.mjs": "process.on('SIGTERM', () => { console.log('bye'); process.exit(0); })\n"
                                  "export default () => 1"},
                     {"main.mjs": "process.on('SIGTERM', () => {})\nexport default () => 1"}),
            "exec": (program("self.answer(b'')"),
                     {"run": (PROGRAM % "pass").replace("class Handler", "import signal\ndef end(*_):\n"
                              "    print('bye', flush=True)\n    os._exit(0)\n"
                              "signal.signal(signal.SIGTERM, end)\nclass Handler")},
                     {"run": (PROGRAM % "pass").replace("class Handler", "import signal\n"
                              "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nclass Handler")}),
        }
        ebb = self.ebb
        for runtime, (default, polite, deaf) in cases.items():
            with self.subTest(runtime):
                ebb.deploy(f"default-{runtime}", default, runtime=runtime)
                ebb.deploy(f"polite-{runtime}", polite, runtime=runtime)
                ebb.deploy(f"deaf-{runtime}", deaf, runtime=runtime)
        for runtime in cases:
            with self.subTest(runtime):
                wait_until(lambda: ebb.pods(f"default-{runtime}") == [], "it ends", 2)
                wait_until(lambda: log_of(ebb, f"polite-{runtime}") == ["bye"], "it says goodbye")
                wait_until(lambda: "ebb: it ignored SIGTERM for 3 s and was killed"
                           in log_of(ebb, f"deaf-{runtime}"), "it is killed")
                wait_until(lambda: ebb.pods(f"deaf-{runtime}") == [], "it is gone")


class OwnRuntimes(unittest.TestCase):
    def test_a_runtime_is_a_folder_with_a_manifest(self):
        import json
        import shutil
        import tempfile
        from harness import BUILD
        with tempfile.TemporaryDirectory(prefix="ebb-runtimes-") as folder:
            os.chmod(folder, 0o755)
            shutil.copy(BUILD / "runtimes/ebb-spawn", folder)
            for name, programs in (
                    ("mine", ["/no/such/perl", "/usr/bin/perl"]), ("none", ["/no/such/perl"]),
                    ("unmounted", ["/usr/bin/perl"])):
                runtime = pathlib.Path(folder, name)
                runtime.mkdir()
                (runtime / "manifest.json").write_text(json.dumps(
                    {"name": name, "kind": "process", "programs": programs, "command": ["/ebb/runtime/pod.pl"],
                     "pool": 3, "mounts": [] if name == "unmounted" else ["/usr/lib", "/lib", "?/lib64", "?/usr/lib64", "?/usr/share/perl", "?/usr/share/perl-base"]}))
                (runtime / "pod.pl").write_text(r"""
use strict;
open(my $control, '+<&=', 3) or die; open(my $listener, '+<&=', 4) or die;
syswrite($control, 'W'); sysread($control, my $order, 131072) or exit 0;
syswrite($control, 'R');
while (accept(my $client, $listener)) {
  sysread($client, my $request, 65536);
  syswrite($client, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nperl");
  close($client);
}
""")
            ebb = self.enterContext(Ebb("--runtimes", folder))
            ebb.deploy("own", {"any": "x"}, runtime="mine")
            self.assertNotIn("StartFailed", "".join(ebb.log))
            self.assertEqual(ebb.get("own").text, "perl")
            wait_until(lambda: len(ebb.pods(state="Cold")) == 3, "the pool that the manifest names")
            result = ebb.deploy("other", {"any": "x"}, *SHORT_START, runtime="none", check=False)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("the runtime none needs one of /no/such/perl: install it", result.stderr)
            result = ebb.deploy("third", {"any": "x"}, *SHORT_START, runtime="unmounted", check=False)
            self.assertIn("cannot run /usr/bin/perl", result.stderr)
            # Tried again with a back-off, not as fast as the machine can.
            self.assertLess("".join(ebb.log).count("StartFailed"), 30)


if __name__ == "__main__":
    unittest.main(verbosity=2)
