"""ASGI's websocket protocol: scope, receive and send over one connection.

While the application runs, a task of its own reads what comes: it answers pings and
closes also when the application only sends. What the application has not received yet
waits in a short queue; when that is full, nothing more is read, so that the client is
slowed down.
"""

import asyncio
import base64
import binascii
import collections
import contextlib
import hashlib
import sys
import traceback

import frames
from answer import explain, head_bytes

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
MAX_QUEUED = 32  # messages
CLOSE_TIMEOUT = 5.0  # seconds for the client to answer a close


def is_wanted(method, headers):
    """Whether the request asks for a WebSocket."""
    words = [word.strip().lower() for word in headers.get("connection", "").split(",")]
    return (method == "GET" and "upgrade" in words
            and headers.get("upgrade", "").strip().lower() == "websocket")


def refusal_of(headers):
    """(status, header pairs) for a handshake that is not one of RFC 6455, or None."""
    if headers.get("sec-websocket-version") != "13":
        return 426, [("sec-websocket-version", "13"), ("upgrade", "websocket")]
    try:
        key = base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)
    except binascii.Error:
        key = b""
    return None if len(key) == 16 else (400, [])


def accept_key(key):
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + GUID).digest()).decode("latin-1")


def subprotocols(headers):
    return [w for w in (word.strip() for word in
                        headers.get("sec-websocket-protocol", "").split(",")) if w]


async def answer_plainly(connection, status, headers, body=b""):
    """An answer instead of the upgrade; the connection ends with it."""
    framing = "connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    await connection.send(head_bytes(status, headers, framing) + body)


class Session:
    def __init__(self, connection, headers):
        self.connection = connection
        self.headers = headers
        self.state = "connecting"  # then "open" or "refusing", and "closed"
        self.asked = False  # the application has received websocket.connect
        self.inbox = collections.deque()  # at most MAX_QUEUED
        self.news = asyncio.Event()  # the inbox has grown, or nothing more comes
        self.room = asyncio.Event()  # the inbox has shrunk, or nobody wants it
        self.gone = None  # the websocket.disconnect, once it is known
        self.over = asyncio.Event()  # nothing more comes
        self.reader = None  # the task that reads
        self.refusal = None  # (status, headers), of the denial response

    # --- What the application gets ---

    async def receive(self):
        if not self.asked:
            self.asked = True
            return {"type": "websocket.connect"}
        while not self.inbox and self.gone is None:
            self.news.clear()
            await self.news.wait()
        if self.inbox:
            self.room.set()
            return self.inbox.popleft()
        return self.gone

    def _leave(self, code, reason):
        if self.gone is None:
            self.gone = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self.news.set()

    # --- What it sends ---

    async def send(self, message):
        kind = message["type"]
        if kind == "websocket.accept" and self.state == "connecting":
            await self._accept(message)
        elif kind == "websocket.close" and self.state == "connecting":
            self._refuse()
            await answer_plainly(self.connection, 403, [])
        elif kind == "websocket.close" and self.state == "open":
            await self.close(message.get("code") or frames.NORMAL, message.get("reason") or "")
        elif kind == "websocket.send" and self.state == "open":
            await self._send(message)
        elif kind == "websocket.http.response.start" and self.state == "connecting":
            self.state = "refusing"
            self.refusal = (message["status"],
                            [(bytes(n).decode("latin-1"), bytes(v).decode("latin-1"))
                             for n, v in message.get("headers", ())], bytearray())
        elif kind == "websocket.http.response.body" and self.state == "refusing":
            status, fields, body = self.refusal
            body += message.get("body", b"")
            if not message.get("more_body", False):
                self._refuse()
                await answer_plainly(self.connection, status, fields, bytes(body))
        elif kind == "websocket.close" and self.state == "closed":
            pass  # the client was faster
        elif kind == "websocket.send" and self.state == "closed":
            raise OSError("the WebSocket is closed")
        else:
            raise RuntimeError("%s was sent while the WebSocket was %s" % (kind, self.state))

    def _refuse(self):
        self.state = "closed"
        self._leave(frames.ABNORMAL, "")

    async def _accept(self, message):
        fields = [(bytes(n).decode("latin-1"), bytes(v).decode("latin-1"))
                  for n, v in message.get("headers", ())]
        fields.append(("sec-websocket-accept", accept_key(self.headers["sec-websocket-key"])))
        if message.get("subprotocol"):
            fields.append(("sec-websocket-protocol", message["subprotocol"]))
        framing = "upgrade: websocket\r\nconnection: upgrade\r\n\r\n"
        head = head_bytes(101, fields, framing, reason="Switching Protocols")
        self.state = "open"
        await self.connection.send(head)
        self.reader = asyncio.ensure_future(self._read())

    async def _send(self, message):
        text, data = message.get("text"), message.get("bytes")
        if text is None and data is None:
            raise RuntimeError("websocket.send has neither text nor bytes")
        if text is not None:
            await self.connection.send(frames.frame(frames.TEXT, text.encode("utf-8")))
        else:
            await self.connection.send(frames.frame(frames.BINARY, bytes(data)))

    async def close(self, code, reason=""):
        """Sends a close, and waits a while for the client's."""
        if self.state != "open":
            return
        self.state = "closed"
        self._leave(code, reason)
        self.room.set()
        with contextlib.suppress(OSError):
            await self.connection.send(frames.close_frame(code, reason))
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.over.wait(), CLOSE_TIMEOUT)

    # --- What comes from the client ---

    async def _read(self):
        code, reason = frames.ABNORMAL, ""
        reader = frames.FrameReader(self.connection.reader)
        try:
            while True:
                opcode, data = await reader.message()
                if opcode == frames.PING:
                    if self.state == "open":
                        await self.connection.send(frames.frame(frames.PONG, data))
                elif opcode == frames.CLOSE:
                    code, reason = frames.close_reason(data)
                    if self.state == "open":
                        self.state = "closed"
                        await self.connection.send(
                            frames.frame(frames.CLOSE, data[:2]) if data
                            else frames.frame(frames.CLOSE, b""))
                    break
                elif opcode != frames.PONG:
                    await self._put(opcode == frames.TEXT, data)
        except frames.Violation as violation:
            code, reason = violation.code, violation.reason
            if self.state == "open":
                self.state = "closed"
                with contextlib.suppress(OSError):
                    await self.connection.send(frames.close_frame(code, reason))
        except (asyncio.IncompleteReadError, OSError):
            if self.state == "open":
                self.state = "closed"
        finally:
            self._leave(code, reason)
            self.over.set()

    async def _put(self, is_text, data):
        while len(self.inbox) >= MAX_QUEUED and self.state == "open":
            self.room.clear()
            await self.room.wait()
        if self.state != "open":
            return  # the application has closed: nobody wants it
        self.inbox.append({"type": "websocket.receive", "text": data if is_text else None,
                           "bytes": None if is_text else data})
        self.news.set()


async def serve(app, scope, connection, headers):
    """Runs the application for one WebSocket. The connection is of no further use."""
    refusal = refusal_of(headers)
    if refusal is not None:
        await answer_plainly(connection, *refusal)
        return
    session = Session(connection, headers)
    scope = {**scope, "type": "websocket", "subprotocols": subprotocols(headers),
             "scheme": "wss" if scope["scheme"] == "https" else "ws",
             "extensions": {"websocket.http.response": {}}}
    del scope["method"]
    try:
        await app(scope, session.receive, session.send)
        if session.state in ("connecting", "refusing"):
            raise RuntimeError("the application neither accepted nor closed the WebSocket")
        await session.close(frames.NORMAL)
    except BaseException as error:
        # That the client left is no news.
        if not (isinstance(error, OSError) and session.state == "closed"):
            traceback.print_exc()
            sys.stderr.flush()
        if session.state in ("connecting", "refusing"):
            session.state = "closed"
            await answer_plainly(connection, *explain(error))
        else:
            await session.close(frames.FAILED)
        if isinstance(error, asyncio.CancelledError):
            raise
    finally:
        if session.reader is not None:
            session.reader.cancel()
