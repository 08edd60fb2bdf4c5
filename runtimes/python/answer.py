"""What a function returned, as an HTTP answer: shared by both servers."""

import json
import sys
import traceback

REASONS = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
           301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
           307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request",
           401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
           409: "Conflict", 410: "Gone", 413: "Content Too Large", 415: "Unsupported Media Type",
           422: "Unprocessable Content", 426: "Upgrade Required", 429: "Too Many Requests",
           500: "Internal Server Error",
           501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable"}

TEXT, BYTES = "text/plain; charset=utf-8", "application/octet-stream"

# Fields that the server itself sets.
FRAMING = ("content-length", "transfer-encoding", "connection")

_encode = json.JSONEncoder(allow_nan=False).encode


class BadLength(Exception):
    """A body is shorter than its head says."""


def header_list(headers):
    """Header fields as pairs, from a dict (whose values may be lists) or from pairs."""
    if headers is None:
        return []
    pairs = headers.items() if hasattr(headers, "items") else headers
    out = []
    for name, value in pairs:
        values = value if isinstance(value, (list, tuple)) else (value,)
        out += [(name.decode("latin-1") if isinstance(name, bytes) else str(name),
                 one.decode("latin-1") if isinstance(one, bytes) else str(one)) for one in values]
    return out


def parts(result):
    """(body, status, headers) of a returned tuple: (body, status), (body, headers),
    (body, status, headers)."""
    if not 1 <= len(result) <= 3:
        raise TypeError("handle returned a tuple of %d: expected (body, status, headers)"
                        % len(result))
    status, headers = 200, None
    for part in result[1:]:
        if part is None:
            continue
        if isinstance(part, (int, str)):
            status = int(str(int(part) if isinstance(part, int) else part).split(" ", 1)[0])
        else:
            headers = part
    if not 200 <= status <= 599:
        raise ValueError("handle returned the status %d: expected 200 to 599" % status)
    return result[0], status, header_list(headers)


def as_response(result):
    """(status, header pairs, body); the body is bytes, an iterator or an async iterator. The
    latter two get their content type from their first piece: see lacks_type."""
    status, headers = 200, []
    if isinstance(result, tuple):
        result, status, headers = parts(result)
    if result is None:
        return (204 if status == 200 else status), headers, b""
    if isinstance(result, str):
        kind, body = TEXT, result.encode("utf-8")
    elif isinstance(result, (bytes, bytearray, memoryview)):
        kind, body = BYTES, bytes(result)
    elif isinstance(result, (dict, list, int, float, bool)):
        kind, body = "application/json", as_json(result)
    elif hasattr(result, "__iter__"):
        return status, headers, iter(result)
    elif hasattr(result, "__aiter__"):
        return status, headers, result.__aiter__()
    else:
        raise TypeError("handle returned %s: expected str, bytes, dict, list, an iterable of "
                        "them, or (body, status, headers)" % type(result).__name__)
    if lacks_type(headers):
        headers.append(("content-type", kind))
    return status, headers, body


def as_json(result):
    try:
        return _encode(result).encode("utf-8")
    except ValueError as error:
        if "not JSON compliant" not in str(error):
            raise
        raise ValueError("handle returned NaN or an infinity, which JSON does not have") from None


def lacks_type(headers):
    return not any(name.lower() == "content-type" for name, _ in headers)


def type_of(piece):
    """The content type of a stream that begins with `piece`; TypeError if it is none."""
    as_bytes(piece)
    return TEXT if isinstance(piece, str) else BYTES


def begin_stream(headers, body):
    """The first piece of an iterator, if it must be known before the head can leave."""
    if not lacks_type(headers):
        return b""
    first = next(body, b"")
    headers.append(("content-type", type_of(first)))
    return first


def head_bytes(status, headers, framing, reason=None):
    lines = ["HTTP/1.1 %d %s\r\n" % (status, reason or REASONS.get(status, "Status"))]
    for name, value in headers:
        if any(c in "\r\n\0: " for c in name) or any(c in "\r\n\0" for c in value):
            raise ValueError("the header field %r is not valid, or its value has a line break"
                             % name)
        if name.lower() not in FRAMING:
            lines.append("%s: %s\r\n" % (name, value))
    lines.append(framing)
    return "".join(lines).encode("latin-1")


def as_bytes(piece):
    if isinstance(piece, str):
        return piece.encode("utf-8")
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    raise TypeError("handle streamed %s: expected pieces of str or bytes" % type(piece).__name__)


class Declared:
    """Holds a body to the Content-Length that came with it."""

    __slots__ = ("length", "given")

    def __init__(self, length):
        self.length = length  # bytes
        self.given = 0

    def take(self, data):
        """What of the next piece may be sent."""
        left = self.length - self.given
        self.given += len(data)
        if len(data) <= left:
            return data
        if left >= 0:  # the first that is too long
            log("%s: what is more is not sent" % self._complaint(self.given))
        return data[:max(left, 0)]

    def over(self):
        return self.given > self.length

    def check(self, given=None):
        """BadLength if the body has ended too early."""
        given = self.given if given is None else given
        if given < self.length:
            raise BadLength(self._complaint(given))

    def _complaint(self, given):
        return ("the answer declared %d bytes (Content-Length) and gave %d"
                % (self.length, given))


def declared_length(headers):
    """Content-Length, None without one."""
    for name, value in headers:
        if name.lower() == "content-length":
            if not value.strip().isdecimal():
                raise ValueError("the Content-Length %r is no number" % value)
            return int(value)
    return None


def log(line):
    print("ebb: " + line, file=sys.stderr, flush=True)


def log_error(error):
    if isinstance(error, BadLength):
        log(str(error))
    else:
        traceback.print_exception(error)
        sys.stderr.flush()


def explain(error):
    """The answer for a function that raised."""
    if isinstance(error, BadLength):
        text = "%s\n" % error
    elif isinstance(error, SystemExit):
        text = "the function called sys.exit(%s)\n" % ("" if error.code is None
                                                        else repr(error.code))
    else:
        text = "the function raised %s\n" % traceback.format_exception_only(error)[-1].strip()
    return (502, [("content-type", TEXT)],
            text.encode("utf-8", "replace"))
