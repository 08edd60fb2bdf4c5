"""A Python pod: warms itself up, waits for its code, loads it, serves.

Talks to the Local Controller over one SOCK_SEQPACKET socket:
  pod -> controller   "W"          warm: may be given out
                      "C" + code   what main.py compiled to, for later pods; empty: it is too
                                   large. Always, unless the controller had it, and before
                                   any line of it runs
                      "R"          the code is loaded
                      "E" + text   it could not be loaded, and why
  controller -> pod   "C" + code   what an earlier pod has compiled; perhaps, before "L"
                      "L" + JSON   load: {"entry", "env", "concurrency", "forks"}
The end of that socket ends a pod that still waits. One that forks (see forking.py) says "R"
when it may be asked, and serves nothing itself.
"""

import asyncio
import importlib.util
import inspect
import json
import marshal
import os
import signal
import socket
import sys
import traceback
import types

import aserver
import forking
import wsgi
from server import Server, serve_with

CONTROL, LISTEN = 3, 4
CODE = "/code"
RUNTIME = os.path.dirname(os.path.abspath(__file__))
PACKAGES = "/code/.ebb/python"  # where `ebb deploy` installs requirements.txt
BACKLOG = 4096
MESSAGE_LIMIT = 128 * 1024
ERROR_LIMIT = 4096  # bytes of an error's text
FILE_PIECE = 64 * 1024
COMPILED_LIMIT = 100 * 1024  # bytes of what main.py compiled to
DEFAULT_THREADS = 100

MAGIC = importlib.util.MAGIC_NUMBER
COMPILED = ord("C")
ASYNC_FLAGS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
# json.loads() without what it does for other input: a cold pod runs it once.
decode_json = json.JSONDecoder().scan_once

# What a zygote serves to warm itself up, beside warm.py: functions of the other kinds.
WARM_SOURCES = {
    "async": """
async def handle(request):
    return 'warm %s' % request.path
""",
    "wsgi": """
def app(environ, start_response):
    start_response('200 OK', [('content-type', 'text/plain')])
    return [b'warm ', environ['PATH_INFO'].encode()]
""",
    "asgi": """
async def app(scope, receive, send):
    if scope['type'] != 'http':
        raise NotImplementedError
    await receive()
    await send({'type': 'http.response.start', 'status': 200,
                'headers': [(b'content-type', b'text/plain')]})
    await send({'type': 'http.response.body', 'body': b'warm ' + scope['raw_path']})
""",
}
WARM_REQUEST = b"GET /warm?x=1 HTTP/1.1\r\nhost: warm\r\nuser-agent: ebb\r\n\r\n"


def is_async(function):
    """Whether calling it gives a coroutine or an async generator."""
    if type(function) is types.FunctionType and not function.__dict__:
        return bool(function.__code__.co_flags & ASYNC_FLAGS)
    for candidate in (function, getattr(function, "func", None), getattr(function, "__call__", None)):
        if inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate):
            return True
    return False


def takes(function, count):
    """Whether it can be called with `count` positional arguments."""
    try:
        inspect.signature(function).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def find_handler(module, name):
    """(kind, callable) of what a module defines: handle(request), or an application by
    the name app or application, WSGI (environ, start_response) or ASGI (scope, receive,
    send)."""
    handle = getattr(module, "handle", None)
    if handle is not None:
        if not callable(handle):
            raise LookupError("handle in %s is not callable" % name)
        return ("async" if is_async(handle) else "sync"), handle
    for word in ("app", "application"):
        app = getattr(module, word, None)
        if app is None:
            continue
        if not callable(app):
            raise LookupError("%s in %s is not callable" % (word, name))
        if takes(app, 3) and (is_async(app) or not takes(app, 2)):
            return "asgi", app
        if takes(app, 2):
            return "wsgi", app
        raise LookupError("%s in %s is neither a WSGI application (environ, start_response) nor "
                          "an ASGI one (scope, receive, send)" % (word, name))
    raise LookupError("%s defines no function handle(request), and no app" % name)


def run_main(code, path):
    """Runs a function's main module: (kind, callable), see find_handler."""
    module = types.ModuleType("main")
    module.__file__ = path
    sys.modules["main"] = module
    exec(code, module.__dict__)
    return find_handler(module, os.path.basename(path))


def to_bytes(code):
    data = MAGIC + marshal.dumps(code)
    return data if len(data) <= COMPILED_LIMIT else b""


def from_bytes(data):
    """None if another interpreter has made it."""
    return marshal.loads(data[len(MAGIC):]) if data.startswith(MAGIC) else None


# As the Local Controller's, with everything that one may have.
WARM_MESSAGE = json.dumps({
    "args": [], "command": [], "concurrency": 0, "entry": "warm.py", "memory": 134217728,
    "port": 8080, "probe": "",
    "env": {"K_SERVICE": "warm", "K_CONFIGURATION": "warm", "K_REVISION": "warm-00001",
            "EBB_GATEWAY": "http://192.0.2.1"}}).encode()


WARM_CODE = to_bytes(compile(open(os.path.join(RUNTIME, "warm.py")).read(),
                             os.path.join(RUNTIME, "warm.py"), "exec"))
WARM_CODES = {kind: to_bytes(compile(source, os.path.join(RUNTIME, "warm.py"), "exec"))
              for kind, source in WARM_SOURCES.items()}


def rehearse(times=1):
    """Loads warm.py as a function's code is loaded, and undoes it: the real load then
    meets no cold page and no cold bytecode. The handler."""
    here, path, environ = os.getcwd(), sys.path[:], dict(os.environ)
    compiled = None
    for _ in range(times):
        loaded = load(read_message(WARM_MESSAGE), RUNTIME, compiled)
        handle, compiled = loaded[1], WARM_CODE
        os.chdir(here)
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environ)
    sys.modules.pop("main", None)
    return handle


def warm_up(requests, answer=None):
    """Serves dummy requests on a private socket, over the very path that real ones
    take. `answer`: as a Server's; by default that of warm.py, loaded as often."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")  # the kernel finds a name
        listener.listen(8)
        server = Server(answer or serve_with(rehearse(requests)), 2)
        server.threads = 2  # so that serving starts no thread: a zygote must have one
        server.listen(listener)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(listener.getsockname())
            for _ in range(requests):
                client.sendall(WARM_REQUEST)
                server.step(1)
                client.recv(65536)
        server.step(1)
        server.epoll.close()


def warm_up_async(requests, kind, function):
    """The same for what one event loop serves."""
    async def serve():
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("")
        answer = aserver.answer_with_handle(function)
        if kind == "asgi":
            lifespan = aserver.Lifespan(function)
            await lifespan.startup()
            answer = aserver.answer_with_asgi(function, lifespan.state)
        server = await aserver.AsyncServer(answer).listen(listener, 8)
        reader, writer = await asyncio.open_unix_connection(listener.getsockname())
        for _ in range(requests):
            writer.write(WARM_REQUEST)
            await reader.read(65536)
        writer.close()
        server.close()
        await asyncio.sleep(0)

    asyncio.run(serve())


def warm_up_zygote(requests):
    """By functions of every kind."""
    warm_up(requests)
    for kind, code in WARM_CODES.items():
        for _ in range(requests):
            _, function = run_main(from_bytes(code), "warm.py")
        if kind == "wsgi":
            warm_up(requests, wsgi.answer_with(function))
        else:
            warm_up_async(requests, kind, function)
    sys.modules.pop("main", None)


def describe(error):
    """An error while loading, for the person who deploys: the message, which tables show
    alone, then where it came from in the function's own code."""
    if isinstance(error, SystemExit):
        return "main.py called sys.exit(%s) while it was loaded" % (
            "" if error.code is None else repr(error.code))
    lines = traceback.format_exception_only(error)
    if isinstance(error, SyntaxError):  # the place comes first
        return "".join(lines[-1:] + lines[:-1]).strip()
    own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(CODE)]
    return "".join(lines[:1] + traceback.format_list(own) + lines[1:]).strip()


def send(control, kind, text=""):
    control.send(kind + text.encode("utf-8", "replace")[-ERROR_LIMIT:])


def read_message(data):
    return decode_json(str(data, "utf-8"), 0)[0]


# What follows runs once in each pod, on a request's time and with cold caches: so it
# takes the short way where there is a convenient one.
def load(message, folder=CODE, compiled=None, hand_in=None):
    """(kind, callable). What is compiled here is given to `hand_in` first."""
    environ = os.environ
    environ["PORT"] = str(message.get("port", 8080))
    for name, value in message.get("env", {}).items():
        environ[name] = value
    os.chdir(folder)
    sys.path.insert(0, folder)
    if os.access(PACKAGES, os.F_OK):
        sys.path.insert(1, PACKAGES)
    path = os.path.join(folder, message["entry"])
    code = from_bytes(compiled) if compiled is not None else None
    if code is None:
        try:
            source = read_file(path)
        except FileNotFoundError:
            raise LookupError("the code has no %s" % message["entry"]) from None
        code = compile(source, path, "exec")
        if hand_in is not None:
            hand_in(code)
    return run_main(code, path)


def read_file(path):
    """As open() and read() do, in half the system calls."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, FILE_PIECE)
        size = len(data)
        while size == FILE_PIECE:  # a file gives less only at its end
            piece = os.read(fd, FILE_PIECE)
            data += piece
            size = len(piece)
        return data
    finally:
        os.close(fd)


def serve_sync(control, listener, server, answer, threads):
    """Threads serve, see Server."""
    server.answer = answer
    server.max_threads = threads
    send(control, b"R")  # first: what a request does to the pod is not a failed load
    server.listen_and_run(listener)


def serve_async(control, listener, kind, handle):
    """One event loop serves, see AsyncServer. An application's startup comes first."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    if kind == "asgi":
        lifespan = aserver.Lifespan(handle)
        own = signal.getsignal(signal.SIGTERM)
        try:
            loop.run_until_complete(lifespan.startup())
        except BaseException as error:
            fail(control, error)
        if signal.getsignal(signal.SIGTERM) is own is end:
            aserver.end_by_lifespan(loop, lifespan)
        answer = aserver.answer_with_asgi(handle, lifespan.state)
    else:
        answer = aserver.answer_with_handle(handle)
    server = aserver.AsyncServer(answer)
    listener.setblocking(False)
    listening = loop.run_until_complete(server.listen(listener, BACKLOG))  # noqa: F841
    send(control, b"R")
    loop.run_forever()


def fail(control, error):
    send(control, b"E", describe(error))
    sys.stdout.flush()
    os._exit(1)


def end(number, frame):
    """SIGTERM, unless the function has a handler of its own: as pid 1 of its namespace
    the pod has no default one."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(128 + number)


def prepare():
    """In the zygote, once all is imported: what is the same for every pod. What a pod writes
    to, be it a count of references, it copies first, page by page. The buffer for main()."""
    os.environ.clear()
    os.environ.update({"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PORT": "8080"})
    sys.path[:] = [p for p in sys.path if p != RUNTIME.rstrip("/")]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    # Ours go, so that `import request` finds the function's own file. What of ours refers
    # to each other has done so already.
    for name, module in list(sys.modules.items()):
        if name != "__main__" and (getattr(module, "__file__", None) or "").startswith(RUNTIME + "/"):
            del sys.modules[name]
    return bytearray(MESSAGE_LIMIT)


def main(buffer):
    signal.signal(signal.SIGTERM, end)
    control = socket.socket(fileno=CONTROL)
    listener = socket.socket(fileno=LISTEN)
    buffer[:len(WARM_MESSAGE)] = WARM_MESSAGE
    warm_up(3)
    # The second thread waits from the start: the first request starts none.
    server = Server(None, 2)
    server.start_thread()
    server.own(listener)
    send(control, b"W")

    size = control.recv_into(buffer)
    compiled = hand_in = None
    if size and buffer[0] == COMPILED:
        compiled = bytes(buffer[1:size])
        size = control.recv_into(buffer)
    else:
        def hand_in(code):
            try:
                control.send(b"C" + to_bytes(code))
            except (OSError, ValueError):  # what cannot be handed in runs all the same
                control.send(b"C")
    if not size:
        os._exit(0)
    try:
        message = read_message(buffer[1:size])
        forks = message.get("forks")
        before = forking.State() if forks else None
        kind, handle = load(message, CODE, compiled, hand_in)
        if forks:
            forking.check(before, forks == "automatic")
    except forking.CannotFork as refusal:
        send(control, b"U", str(refusal))
        os._exit(0)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too
        fail(control, error)
    try:
        if forks:
            forking.serve(control)
            server = Server(None, 2)
            server.start_thread()
            server.own(listener)
        if kind in ("async", "asgi"):
            serve_async(control, listener, kind, handle)
        else:
            answer = serve_with(handle) if kind == "sync" else wsgi.answer_with(handle)
            threads = message.get("concurrency") or DEFAULT_THREADS
            serve_sync(control, listener, server, answer, threads)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)
