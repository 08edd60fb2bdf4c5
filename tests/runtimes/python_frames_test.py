"""The WebSocket frames of the python runtime: what clients may send, and what not."""

import asyncio
import pathlib
import struct
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "runtimes/python"))

import frames  # noqa: E402
from frames import BINARY, CLOSE, CONTINUE, PING, TEXT, Violation  # noqa: E402


def client(opcode, data, final=True, mask=b"\x11\x22\x33\x44", extra=0, masked=True):
    """A frame as a client sends it."""
    size = len(data)
    bit = 0x80 if masked else 0
    head = bytes(((0x80 if final else 0) | extra | opcode,))
    if size < 126:
        head += bytes((bit | size,))
    elif size < 65536:
        head += bytes((bit | 126,)) + struct.pack(">H", size)
    else:
        head += bytes((bit | 127,)) + struct.pack(">Q", size)
    return head + (mask + frames.unmask(data, mask) if masked else data)


def read(*pieces, count=1):
    """The first `count` messages of what a client sent and then ended."""
    async def run():
        stream = asyncio.StreamReader()
        for piece in pieces:
            stream.feed_data(piece)
        stream.feed_eof()
        reader = frames.FrameReader(stream)
        return [await reader.message() for _ in range(count)]
    return asyncio.run(run())


class Frames(unittest.TestCase):
    def test_messages_of_every_size(self):
        for size in (0, 1, 125, 126, 65535, 65536, 300000):
            data = bytes(i % 251 for i in range(size))
            self.assertEqual(read(client(BINARY, data)), [(BINARY, data)])
            sent = frames.frame(BINARY, data)
            self.assertEqual(sent[-size:] if size else b"", data)
            self.assertEqual(sent[0], 0x80 | BINARY)
        self.assertEqual(read(client(TEXT, "käse".encode())), [(TEXT, "käse")])

    def test_a_message_in_parts_with_a_ping_between(self):
        self.assertEqual(
            read(client(TEXT, b"k\xc3", final=False), client(PING, b"here?"),
                 client(CONTINUE, b"\xa4se"), count=2),
            [(PING, b"here?"), (TEXT, "käse")])

    def test_an_early_end(self):
        with self.assertRaises(asyncio.IncompleteReadError):
            read(client(BINARY, b"x" * 10)[:-1])

    def refused(self, *pieces):
        with self.assertRaises(Violation) as caught:
            read(*pieces)
        return caught.exception.code

    def test_what_is_refused(self):
        self.assertEqual(self.refused(client(TEXT, b"x", masked=False)), 1002)
        self.assertEqual(self.refused(client(TEXT, b"x", extra=0x40)), 1002)
        self.assertEqual(self.refused(client(3, b"")), 1002)
        self.assertEqual(self.refused(client(CONTINUE, b"x")), 1002)
        self.assertEqual(self.refused(client(TEXT, b"a", final=False), client(TEXT, b"b")), 1002)
        self.assertEqual(self.refused(client(PING, b"x", final=False)), 1002)
        self.assertEqual(self.refused(client(PING, b"x" * 126)), 1002)
        self.assertEqual(self.refused(client(TEXT, b"\xff")), 1007)
        # By its announced length, before any of it has come.
        self.assertEqual(self.refused(b"\x82\xff" + struct.pack(">Q", frames.MAX_MESSAGE + 1)), 1009)
        part = client(BINARY, b"x" * 1000, final=False)
        self.assertEqual(self.refused(part, b"\x80\xff" + struct.pack(">Q", frames.MAX_MESSAGE - 999)),
                         1009)

    def test_closes(self):
        self.assertEqual(frames.close_reason(b""), (1005, ""))
        self.assertEqual(frames.close_reason(frames.close_frame(1000, "bye")[2:]), (1000, "bye"))
        self.assertEqual(frames.close_reason(struct.pack(">H", 4321)), (4321, ""))
        for bad in (b"\x03", struct.pack(">H", 1005), struct.pack(">H", 999), b"\x03\xe8\xff"):
            with self.assertRaises(Violation):
                frames.close_reason(bad)
        long = frames.close_frame(1000, "ä" * 200)
        self.assertLessEqual(len(long), 2 + 125)
        self.assertEqual(read(client(CLOSE, long[2:]))[0][0], CLOSE)
        self.assertTrue(frames.close_reason(long[2:])[1].startswith("ää"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
