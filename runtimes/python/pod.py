"""A Python pod: warms itself up, waits for its code, loads it, serves.

Talks to the Local Controller over one SOCK_SEQPACKET socket:
  pod -> controller   "W"          warm: may be given out
                      "R"          the code is loaded
                      "E" + text   it could not be loaded, and why
  controller -> pod   "L" + JSON   load: {"entry", "env", "concurrency"}
The end of that socket ends a pod that still waits.
"""

import json
import os
import socket
import sys
import traceback
import types

from server import Server

CONTROL, LISTEN = 3, 4
CODE = "/code"
MESSAGE_LIMIT = 64 * 1024
ERROR_LIMIT = 4096  # bytes of an error's text
DEFAULT_THREADS = 100

WARM_SOURCE = "import json\ndef handle(request):\n    return 'warm %s' % request.path\n"
WARM_REQUEST = b"GET /warm?x=1 HTTP/1.1\r\nhost: warm\r\nuser-agent: ebb\r\n\r\n"


def load_source(source, path):
    """Runs a function's main module and returns its handler."""
    module = types.ModuleType("main")
    module.__file__ = path
    sys.modules["main"] = module
    exec(compile(source, path, "exec"), module.__dict__)
    handle = getattr(module, "handle", None)
    if handle is None:
        raise LookupError("%s defines no function handle(request)" % os.path.basename(path))
    if not callable(handle):
        raise LookupError("handle in %s is not callable" % os.path.basename(path))
    return handle


def warm_up(requests):
    """Serves dummy requests on a private socket, over the very path that real ones
    take, so that the first real one meets no cold page and no cold bytecode."""
    name = "\0ebb-warm-%d" % os.getpid()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen(8)
        server = Server(load_source(WARM_SOURCE, "/code/warm.py"), 2)
        server.threads = 2  # so that serving starts no thread: a zygote must have one
        server.listen(listener)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(name)
            for _ in range(requests):
                client.sendall(WARM_REQUEST)
                server.step(1)
                client.recv(65536)
        server.step(1)
        server.epoll.close()
    sys.modules.pop("main", None)


def describe(error):
    """An error while loading, for the person who deploys: the innermost lines of
    the function's own code and the message."""
    if isinstance(error, SystemExit):
        return "main.py called sys.exit(%s) while it was loaded" % (
            "" if error.code is None else repr(error.code))
    if isinstance(error, SyntaxError) or not error.__traceback__:
        lines = traceback.format_exception_only(error)
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__)
                  if f.filename.startswith(CODE)]
        lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    return "".join(lines).strip()


def send(control, kind, text=""):
    control.send(kind + text.encode("utf-8", "replace")[-ERROR_LIMIT:])


def load(message):
    os.environ.update(message.get("env", {}))
    os.chdir(CODE)
    sys.path.insert(0, CODE)
    path = os.path.join(CODE, message["entry"])
    try:
        with open(path, "rb") as file:
            source = file.read()
    except FileNotFoundError:
        raise LookupError("the code has no %s" % message["entry"]) from None
    return load_source(source, path)


def main():
    os.environ.clear()
    os.environ.update({"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PORT": "8080"})
    sys.path[:] = [p for p in sys.path if p != "/ebb/runtime"]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    control = socket.socket(fileno=CONTROL)
    listener = socket.socket(fileno=LISTEN)
    warm_up(3)
    # The second thread waits from the start: the first request starts none.
    server = Server(None, 2)
    server.start_thread()
    send(control, b"W")

    data = control.recv(MESSAGE_LIMIT)
    if not data:
        os._exit(0)
    try:
        message = json.loads(data[1:])
        server.handle = load(message)
        server.max_threads = message.get("concurrency") or DEFAULT_THREADS
    except BaseException as error:  # SystemExit and KeyboardInterrupt too
        send(control, b"E", describe(error))
        os._exit(1)
    server.listen(listener)
    send(control, b"R")
    try:
        server.run()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)
