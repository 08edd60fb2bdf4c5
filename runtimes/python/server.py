"""The HTTP server inside a pod: several keep-alive connections on one Unix socket.

Its only client is the Queue Proxy. Threads wait on one epoll; whoever gets an event
serves that connection, and before all of them are busy another is started, so a
slow request never holds up the next and the first request finds a thread waiting.
"""

import _socket
import itertools
import select
import socket
import struct
import threading
import time

from answer import as_bytes, as_response, begin_stream, explain, head_bytes, log_error
from request import Headers, Request

HEAD_LIMIT = 64 * 1024  # bytes; the gateway's own bound is lower
PIECE = 64 * 1024
# For each wait on the Queue Proxy inside a request: 60 s, as struct timeval. Kept by the
# kernel, so that reads and writes are one system call each.
IO_TIMEOUT = struct.pack("ll", 60, 0)
DRAIN_TIME = 5  # seconds for what a function left of its request's body
DRAIN_TIMEOUT = struct.pack("ll", DRAIN_TIME, 0)

class Disconnect(Exception):
    """The Queue Proxy closed the connection, or what it sent is not HTTP."""


class BodyReader:
    """Reads one request's body off its connection."""

    __slots__ = ("_connection", "_left", "_chunked", "_done")

    def __init__(self, connection, length, chunked):
        self._connection = connection
        self._left = length
        self._chunked = chunked
        self._done = not chunked and length == 0

    def read(self, size):
        if self._done or size == 0:
            return b""
        if self._chunked and self._left == 0:
            self._next_chunk()
            if self._done:
                return b""
        piece = self._connection.take(min(size, self._left))
        self._left -= len(piece)
        if self._left == 0:
            if self._chunked:
                self._connection.line()  # the CRLF behind the chunk
            else:
                self._done = True
        return piece

    def _next_chunk(self):
        try:
            self._left = int(self._connection.line().partition(b";")[0], 16)
        except ValueError:
            raise Disconnect("bad chunk size") from None
        if self._left == 0:
            while self._connection.line():  # trailers
                pass
            self._done = True

    def drain(self):
        """Reads what the function left: a client may look for its answer only when all is
        sent. False if that takes too long."""
        if self._done:
            return True
        wait_at_most(self._connection.socket, DRAIN_TIMEOUT)
        deadline = time.monotonic() + DRAIN_TIME
        while self.read(PIECE):
            if time.monotonic() > deadline:
                return False
        wait_at_most(self._connection.socket, IO_TIMEOUT)
        return True


def wait_at_most(sock, timeout):
    """For each read; `timeout` is a struct timeval."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)


class Connection:
    __slots__ = ("socket", "buffer", "watched")

    def __init__(self, sock):
        self.socket = sock
        self.buffer = b""
        self.watched = False  # known to the epoll

    def fill(self):
        data = self.socket.recv(PIECE)
        if not data:
            raise Disconnect
        self.buffer += data

    def take(self, size):
        if not self.buffer:
            self.fill()
        piece, self.buffer = self.buffer[:size], self.buffer[size:]
        return piece

    def line(self):
        while (end := self.buffer.find(b"\r\n")) < 0:
            if len(self.buffer) > HEAD_LIMIT:
                raise Disconnect("line too long")
            self.fill()
        line, self.buffer = self.buffer[:end], self.buffer[end + 2:]
        return line

    def read_request(self):
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if len(self.buffer) > HEAD_LIMIT:
                raise Disconnect("head too long")
            self.fill()
        head, self.buffer = self.buffer[:end].decode("latin-1"), self.buffer[end + 4:]
        lines = head.split("\r\n")
        try:
            method, target, _ = lines[0].split(" ", 2)
            headers = Headers()
            for line in lines[1:]:
                name, _, value = line.partition(":")
                headers._add(name, value.strip())
            length = int(headers.get("content-length") or 0)
        except ValueError:
            raise Disconnect("bad head") from None
        reader = BodyReader(self, length, "transfer-encoding" in headers)
        return Request(method, target, headers, reader), reader


def send_response(connection, method, status, headers, body, first=b""):
    """`first`: a piece that was taken from the body already."""
    send = connection.socket.sendall
    if isinstance(body, bytes):
        if status in (204, 304):  # they have no body, and no length
            send(head_bytes(status, headers, "\r\n"))
            return
        head = head_bytes(status, headers, "content-length: %d\r\n\r\n" % len(body))
        send(head if method == "HEAD" else head + body)
        return
    try:
        send(head_bytes(status, headers, "transfer-encoding: chunked\r\n\r\n"))
        if method != "HEAD":
            for piece in itertools.chain((first,), body):
                if data := as_bytes(piece):
                    send(b"%x\r\n%b\r\n" % (len(data), data))
            send(b"0\r\n\r\n")
    finally:
        if hasattr(body, "close"):
            body.close()


def serve_with(handle):
    """How a Server answers requests with handle(request)."""
    def serve(connection, request, sent):
        status, headers, body = as_response(handle(request))
        streams = not isinstance(body, bytes)
        first = begin_stream(headers, body) if streams else b""
        sent.append(streams)
        send_response(connection, request.method, status, headers, body, first)
    return serve


class Server:
    """Serves requests, at most `max_threads` at a time.

    answer(connection, request, sent) answers one; it appends True to the list `sent`
    when the head has left, after which an error can only cut the connection.
    """

    def __init__(self, answer, max_threads):
        self.answer = answer
        self.max_threads = max(2, max_threads)
        self.epoll = select.epoll()
        self.listener = None
        self.listen_fd = -1
        self.connections = {}
        self.lock = threading.Lock()
        self.threads = 1  # that wait or serve, with the caller of run()
        self.busy = 0

    def listen(self, listener):
        """Begins to accept."""
        self.own(listener)
        self.epoll.register(self.listen_fd, select.EPOLLIN | select.EPOLLONESHOT)

    def own(self, listener):
        if self.listener is not listener:
            listener.setblocking(False)
            self.listener = listener
            self.listen_fd = listener.fileno()

    def listen_and_run(self, listener):
        """The same, and serves until the process ends. What waits in the backlog already
        is served by this thread: to wake another would cost the first request time."""
        self.own(listener)
        first = self.accept()
        self.listen(listener)
        if first is not None:
            self.serve(first)
        self.run()

    def start_thread(self):
        self.threads += 1
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        """Serves until the process ends."""
        while True:
            self.step(-1)

    def step(self, timeout):
        for fd, _ in self.epoll.poll(timeout, 1):
            if fd == self.listen_fd:
                connection = self.accept()
                self.epoll.modify(self.listen_fd, select.EPOLLIN | select.EPOLLONESHOT)
            else:
                connection = self.connections.get(fd)
            if connection is not None:
                self.serve(connection)

    def accept(self):
        # As socket.accept() does, without what it does for other kinds of sockets.
        try:
            fd, _ = self.listener._accept()
        except OSError:
            return None
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd)
        wait_at_most(sock, IO_TIMEOUT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, IO_TIMEOUT)
        return Connection(sock)

    def wait_for_next(self, connection):
        """From here on any thread may serve the connection."""
        fd, events = connection.socket.fileno(), select.EPOLLIN | select.EPOLLONESHOT
        if connection.watched:
            self.epoll.modify(fd, events)
        else:
            connection.watched = True
            self.connections[fd] = connection
            self.epoll.register(fd, events)

    def close(self, connection):
        self.connections.pop(connection.socket.fileno(), None)
        connection.socket.close()

    def serve(self, connection):
        self.enter()
        keep = False
        try:
            keep = self.serve_one(connection)
            while keep and connection.buffer:
                keep = self.serve_one(connection)
        except (Disconnect, OSError):
            pass
        finally:
            with self.lock:
                self.busy -= 1
            if keep:
                self.wait_for_next(connection)
            else:
                self.close(connection)

    def enter(self):
        """Counts a busy thread and keeps one waiting for the next request."""
        with self.lock:
            self.busy += 1
            if self.busy < self.threads or self.threads >= self.max_threads:
                return
            try:
                self.start_thread()
            except RuntimeError:  # at the limit of processes: serve with what there is
                self.threads -= 1

    def serve_one(self, connection):
        request, reader = connection.read_request()
        sent = []
        try:
            self.answer(connection, request, sent)
        except Disconnect:
            raise
        except BaseException as error:  # SystemExit too: it must not end other requests
            begun = any(sent)
            if not (begun and isinstance(error, OSError)):  # a client that went away is no news
                log_error(error)
            if begun:
                return False
            status, headers, body = explain(error)
            send_response(connection, request.method, status, headers, body)
        return reader.drain()
