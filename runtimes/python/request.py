"""What a function receives: one HTTP request."""

import json as _json
from urllib.parse import parse_qsl

MAX_BODY = 256 * 1024 * 1024  # bytes that `body` gathers; larger ones are streamed


class Headers(dict):
    """Header fields by lower-case name; look-ups ignore case. Repeated fields are
    joined with ", " (cookies with "; ")."""

    __slots__ = ()

    def __getitem__(self, name):
        return dict.__getitem__(self, name.lower())

    def __contains__(self, name):
        return dict.__contains__(self, name.lower())

    def get(self, name, default=None):
        return dict.get(self, name.lower(), default)

    def _add(self, name, value):
        name = name.lower()
        before = dict.get(self, name)
        if before is not None:
            value = before + ("; " if name == "cookie" else ", ") + value
        dict.__setitem__(self, name, value)


class Request:
    """One HTTP request.

    method    "GET", "POST", ...
    path      the path, percent-encoded as it came, without the query
    query     the text behind "?", or ""
    headers   Headers
    body      the whole body as bytes (read on first use)
    """

    __slots__ = ("method", "path", "query", "headers", "_reader", "_body")

    def __init__(self, method, target, headers, reader):
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self._reader = reader
        self._body = None

    def read(self, size=-1):
        """Up to `size` more bytes of the body; b"" at its end. All of it with -1."""
        if self._body is not None:
            piece = self._body if size < 0 else self._body[:size]
            self._body = self._body[len(piece):]
            return piece
        if size >= 0:
            return self._reader.read(size)
        parts, total = [], 0
        while piece := self._reader.read(65536):
            total += len(piece)
            if total > MAX_BODY:
                raise ValueError("the body is larger than %d bytes: use read(size)" % MAX_BODY)
            parts.append(piece)
        return b"".join(parts)

    @property
    def body(self):
        if self._body is None:
            self._body = self.read()
        return self._body

    @property
    def text(self):
        """The body as text, in UTF-8."""
        return self.body.decode("utf-8")

    @property
    def args(self):
        """The query's parameters; of repeated ones the last."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def json(self):
        """The body parsed as JSON."""
        return _json.loads(self.body)
