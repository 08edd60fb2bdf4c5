"""WebSocket frames, from a server's side (RFC 6455, section 5). No extensions.

    reader = FrameReader(stream)           # an asyncio.StreamReader
    opcode, data = await reader.message()  # TEXT (a str), BINARY, PING, PONG or CLOSE
    writer.write(frame(TEXT, b"hello"))
"""

import struct

CONTINUE, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MAX_MESSAGE = 16 * 1024 * 1024  # bytes, over all its frames
MAX_CONTROL = 125  # bytes of a close, ping or pong
# Codes of closing (section 7.4.1)
NORMAL, PROTOCOL_ERROR, NO_CODE, ABNORMAL, BAD_TEXT, TOO_BIG, FAILED = (
    1000, 1002, 1005, 1006, 1007, 1009, 1011)


class Violation(Exception):
    """The client broke the protocol; `code` is what its connection is closed with."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code, self.reason = code, reason


def frame(opcode, data):
    """One whole message."""
    size = len(data)
    if size <= MAX_CONTROL:
        return bytes((0x80 | opcode, size)) + data
    if size < 1 << 16:
        return struct.pack(">BBH", 0x80 | opcode, 126, size) + data
    return struct.pack(">BBQ", 0x80 | opcode, 127, size) + data


def close_frame(code, reason=""):
    # A reason that is too long is cut, between two characters.
    text = reason.encode("utf-8")[:MAX_CONTROL - 2].decode("utf-8", "ignore").encode("utf-8")
    return frame(CLOSE, struct.pack(">H", code) + text)


def close_reason(data):
    """(code, reason) of a close frame."""
    if not data:
        return NO_CODE, ""
    if len(data) == 1:
        raise Violation(PROTOCOL_ERROR, "a close of one byte")
    code = struct.unpack(">H", data[:2])[0]
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise Violation(PROTOCOL_ERROR, "the close code %d is not for the wire" % code)
    return code, as_text(data[2:])


def as_text(data):
    try:
        return bytes(data).decode("utf-8")
    except UnicodeDecodeError:
        raise Violation(BAD_TEXT, "the text is not UTF-8") from None


def unmask(data, mask):
    size = len(data)
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


class FrameReader:
    def __init__(self, stream):
        self.stream = stream
        self.opcode = None  # of the message that has begun
        self.parts, self.size = [], 0

    async def message(self):
        """The next message or control frame. asyncio.IncompleteReadError at the end,
        Violation for what is against the protocol."""
        while True:
            final, opcode, data = await self._frame()
            if opcode >= CLOSE:
                return opcode, data
            if (opcode == CONTINUE) == (self.opcode is None):
                raise Violation(PROTOCOL_ERROR, "a message has no end, or no beginning")
            if opcode != CONTINUE:
                self.opcode = opcode
            self.parts.append(data)
            self.size += len(data)
            if not final:
                continue
            opcode, whole = self.opcode, b"".join(self.parts)
            self.opcode, self.parts, self.size = None, [], 0
            return opcode, as_text(whole) if opcode == TEXT else whole

    async def _frame(self):
        first, second = await self.stream.readexactly(2)
        final, opcode, size = bool(first & 0x80), first & 0x0F, second & 0x7F
        if first & 0x70 or opcode not in (CONTINUE, TEXT, BINARY, CLOSE, PING, PONG):
            raise Violation(PROTOCOL_ERROR, "an unknown kind of frame, or an extension")
        if not second & 0x80:
            raise Violation(PROTOCOL_ERROR, "a frame of a client must be masked")
        if opcode >= CLOSE and (not final or size > MAX_CONTROL):
            raise Violation(PROTOCOL_ERROR, "a control frame in parts, or too long")
        if size == 126:
            size = struct.unpack(">H", await self.stream.readexactly(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", await self.stream.readexactly(8))[0]
        if opcode < CLOSE and self.size + size > MAX_MESSAGE:
            raise Violation(TOO_BIG, "a message has at most %d bytes" % MAX_MESSAGE)
        mask = await self.stream.readexactly(4)
        return final, opcode, unmask(await self.stream.readexactly(size), mask)
