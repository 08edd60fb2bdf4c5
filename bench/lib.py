"""What the benchmarks share: figures, one core for all, turns, load, peers, and services
by the thousand.

What is compared runs on one core and takes turns of short windows, so that both see the
same machine; a ratio is the median of those of neighbouring windows. Cost is the CPU time
of a process in a window over the answers in it.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import platform
import re
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/e2e"))
from harness import BUILD, PROGRAM, Ebb, raw_first_byte, wait_until  # noqa: E402,F401

HELLO = "def handle(request):\n    return 'hello\\n'\n"
BYTES = "BODY = b'x' * %d\ndef handle(request):\n    return BODY\n"
SERVICES = "/apis/serving.knative.dev/v1/namespaces/default/services"


# --- Figures ---

def arguments(file, description):
    parser = argparse.ArgumentParser(prog="./dev bench " + pathlib.Path(file).name,
                                     description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON line per figure")
    return parser


class Figures:
    """Prints figures as they are found: a line of JSON for each, or one to be read."""

    def __init__(self, as_json):
        self.as_json = as_json

    def say(self, text):
        if not self.as_json:
            print(text, flush=True)

    def machine(self, text):
        self.say(f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, load average "
                 f"{os.getloadavg()[0]:.1f}; {text}")

    def add(self, name, value, unit, peer=None, ratio=None, most=None, most_ratio=None,
            least=None, least_ratio=None, values=()):
        """`most`, `most_ratio`, `least`, `least_ratio`: what is asked. `values`: what `value` is the
        median of."""
        if self.as_json:
            print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "peer": peer,
                              "ratio": ratio if ratio is None else round(ratio, 4)}), flush=True)
            return
        text = f"{name:58}{value:10.2f} {unit}"
        if len(values) > 1:
            low, _, high = statistics.quantiles(values, n=4, method="inclusive")
            text += f" ({low:.2f} to {high:.2f})"
        if ratio is not None:
            text = f"{text:88} {ratio:.3g}x {peer}"
        for limit, got, sign in ((least, value, ""), (least_ratio, ratio, "x")):
            if limit is not None and got is not None:
                text += f", asked >= {limit:g}{sign}" + ("" if got >= limit else ": MISSED")
        for limit, got, sign in ((most, value, ""), (most_ratio, ratio, "x")):
            if limit is not None and got is not None:
                text += f", asked <= {limit:g}{sign}" + ("" if got <= limit else ": MISSED")
        print(text, flush=True)


def percentile(values, fraction):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] if ordered else 0.0


def ratio(ours, theirs):
    """Of neighbouring windows: what the machine did to one it did to the other."""
    return statistics.median(a / b for a, b in zip(ours, theirs))


# --- One core, turns ---

ALL_CORES = os.sched_getaffinity(0)


def one_core():
    """All that is started from here on inherits it."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def rotated(names, turn):
    """Each comes first, and last, equally often."""
    names = list(names)
    first = turn % len(names)
    return names[first:] + names[:first]


def turns(count, windows):
    """Runs each of {name: function} once, `count` times over; {name: [what it returned]}."""
    out = {name: [] for name in windows}
    for turn in range(count):
        for name in rotated(windows, turn):
            out[name].append(windows[name]())
    return out


# --- Processes ---

def cpu_ns(pid):
    """CPU time of a process, all its threads that live, in ns."""
    return sum(int((task / "schedstat").read_text().split()[0])
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def memory(pid):
    """MiB, by the names of smaps_rollup."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(kib) / 1024 for name, kib in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}


def private(pid):
    found = memory(pid)
    return found["Private_Clean"] + found["Private_Dirty"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def raise_descriptors():
    """To the hard limit, which is returned; inherited."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


@contextlib.contextmanager
def with_executors(count):
    """An Ebb that has made so many executors, one for a core, and runs on ours alone."""
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(ALL_CORES)[-count:]))
    try:
        with Ebb("--pool", "1") as ebb:
            os.sched_setaffinity(0, here)
            pin(ebb.process.pid, here)
            pin(ebb.local_controller(), here)
            yield ebb
    finally:
        os.sched_setaffinity(0, here)


def pin(pid, cores):
    """A process, its threads, and all below it."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            os.sched_setaffinity(int(task.name), cores)
            for child in (task / "children").read_text().split():
                pin(int(child), cores)


# --- Load ---

def wrk(address, host, connections, seconds):
    """Closed loop; the number of answers."""
    text = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-H", f"Host: {host}",
         "http://%s:%d/" % address], text=True, capture_output=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit("failed requests:\n" + text)
    return int(re.search(r"(\d+) requests in", text)[1])


def openloop(address, hosts, connections, seconds, rate=0, seed=1, fixed=False):
    """What bench/openloop.cc prints; rate 0: closed loop. `fixed`: at equal gaps."""
    text = subprocess.run(
        [str(BUILD / "openloop"), "%s:%d" % address, *(f"--host={host}" for host in hosts),
         f"--connections={connections}", f"--seconds={seconds}", f"--rate={rate}",
         f"--seed={seed}", *(["--fixed"] if fixed else [])], text=True, capture_output=True, check=True).stdout
    found = json.loads(text)
    if found["failed"]:
        raise SystemExit(f"{found['failed']} of {found['answers']} requests failed")
    return found


def cost(pid, load):
    """CPU microseconds of `pid` for each answer; `load` returns their number."""
    before = cpu_ns(pid)
    answers = load()
    return (cpu_ns(pid) - before) / 1e3 / answers


# --- Peers ---

class Peer:
    """A proxy of one thread in front of a Unix socket. `pid` is the process that works."""

    name = version = None

    def __init__(self, upstream, connections=1024):
        self.folder = tempfile.TemporaryDirectory(prefix="ebb-peer-")
        os.chmod(self.folder.name, 0o755)
        self.address = ("127.0.0.1", free_port())
        conf = pathlib.Path(self.folder.name, "conf")
        conf.write_text(self.CONF.format(folder=self.folder.name, upstream=upstream,
                                         port=self.address[1], connections=connections))
        self.process = subprocess.Popen(self.command(str(conf)), stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_until(self.open, self.name)
        self.pid = self.worker()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    def open(self):
        if self.process.poll() is not None:
            raise SystemExit(f"{self.name} ended: is its package installed?")
        with contextlib.suppress(OSError), socket.create_connection(self.address):
            return True

    def worker(self):
        return self.process.pid


class Nginx(Peer):
    name = "nginx"
    CONF = """
user root; worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections {connections}; }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
  fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  keepalive_requests 100000000; keepalive_timeout 1h;
  upstream pod {{ server unix:{upstream}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://pod; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Host $host; }}
  }}
}}
"""

    def command(self, conf):
        return ["/usr/sbin/nginx", "-p", self.folder.name, "-c", conf]

    def worker(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(wait_until(lambda: children.read_text().split(), "nginx's worker")[0])


class Haproxy(Peer):
    name = "haproxy"
    CONF = """
global
  nbthread 1
  maxconn {connections}
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  option http-keep-alive
  option forwardfor
frontend all
  bind 127.0.0.1:{port} backlog 4096
  default_backend pod
backend pod
  http-reuse always
  server pod unix@{upstream}
"""

    def command(self, conf):
        return ["/usr/sbin/haproxy", "-db", "-f", conf]


def warm_pod(ebb, service):
    """The Unix socket of the service's pod."""
    pod = wait_until(lambda: ebb.pods(service, "Warm"), "a warm pod")[0][0]
    return f"{ebb.data}/run/pods/{pod}.sock"


@contextlib.contextmanager
def beside_peers(code, *options, peers=(Nginx, Haproxy), connections=1024):
    """{name: (pid, address)} of Ebb and its peers in front of one pod, and its Host."""
    with Ebb("--pool", "1", *options) as ebb, contextlib.ExitStack() as stack:
        ebb.deploy("bench", code, "--min", "1", "--max", "1")
        upstream = warm_pod(ebb, "bench")
        proxies = {"Ebb": (ebb.front(), ebb.gateway)}
        for kind in peers:
            peer = stack.enter_context(kind(upstream, connections))
            proxies[peer.name] = (peer.pid, peer.address)
        yield proxies, "bench.default.localhost"


# --- Services by the thousand ---

class Api:
    """Calls of Ebb's API, from any thread, over connections that stay."""

    def __init__(self, ebb):
        self.ebb, self.local = ebb, threading.local()
        self.host, self.port = ebb.api.rsplit(":", 1)
        self.token = pathlib.Path(ebb.data, "token").read_text().strip()
        self.trust = ssl.create_default_context(cafile=ebb.data + "/tls/ca.crt")

    def call(self, method, path, body=None, accept="application/json"):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPSConnection(
                self.host, int(self.port), timeout=600, context=self.trust)
        headers = {"Authorization": "Bearer " + self.token, "Accept": accept}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            self.local.connection.request(method, path, body=body, headers=headers)
            answer = self.local.connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError):  # it was idle for long
            self.local.connection.close()
            self.local.connection.request(method, path, body=body, headers=headers)
            answer = self.local.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise AssertionError(f"{method} {path}: {answer.status} {text[:500]!r}")
        return text

    def services(self):
        return json.loads(self.call("GET", SERVICES))["items"]


def is_ready(service):
    return any(c["type"] == "Ready" and c["status"] == "True"
               for c in service.get("status", {}).get("conditions", []))


class Copies:
    """Makes services with the code and settings of one that is there."""

    def __init__(self, api, model, **annotations):
        self.api = api
        found = json.loads(api.call("GET", f"{SERVICES}/{model}"))["spec"]["template"]
        self.template = {"metadata": {"annotations": {**found["metadata"]["annotations"],
                                                      **annotations}}, "spec": found["spec"]}

    def create(self, name):
        self.api.call("POST", SERVICES, json.dumps({
            "apiVersion": "serving.knative.dev/v1", "kind": "Service",
            "metadata": {"name": name}, "spec": {"template": self.template}}))

    def create_all(self, names, clients=4):
        """Seconds until all were made, and until all were ready."""
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            list(pool.map(self.create, names))
        created = time.monotonic() - start
        wanted = set(names)
        wait_until(lambda: wanted <= {s["metadata"]["name"] for s in self.api.services()
                                      if is_ready(s)} or time.sleep(0.3),
                   "all services ready", 3600)
        return created, time.monotonic() - start
