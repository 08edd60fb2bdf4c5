"""Runs the real `ebb` for tests and benchmarks: one data folder, free ports.

    with Ebb() as ebb:
        ebb.deploy("hello", "def handle(request): return 'hi'")
        assert ebb.get("hello").body == b"hi"
"""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("EBB_BUILD", ROOT / "build/release"))
PROGRAM = str(BUILD / "ebb")
# Sanitized builds are many times slower; every wait of a test is a multiple of this.
PATIENCE = float(os.environ.get("EBB_TEST_PATIENCE", "20"))  # seconds


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


def wait_until(condition, what, patience=None):
    """Polls until `condition()` is true; fails with `what` at the deadline."""
    deadline = time.monotonic() + (patience or PATIENCE)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience or PATIENCE} s: {what}")
        time.sleep(0.02)


class Ebb:
    def __init__(self, *options, data=None, prefix=(), program=PROGRAM):
        self.options = options
        self.program = program  # the one that serves
        self.prefix = prefix  # a command that runs the program
        self.listen = ("127.0.0.1:0", "127.0.0.1:0")  # gateway, API
        self.own_data = data is None
        self.data = data or tempfile.mkdtemp(prefix="ebb-e2e-")
        os.chmod(self.data, 0o755)
        self.process = None
        self.pods_folder = None  # of their cgroups, once it is known
        self.log = []

    # --- Life ---

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.stop()
        if self.own_data:
            shutil.rmtree(self.data, ignore_errors=True)
        said = "".join(self.log)
        for sanitizer in ("ThreadSanitizer", "AddressSanitizer", "LeakSanitizer", "runtime error:"):
            if sanitizer in said:
                raise AssertionError(said)

    def start(self):
        self.log = []
        self.gateway = None
        self.process = subprocess.Popen(
            [*self.prefix, self.program, "up", "--data", self.data, "--gateway", self.listen[0],
             "--api", self.listen[1], *self.options],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
        up = threading.Event()
        # An earlier run's reader may still be at it, for as long as any process of that run lives:
        # each has its own pipe, log and event.
        self.reader = threading.Thread(
            target=self._read, args=(self.process.stderr, self.log, up), daemon=True)
        self.reader.start()
        up.wait(PATIENCE)
        if not self.gateway or self.process.poll() is not None:
            raise AssertionError("ebb up did not start:\n" + "".join(self.log))

    def _read(self, stderr, log, up):
        with stderr as lines:
            for line in lines:
                log.append(line)
                if log is not self.log:
                    continue
                if found := re.search(r"gateway +http://127\.0\.0\.1:(\d+)", line):
                    self.gateway = ("127.0.0.1", int(found[1]))
                if found := re.search(r"https +https://127\.0\.0\.1:(\d+)", line):
                    self.https = ("127.0.0.1", int(found[1]))
                if found := re.search(r"API +https://(\S+)", line):
                    self.api = found[1]
                if "Ctrl-C" in line:
                    up.set()
        up.set()

    def signal(self, number=signal.SIGINT):
        self.process.send_signal(number)

    def wait(self):
        """The exit code; the program must have been told to end."""
        code = self.process.wait(PATIENCE * 3)
        self.reader.join(PATIENCE)
        return code

    def stop(self):
        if self.process and self.process.poll() is None:
            self.signal()
            try:
                return self.wait()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("ebb up did not end:\n" + "".join(self.log[-40:]))
        return None

    # --- Its processes ---

    def local_controller(self):
        """The pid of the Local Controller that serves."""
        def alive():
            with contextlib.suppress(OSError, ValueError):
                pid = int(pathlib.Path(self.data, "run/lock").read_text())
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "ebb-node":
                    return pid
        return wait_until(alive, "a Local Controller")

    def front(self):
        """The pid of the front; of several, the one that serves."""
        return wait_until(self.fronts, "a front")[-1]

    def fronts(self):
        """Pids: those that leave, longest first, then the one that serves."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        out = []
        for pid in children.read_text().split():
            with contextlib.suppress(OSError):
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                if re.search(r"^Uid:\s+1879048192\s", status, re.M) and "State:\tZ" not in status:
                    out.append(int(pid))
        return out

    # --- The command line ---

    def run(self, *arguments, check=True):
        result = subprocess.run(
            [PROGRAM, *arguments], text=True, capture_output=True, timeout=PATIENCE * 5,
            # A call at the end of a deploy would leave a pod that tests do not expect.
            env={**os.environ, "KUBECONFIG": self.data + "/kubeconfig", "EBB_NO_CALL": "1"})
        if check and result.returncode != 0:
            raise AssertionError(f"ebb {' '.join(arguments)}: {result.returncode}\n"
                                 f"{result.stdout}{result.stderr}\n{''.join(self.log[-20:])}")
        return result

    def deploy(self, name, source, *options, runtime="python", check=True):
        """`source`: the text of main.py, or texts (bytes) by file name; what begins with
        #! or is bytes is made executable."""
        with tempfile.TemporaryDirectory(prefix="ebb-code-") as folder:
            if isinstance(source, str):
                source = {"main.py": source}
            for file, text in source.items():
                path = pathlib.Path(folder, file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text.encode() if isinstance(text, str) else text)
                if isinstance(text, bytes) or text.startswith("#!"):
                    path.chmod(0o755)
            return self.run("deploy", name, "--runtime", runtime, "--code", folder, *options,
                            check=check)

    def list(self, kind):
        text = self.run("get", kind, "-o", "json").stdout
        return json.loads(text)["items"]

    def pods(self, service=None, state=None):
        """Pods as (name, state), of one service if given."""
        out = []
        for pod in self.list("pods"):
            labels = pod["metadata"]["labels"]
            if service and labels.get("serving.knative.dev/service") != service:
                continue
            if state and labels["ebb.dev/state"] != state:
                continue
            out.append((pod["metadata"]["name"], labels["ebb.dev/state"]))
        return out

    def node_state(self):
        return self.list("nodes")[0]["metadata"]["labels"]["ebb.dev/state"]

    def service(self, name):
        return json.loads(self.run("get", "services", name, "-o", "json").stdout)

    def condition(self, name, kind="Ready"):
        for condition in self.service(name).get("status", {}).get("conditions", []):
            if condition["type"] == kind:
                return condition
        return {"status": "Unknown"}

    # --- Requests ---

    def connection(self, timeout=None):
        return http.client.HTTPConnection(*self.gateway, timeout=timeout or PATIENCE)

    def api_connection(self):
        """To the API, which must have the certificate that this data folder's CA signed."""
        host, port = self.api.rsplit(":", 1)
        trust = ssl.create_default_context(cafile=self.data + "/tls/ca.crt")
        return http.client.HTTPSConnection(host, int(port), timeout=PATIENCE, context=trust)

    def get(self, name, path="/", method="GET", body=None, headers=None, connection=None,
            timeout=None):
        host = name if "." in name else f"{name}.default.localhost"
        used = connection or self.connection(timeout)
        try:
            used.request(method, path, body=body, headers={"Host": host, **(headers or {})},
                         encode_chunked=not isinstance(body, (bytes, str, type(None))))
            answer = used.getresponse()
            return Response(answer.status, answer.headers, answer.read())
        finally:
            if not connection:
                used.close()

    # --- Metrics ---

    def metrics(self):
        """All samples, as {name: [(labels, value)]}."""
        token = pathlib.Path(self.data, "token").read_text().strip()
        connection = self.api_connection()
        try:
            connection.request("GET", "/metrics", headers={"Authorization": "Bearer " + token})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"/metrics: {answer.status} {text}")
        out = {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            pairs = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""))
            out.setdefault(name, []).append((pairs, float(value)))
        return out

    def metric(self, name, **labels):
        """The sum of the samples that have these labels."""
        return sum(value for pairs, value in self.metrics().get(name, [])
                   if labels.items() <= pairs.items())

    def cgroup_folder(self):
        """Where the pods' cgroups are."""
        for mount in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"):
            for folder, names, _ in os.walk(mount):
                for name in names:
                    if name.startswith("ebb-") and any(
                            pathlib.Path(folder, name, pod).exists() for pod, _ in self.pods()):
                        return pathlib.Path(folder, name)
        return None

    def signal_pod(self, pod, number):
        """As somebody from outside does. False if it was gone already."""
        if self.pods_folder is None:
            self.pods_folder = self.cgroup_folder()
        with contextlib.suppress(OSError):
            # Its first process is the first of its pid namespace: all others end with it.
            pids = (self.pods_folder / pod / "cgroup.procs").read_text().split()
            if pids:
                os.kill(int(pids[0]), number)
                return True
        return False

    # --- What is left ---

    def leftovers(self):
        """Processes, cgroups, mounts and sockets of this data folder."""
        left = []
        group = "ebb-" + hashlib.sha256(self.data.encode()).hexdigest()[:12]
        for folder, names, _ in os.walk("/sys/fs/cgroup"):
            if group in names:
                left.append(f"cgroup {folder}/{group}")
        for run in (pathlib.Path(self.data, "run/pods"), pathlib.Path(self.data, "run")):
            if run.exists():
                left += [f"socket {p}" for p in run.iterdir() if p.is_socket()]
        if self.data in pathlib.Path("/proc/self/mountinfo").read_text():
            left.append("a mount")
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                status = (entry / "status").read_text()
                uid = int(re.search(r"^Uid:\s+(\d+)", status, re.M)[1])
                if uid >= 1879048192 and group in (entry / "cgroup").read_text():
                    left.append("process " + entry.name)
                if self.data.encode() in (entry / "cmdline").read_bytes():
                    left.append("process " + entry.name)
        return left


class Load:
    """Calls a function all the time, over new connections, until it is left."""

    def __init__(self, ebb, name, threads=3, call=None):
        """`call()` -> the status, if it is no usual call."""
        self.call = call or (lambda: ebb.get(name).status)
        self.answers, self.errors = [], []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self):
        while not self.stop.is_set():
            try:
                self.answers.append(self.call())
            except (OSError, AssertionError) as error:
                self.errors.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


class WebSocket:
    """A client: the handshake and masked frames of RFC 6455."""

    def __init__(self, address, host, path="/", **fields):
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        fields = {"Host": host, "Connection": "keep-alive, Upgrade", "Upgrade": "websocket",
                  "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key, **fields}
        lines = [f"GET {path} HTTP/1.1", *(f"{n}: {v}" for n, v in fields.items()), "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        self.accept = base64.b64encode(hashlib.sha1(
            (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()

    def send(self, data, opcode=2):
        mask = os.urandom(4)
        length = len(data)
        head = bytes([0x80 | opcode])
        if length < 126:
            head += bytes([0x80 | length])
        elif length < 65536:
            head += b"\xfe" + struct.pack(">H", length)
        else:
            head += b"\xff" + struct.pack(">Q", length)
        body = (int.from_bytes(data, "big") ^ int.from_bytes(
            (mask * (length // 4 + 1))[:length], "big")).to_bytes(length, "big")
        self.socket.sendall(head + mask + body)

    def receive_frame(self):
        """(opcode, data), None at the end."""
        head = self.file.read(2)
        if len(head) < 2:
            return None
        length = head[1] & 127
        if length == 126:
            length = struct.unpack(">H", self.file.read(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", self.file.read(8))[0]
        return head[0] & 15, self.file.read(length)

    def receive(self):
        """The data alone."""
        frame = self.receive_frame()
        return frame and frame[1]

    def close(self):
        self.file.close()
        self.socket.close()


def raw_first_byte(address, host, path="/"):
    """Seconds from connect to the first byte of the answer, and the status."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    start = time.perf_counter_ns()
    with socket.create_connection(address, timeout=PATIENCE) as s:
        s.sendall(request)
        first = s.recv(65536)
        took = time.perf_counter_ns() - start
        return took / 1e9, int(first.split(b" ", 2)[1])
