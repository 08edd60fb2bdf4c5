"""Answers requests with a WSGI application (PEP 3333)."""

import sys
from urllib.parse import unquote_to_bytes

from answer import Declared, declared_length, head_bytes


class Input:
    """wsgi.input: the request's body."""

    def __init__(self, request):
        self._request = request
        self._ahead = b""

    def read(self, size=-1):
        if size is None or size < 0:
            ahead, self._ahead = self._ahead, b""
            return ahead + self._request.read()
        while len(self._ahead) < size and (piece := self._request.read(65536)):
            self._ahead += piece
        out, self._ahead = self._ahead[:size], self._ahead[size:]
        return out

    def readline(self, limit=-1):
        while (end := self._ahead.find(b"\n")) < 0:
            piece = self._request.read(65536)
            if not piece:
                end = len(self._ahead)
                break
            self._ahead += piece
        end += 1
        if limit is not None and 0 <= limit < end:
            end = limit
        out, self._ahead = self._ahead[:end], self._ahead[end:]
        return out

    def readlines(self, hint=-1):
        return list(self)

    def __iter__(self):
        while line := self.readline():
            yield line


def environ_of(request):
    headers = request.headers
    host, _, port = headers.get("host", "localhost").partition(":")
    scheme = headers.get("x-forwarded-proto", "http")
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "QUERY_STRING": request.query,
        "REQUEST_URI": request.path + ("?" + request.query if request.query else ""),
        "SERVER_NAME": host,
        "SERVER_PORT": port or ("443" if scheme == "https" else "80"),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": headers.get("x-forwarded-for", "").partition(",")[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": Input(request),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key] = value
    return environ


def as_wsgi_bytes(piece):
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    raise TypeError("WSGI apps must give bytes, not %s" % type(piece).__name__)


def answer_with(app):
    """How a Server answers requests with a WSGI application."""
    def answer(connection, request, sent):
        started = []

        def start_response(status, headers, exc_info=None):
            if exc_info and any(sent):
                raise exc_info[1].with_traceback(exc_info[2])
            if started and not exc_info:
                raise AssertionError("start_response was called twice")
            started[:] = [status, headers]
            return write

        def send_head(whole=None):
            """`whole`: bytes of the body, if that is known."""
            status, _, reason = started[0].partition(" ")
            headers, status = started[1], int(status)
            length = declared_length(headers)
            bare = status in (204, 304) or status < 200
            state["bare"] = bare or request.method == "HEAD"
            if length is None:
                length = whole
            elif not state["bare"]:
                state["declared"] = Declared(length)
                if whole is not None:
                    state["declared"].check(whole)
            chunked = length is None and not bare
            framing = ("\r\n" if bare else "transfer-encoding: chunked\r\n\r\n" if chunked
                       else "content-length: %d\r\n\r\n" % length)
            head = head_bytes(status, headers, framing, reason)
            sent.append(True)
            connection.socket.sendall(head)
            state["chunked"] = chunked

        def write(data):
            if not started:
                raise AssertionError("the application wrote before start_response")
            data = as_wsgi_bytes(data)
            if not data:
                return
            if not sent:
                send_head()
            if state["bare"]:
                return
            if state["declared"]:
                data = state["declared"].take(data)
            connection.socket.sendall(b"%x\r\n%b\r\n" % (len(data), data)
                                      if state["chunked"] else data)

        state = {"declared": None}
        result = app(environ_of(request), start_response)
        try:
            # A body that is known as a whole gets its length.
            if isinstance(result, (list, tuple)) and started and not sent:
                send_head(sum(len(as_wsgi_bytes(piece)) for piece in result))
            for piece in result:
                write(piece)
                if state["declared"] and state["declared"].over():
                    break
            if not started:
                raise AssertionError("the application did not call start_response")
            if not sent:
                send_head(0)
            if state["chunked"] and not state["bare"]:
                connection.socket.sendall(b"0\r\n\r\n")
            if state["declared"]:
                state["declared"].check()
        finally:
            if hasattr(result, "close"):
                result.close()
    return answer
