"""Load of mixed kinds for soak_test.py: a process of its own, one of several.

    soak_client.py GATEWAY NUMBER REQUESTS KINDS...

Each KIND is name=weight. HTTP goes to mix-0 and mix-1 in turn, for TURN seconds each, so
that both fall to zero and come back; WebSocket and gRPC stop for every other turn. Prints
one JSON object: how many requests of each kind there were, and what failed, by the id that
each request carried.
"""

import hashlib
import json
import os
import random
import socket
import sys
import threading
import time

from harness import PATIENCE, WebSocket

TURN = 9  # seconds
MIB = 1 << 20
THREADS = 4


class Failed(Exception):
    pass


class Connection:
    """One keep-alive connection; only what the mixed functions need of HTTP/1.1."""

    def __init__(self, address):
        self.address, self.socket, self.buffer = address, None, b""

    def ask(self, head, body=b""):
        """The body of the answer, which must be 200."""
        if self.socket is None:
            self.socket = socket.create_connection(self.address, timeout=PATIENCE * 3)
            self.buffer = b""
        try:
            self.socket.sendall(head + body)
            return self.answer()
        except BaseException:
            self.socket.close()
            self.socket = None
            raise

    def fill(self):
        data = self.socket.recv(256 * 1024)
        if not data:
            raise Failed("the connection was closed")
        self.buffer += data

    def until(self, end):
        while (at := self.buffer.find(end)) < 0:
            self.fill()
        taken, self.buffer = self.buffer[:at], self.buffer[at + len(end):]
        return taken

    def take(self, size):
        while len(self.buffer) < size:
            self.fill()
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def answer(self):
        head = self.until(b"\r\n\r\n").lower()
        if b"transfer-encoding: chunked" in head:
            pieces = []
            while size := int(self.until(b"\r\n"), 16):
                pieces.append(self.take(size))
                self.take(2)
            self.until(b"\r\n")
        else:
            length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
            pieces = [self.take(length)]
        body = b"".join(pieces)
        if not head.startswith(b"http/1.1 200 "):
            raise Failed(f"{head[9:12].decode()} {body[:200]!r}")
        if b"connection: close" in head:
            self.socket.close()
            self.socket = None
        return body


class Kinds:
    """What one thread sends: a method for each kind, which raises what went wrong."""

    def __init__(self, address, salt):
        self.address, self.connection = address, Connection(address)
        self.upload = os.urandom(64) * (MIB // 64)
        self.channel = None
        self.salt = salt

    def head(self, name, method, path, more=""):
        host = "mix-%d.default.localhost" % (time.time() // TURN % 2)
        return (f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Request-Id: {name}\r\n{more}\r\n").encode()

    def small(self, name):
        body = self.connection.ask(self.head(name, "GET", "/"))
        if body != b"hello\n":
            raise Failed(f"another answer: {body[:100]!r}")

    def post(self, name):
        text = name.encode() * 3
        body = self.connection.ask(
            self.head(name, "POST", "/up", f"Content-Length: {len(text)}\r\n"), text)
        self.same(body, text)

    def up(self, name):
        body = self.connection.ask(
            self.head(name, "POST", "/up", f"Content-Length: {MIB}\r\n"), self.upload)
        self.same(body, self.upload)

    def chunked(self, name):
        pieces = [b"%x\r\n%s\r\n" % (len(p), p) for p in (b"one", b"two" * 1000, b"three")]
        body = self.connection.ask(
            self.head(name, "POST", "/up", "Transfer-Encoding: chunked\r\n"),
            b"".join(pieces) + b"0\r\n\r\n")
        self.same(body, b"one" + b"two" * 1000 + b"three")

    def same(self, answer, sent):
        expected = f"{len(sent)} {hashlib.md5(sent).hexdigest()}\n".encode()
        if answer != expected:
            raise Failed(f"another answer: {answer[:100]!r}")

    def down(self, name):
        body = self.connection.ask(self.head(name, "GET", "/down"))
        if len(body) != MIB or body.strip(b"d"):
            raise Failed(f"{len(body)} bytes came")

    def events(self, name):
        body = self.connection.ask(self.head(name, "GET", "/events"))
        if body.count(b"data: ") != 10:
            raise Failed(f"{body.count(b'data: ')} events came")

    def rest(self):
        while time.time() // TURN % 2:
            time.sleep(0.2)

    def websocket(self, name):
        self.rest()
        ws = WebSocket(self.address, "socket.default.localhost", **{"X-Request-Id": name})
        if ws.status != 101:
            raise Failed(f"{ws.status} {ws.file.read(200)!r}")
        for i in range(5):
            ws.send(b"%d" % i)
            if (got := ws.receive()) != b"%d" % i:
                raise Failed(f"message {i} came back as {got!r}")
        ws.close()

    def grpc(self, name):
        import grpc
        self.rest()
        if self.channel is None:
            self.channel = grpc.insecure_channel(
                "%s:%d" % self.address,
                options=[("grpc.default_authority", "grpc.default.localhost")])
            self.unary = self.channel.unary_unary("/test.Test/Unary")
            self.talks = self.channel.stream_stream("/test.Test/Talks")
        told = (("x-request-id", name),)
        try:
            if int(name.rpartition("-")[2]) % 2:
                answer = self.unary(b"there", timeout=PATIENCE * 3, metadata=told)
                if answer != b"hi there":
                    raise Failed(f"another answer: {answer!r}")
            else:
                said = iter([b"a", b"b", b"c"])
                answers = list(self.talks(said, timeout=PATIENCE * 3, metadata=told))
                if answers != [b"welcome", b"you said a", b"you said b", b"you said c"]:
                    raise Failed(f"other answers: {answers!r}")
        except grpc.RpcError as error:
            raise Failed(f"{error.code().name} {error.details()}") from None


def main():
    host, port = sys.argv[1].split(":")
    number, requests, enough = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    kinds = dict(kind.split("=") for kind in sys.argv[5:])
    names, weights = list(kinds), [float(w) for w in kinds.values()]
    lock = threading.Lock()
    counts, failures, left = dict.fromkeys(names, 0), [], [requests]

    def run(thread):
        sends = Kinds((host, int(port)), thread)
        dice = random.Random(number * 100 + thread)
        sent = 0
        while True:
            with lock:
                if left[0] <= 0 and os.path.exists(enough):
                    return
                left[0] -= 1
            kind = dice.choices(names, weights)[0]
            sent += 1
            name = f"soak-{number}-{thread}-{sent}"
            try:
                getattr(sends, kind)(name)
            except (OSError, Failed, ValueError, IndexError) as error:
                with lock:
                    failures.append({"kind": kind, "id": name, "at": time.time(),
                                     "what": f"{type(error).__name__}: {error}"})
            with lock:
                counts[kind] += 1

    threads = [threading.Thread(target=run, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"counts": counts, "failures": failures}))


main()
