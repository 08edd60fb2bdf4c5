"""The HTTP server for async functions: one event loop, on the main thread.

Every connection is a task that serves one request after the other. The handlers run
on the same loop: what blocks in one holds up all.
"""

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from urllib.parse import unquote

import asgi_websocket
from answer import (BadLength, Declared, as_bytes, as_response, begin_stream, declared_length,
                    explain, head_bytes, lacks_type, log_error, type_of)
from request import MAX_BODY, Headers, Request

HEAD_LIMIT = 64 * 1024  # bytes
PIECE = 64 * 1024
DRAIN_TIME = 5.0  # seconds for what a function that failed left of its request's body
LIFESPAN_TIMEOUT = 2.0  # seconds for an application's shutdown; its pod is killed soon after


class Disconnect(Exception):
    """The Queue Proxy closed the connection, or what it sent is not HTTP."""


class Whole:
    """A body that has been read: what Request reads from."""

    def __init__(self, data):
        self.data = data

    def read(self, size):
        piece, self.data = self.data[:size], self.data[size:]
        return piece


class Connection:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def head(self):
        """(method, target, header pairs), None at the end."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise Disconnect from None
            return None
        except asyncio.LimitOverrunError:
            raise Disconnect("head too long") from None
        lines = head.split("\r\n")
        try:
            method, target, _ = lines[0].split(" ", 2)
        except ValueError:
            raise Disconnect("bad head") from None
        pairs = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            pairs.append((name.lower(), value.strip()))
        return method, target, pairs

    async def pieces(self, headers):
        """The request's body, piece by piece."""
        try:
            left = int(headers.get("content-length") or 0)
            if "transfer-encoding" not in headers:
                while left > 0:
                    piece = await self.reader.read(min(PIECE, left))
                    if not piece:
                        raise Disconnect
                    left -= len(piece)
                    yield piece
                return
            while left := int((await self.reader.readuntil(b"\n")).partition(b";")[0], 16):
                while left > 0:
                    piece = await self.reader.read(min(PIECE, left))
                    if not piece:
                        raise Disconnect
                    left -= len(piece)
                    yield piece
                await self.reader.readexactly(2)
            while (await self.reader.readuntil(b"\n")).strip():  # trailers
                pass
        except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise Disconnect("bad body") from None

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def linger(self):
        """Until the Queue Proxy closes, which has got the last answer: see drain() of
        server.py."""
        async def skip():
            while await self.reader.read(PIECE):
                pass
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(skip(), DRAIN_TIME)


# --- async def handle(request) ---


async def read_whole(pieces):
    data = bytearray()
    async for piece in pieces:
        data += piece
        if len(data) > MAX_BODY:
            raise ValueError("the body is larger than %d bytes" % MAX_BODY)
    return bytes(data)


async def begin_async_stream(headers, body):
    """What begin_stream does, for both kinds of iterators."""
    if not hasattr(body, "__anext__"):
        return begin_stream(headers, body)
    if not lacks_type(headers):
        return b""
    first = await anext(body, b"")
    headers.append(("content-type", type_of(first)))
    return first


async def send_stream(connection, method, status, headers, body, first):
    """`first`: a piece that was taken from the body already."""
    async def send(piece):
        if data := as_bytes(piece):
            await connection.send(b"%x\r\n%b\r\n" % (len(data), data))
    try:
        await connection.send(head_bytes(status, headers, "transfer-encoding: chunked\r\n\r\n"))
        if method == "HEAD":
            return
        await send(first)
        if hasattr(body, "__anext__"):
            async for piece in body:
                await send(piece)
        else:
            for piece in body:
                await send(piece)
        await connection.send(b"0\r\n\r\n")
    finally:
        if hasattr(body, "aclose"):
            await body.aclose()
        elif hasattr(body, "close"):
            body.close()


async def send_whole(connection, method, status, headers, body, last=""):
    if status in (204, 304):
        await connection.send(head_bytes(status, headers, "\r\n"))
        return
    head = head_bytes(status, headers, "%scontent-length: %d\r\n\r\n" % (last, len(body)))
    await connection.send(head if method == "HEAD" else head + body)


def answer_with_handle(handle):
    """handle(request) may be a coroutine function or an async generator function."""
    async def answer(connection, method, target, pairs, headers, sent):
        body = await read_whole(connection.pieces(headers))
        result = handle(Request(method, target, headers, Whole(body)))
        if hasattr(result, "__await__"):
            result = await result
        status, fields, body = as_response(result)
        if isinstance(body, bytes):
            await send_whole(connection, method, status, fields, body)
        else:
            first = await begin_async_stream(fields, body)
            sent.append(True)
            await send_stream(connection, method, status, fields, body, first)
    return answer


# --- ASGI 3.0: http, websocket and lifespan ---

ASGI = {"version": "3.0", "spec_version": "2.3"}


def scope_of(method, target, pairs, headers, state):
    raw_path, _, query = target.partition("?")
    host, _, port = headers.get("host", "localhost").partition(":")
    client = headers.get("x-forwarded-for", "").partition(",")[0].strip()
    scheme = headers.get("x-forwarded-proto", "http")
    return {"type": "http", "asgi": ASGI, "http_version": "1.1", "method": method,
            "scheme": scheme, "path": unquote(raw_path), "raw_path": raw_path.encode("latin-1"),
            "query_string": query.encode("latin-1"), "root_path": "",
            "headers": [(n.encode("latin-1"), v.encode("latin-1")) for n, v in pairs],
            "client": (client, 0) if client else None,
            "server": (host, int(port) if port.isdigit() else 443 if scheme == "https" else 80),
            "state": dict(state)}


def answer_with_asgi(app, state):
    async def answer(connection, method, target, pairs, headers, sent):
        scope = scope_of(method, target, pairs, headers, state)
        if asgi_websocket.is_wanted(method, headers):
            await asgi_websocket.serve(app, scope, connection, headers)
            raise Disconnect
        pieces = connection.pieces(headers)
        body = {"more": True, "done": asyncio.Event()}
        out = {}

        async def receive():
            if body["more"]:
                try:
                    return {"type": "http.request", "body": await pieces.__anext__(),
                            "more_body": True}
                except StopAsyncIteration:
                    body["more"] = False
                    return {"type": "http.request", "body": b"", "more_body": False}
                except Disconnect:
                    return {"type": "http.disconnect"}
            # The next byte would be of the next request: only the end is of interest.
            gone = asyncio.ensure_future(connection_ends(connection))
            done = asyncio.ensure_future(body["done"].wait())
            try:
                await asyncio.wait((gone, done), return_when=asyncio.FIRST_COMPLETED)
            finally:
                gone.cancel()
                done.cancel()
            return {"type": "http.disconnect"}

        async def send(message):
            kind = message["type"]
            if kind == "http.response.start":
                if out:
                    raise RuntimeError("http.response.start was sent twice")
                out["status"] = message["status"]
                out["headers"] = [(bytes(n).decode("latin-1"), bytes(v).decode("latin-1"))
                                  for n, v in message.get("headers", ())]
                return
            if kind != "http.response.body":
                return  # extensions that we did not offer
            if not out or body["done"].is_set():
                raise RuntimeError("http.response.body was sent outside a response")
            try:
                await send_body(bytes(message.get("body", b"")), message.get("more_body", False))
            except BadLength as error:
                # The application is not told: it would answer a second time.
                body["done"].set()
                log_error(error)
                if not sent:
                    sent.append(True)
                    await send_whole(connection, method, *explain(error), "connection: close\r\n")
                connection.writer.close()

        async def send_body(data, more):
            if not sent:
                await send_head(data, more)
            elif out["bare"]:
                pass
            elif out["chunked"]:
                await connection.send((b"%x\r\n%b\r\n" % (len(data), data) if data else b"")
                                      + (b"" if more else b"0\r\n\r\n"))
            else:
                await connection.send(out["declared"].take(data))
            if not more:
                body["done"].set()
                if out["declared"]:
                    out["declared"].check()

        async def send_head(data, more):
            status, fields = out["status"], out["headers"]
            length = declared_length(fields)
            if length is None and not more:
                length = len(data)
            out["bare"] = method == "HEAD" or status in (204, 304)
            out["chunked"] = length is None
            framing = ("\r\n" if status in (204, 304) else
                       "transfer-encoding: chunked\r\n\r\n" if length is None
                       else "content-length: %d\r\n\r\n" % length)
            head = head_bytes(status, fields, framing)
            out["declared"] = None if out["bare"] or out["chunked"] else Declared(length)
            if out["declared"] and not more:
                out["declared"].check(len(data))
            sent.append(True)
            if out["bare"]:
                data = b""
            elif out["declared"]:
                data = out["declared"].take(data)
            elif data:
                data = b"%x\r\n%b\r\n" % (len(data), data)
            await connection.send(head + data)

        await app(scope, receive, send)
        if not body["done"].is_set():
            if has_ended(connection):
                raise Disconnect
            raise RuntimeError("the application ended without an answer" if not sent
                               else "the application ended within its answer")
        if connection.writer.is_closing():
            raise Disconnect
        if body["more"]:
            async for _ in pieces:
                pass
    return answer


async def connection_ends(connection):
    # Without reading: what comes is the next request's.
    while not has_ended(connection):
        await asyncio.sleep(0.05)


def has_ended(connection):
    return connection.reader.at_eof() or connection.writer.is_closing()


class Lifespan:
    """Runs an ASGI application's startup and shutdown."""

    def __init__(self, app):
        self.app = app
        self.state = {}
        self.inbox = asyncio.Queue()
        self.outbox = asyncio.Queue()
        self.task = None

    async def startup(self):
        self.task = asyncio.ensure_future(self._run())
        await self.inbox.put({"type": "lifespan.startup"})
        message = await self.outbox.get()
        if message["type"] == "lifespan.startup.failed":
            raise RuntimeError("the application's startup failed: %s" % message.get("message", ""))

    async def shutdown(self):
        if self.task.done():
            return
        await self.inbox.put({"type": "lifespan.shutdown"})
        await asyncio.wait_for(self.outbox.get(), LIFESPAN_TIMEOUT)

    async def _run(self):
        scope = {"type": "lifespan", "asgi": ASGI, "state": self.state}
        try:
            await self.app(scope, self.inbox.get, self.outbox.put)
        except BaseException:  # many applications know no lifespan, and say so by raising
            pass
        finally:
            self.outbox.put_nowait({"type": "ended"})


# --- The server ---


class AsyncServer:
    """Serves requests with answer(connection, method, target, pairs, headers, sent)."""

    def __init__(self, answer):
        self.answer = answer

    async def listen(self, listener, backlog):
        return await asyncio.start_unix_server(self.serve, sock=listener, limit=HEAD_LIMIT,
                                               backlog=backlog)

    async def serve(self, reader, writer):
        connection = Connection(reader, writer)
        try:
            while await self.serve_one(connection):
                pass
        except (Disconnect, OSError):
            pass
        finally:
            writer.close()

    async def serve_one(self, connection):
        head = await connection.head()
        if head is None:
            return False
        method, target, pairs = head
        headers = Headers()
        for name, value in pairs:
            headers._add(name, value)
        sent = []
        try:
            await self.answer(connection, method, target, pairs, headers, sent)
        except Disconnect:
            raise
        except BaseException as error:
            if not (sent and isinstance(error, OSError)):
                log_error(error)
            if sent or isinstance(error, asyncio.CancelledError):
                return False
            status, fields, body = explain(error)
            # The request's body may not have been read.
            await send_whole(connection, method, status, fields, body, "connection: close\r\n")
            await connection.linger()
            return False
        return True


def end_by_lifespan(loop, lifespan):
    """What SIGTERM does: the application's shutdown, then the end."""
    async def end():
        try:
            await lifespan.shutdown()
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    signal.signal(signal.SIGTERM,
                  lambda *_: loop.call_soon_threadsafe(lambda: loop.create_task(end())))
