"""What pods reach and what they do not, in a network that the test makes itself.

The test runs in a network namespace of its own, which plays the machine; a second one
plays the outside. Nothing of it touches the real machine's network.
"""

import contextlib
import ctypes
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from harness import Ebb, wait_until

MACHINE, OUTSIDE, METADATA = "203.0.113.1", "203.0.113.10", "169.254.169.254"
LAN = "192.168.77.5"  # an address of the machine on another interface

# Carries out what it is asked for: [["tcp", host, port], ["get", url, host], ...].
PROBE = """
import json, os, socket, threading, urllib.request
socket.setdefaulttimeout(3)

def tcp(host, port):
    with socket.create_connection((host, port)) as s:
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        return s.recv(100).decode("latin-1")

def udp(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((host, port))
        s.send(b"x")
        return s.recv(100).decode("latin-1")

def get(url, host=None):
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()

def resolve(name):
    return sorted({a[4][0] for a in socket.getaddrinfo(name, 80)})

def gateway(host):
    return get(os.environ["EBB_GATEWAY"] + "/", host)

def listen(port):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", port))
    server.listen()
    def answer():
        while True:
            server.accept()[0].sendall(b"a pod")
    threading.Thread(target=answer, daemon=True).start()
    return "listening"

def interfaces():
    with open("/proc/self/net/dev") as f:
        return sorted(line.split(":")[0].strip() for line in f if ":" in line)

def address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("203.0.113.10", 9))
        return s.getsockname()[0]

def ipv6():
    with open("/proc/self/net/if_inet6") as f:
        return [line.split()[5] for line in f]

def handle(request):
    results = []
    for name, *arguments in request.json():
        try:
            results.append(["ok", globals()[name](*arguments)])
        except OSError as error:
            results.append(["failed", type(error).__name__ + ": " + str(error)])
    return results
"""
HELLO = "def handle(request):\n    return 'hello from ' + request.headers['host']\n"


def run(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True, timeout=20).stdout


# --- The outside ---

class Outside(http.server.BaseHTTPRequestHandler):
    """Tells who asks."""

    def do_GET(self):
        body = self.client_address[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked may have gone
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(self.client_address[0].encode(), self.client_address)


class Dns(socketserver.BaseRequestHandler):
    """Every name is the outside's."""

    def handle(self):
        data, sock = self.request
        end = data.index(b"\0", 12) + 5
        is_a = data[end - 4:end - 2] == b"\0\1"
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4" + socket.inet_aton(OUTSIDE) if is_a else b""
        sock.sendto(data[:2] + struct.pack(">HHHHH", 0x8180, 1, len(answer) and 1, 0, 0) +
                    data[12:end] + answer, self.client_address)


def serve_outside():
    """The whole life of the process in the second namespace."""
    run("ip", "link", "set", "lo", "up")
    sys.stdout.write("made\n")
    sys.stdout.flush()
    sys.stdin.readline()  # the link is there
    run("ip", "address", "add", OUTSIDE + "/24", "dev", "inside")
    run("ip", "address", "add", METADATA + "/32", "dev", "lo")
    run("ip", "link", "set", "inside", "up")
    http.server.ThreadingHTTPServer.request_queue_size = 64
    for server in (http.server.ThreadingHTTPServer(("0.0.0.0", 80), Outside),
                   socketserver.UDPServer((OUTSIDE, 7), Udp),
                   socketserver.UDPServer((METADATA, 7), Udp),
                   socketserver.UDPServer((OUTSIDE, 53), Dns)):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    sys.stdin.read()  # until the test has gone


def make_world():
    """The machine's interfaces and the outside. Returns the outside's process."""
    run("ip", "link", "set", "lo", "up")
    # A new namespace begins with the real machine's setting.
    pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
    outside = subprocess.Popen(["unshare", "--net", sys.executable, __file__, "--outside"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert outside.stdout.readline() == "made\n"
    run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "inside", "netns",
        str(outside.pid))
    run("ip", "address", "add", MACHINE + "/24", "dev", "uplink")
    run("ip", "link", "set", "uplink", "up")
    outside.stdin.write("go\n")
    outside.stdin.flush()
    assert outside.stdout.readline() == "serving\n"
    run("ip", "route", "add", "default", "via", OUTSIDE)
    run("ip", "link", "add", "lan", "type", "veth", "peer", "name", "lan-peer")
    run("ip", "address", "add", LAN + "/24", "dev", "lan")
    run("ip", "link", "set", "lan", "up")
    return outside


def nft(command):
    """What nft prints; there is no nft on a machine that only runs Ebb."""
    library = ctypes.CDLL("libnftables.so.1")
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
    library.nft_ctx_get_output_buffer.argtypes = [ctypes.c_void_p]
    context = ctypes.c_void_p(library.nft_ctx_new(0))
    library.nft_ctx_buffer_output(context)
    assert library.nft_run_cmd_from_buffer(context, command.encode()) == 0
    text = library.nft_ctx_get_output_buffer(context).decode()
    library.nft_ctx_free(context)
    return text


def nft_tables():
    return [line for line in nft("list tables").splitlines() if "ebb" in line]


def leftovers():
    left = nft_tables()
    left += [name for _, name in socket.if_nameindex() if name.startswith("ebb")]
    left += run("ip", "route", "show", "table", "all", "type", "blackhole").splitlines()
    left += [line for line in run("ip", "-4", "-o", "address", "show", "dev", "lo").splitlines()
             if "127.0.0.1/8" not in line]
    if pathlib.Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() != "0":
        left.append("forwarding")
    space = os.stat("/proc/self/ns/net").st_ino
    left += [str(p) for p in pathlib.Path("/run").glob(f"ebb-forwarding-{space}")]
    return left


def descendants(pid):
    out = []
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        out += [int(child), *descendants(int(child))]
    return out


class Network(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.outside = make_world()
        cls.addClassCleanup(cls.outside.stdout.close)
        cls.addClassCleanup(cls.outside.wait, 20)
        cls.addClassCleanup(cls.outside.stdin.close)
        # The machine's resolver, seen by this test alone.
        cls.resolv = tempfile.NamedTemporaryFile("w", prefix="ebb-resolv-")
        cls.addClassCleanup(cls.resolv.close)
        cls.resolv.write(f"nameserver {OUTSIDE}\n")
        cls.resolv.flush()
        os.chmod(cls.resolv.name, 0o644)
        run("mount", "--bind", cls.resolv.name, os.path.realpath("/etc/resolv.conf"))
        # What else listens on the machine.
        cls.other = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Outside)
        cls.other_udp = socketserver.UDPServer(("0.0.0.0", 0), Udp)
        for server in (cls.other, cls.other_udp):
            threading.Thread(target=server.serve_forever, daemon=True).start()
            cls.addClassCleanup(server.server_close)
            cls.addClassCleanup(server.shutdown)
        cls.ebb = Ebb().__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)
        cls.ebb.deploy("hello", HELLO)
        cls.ebb.deploy("probe", PROBE)
        cls.ebb.deploy("neighbour", PROBE, "--min", "1")

    def ask(self, *operations, function="probe"):
        answer = self.ebb.get(function, body=json.dumps(operations), method="POST")
        self.assertEqual(answer.status, 200, answer)
        return json.loads(answer.text)

    def assert_refused(self, results, names):
        for result, name in zip(results, names, strict=True):
            self.assertEqual(result[0], "failed", f"{name}: {result[1]}")

    def test_reaches_the_outside_with_the_machines_address(self):
        by_tcp, by_name, by_udp = self.ask(["get", f"http://{OUTSIDE}/"],
                                           ["get", "http://www.example.com/"],
                                           ["udp", OUTSIDE, 7])
        self.assertEqual([by_tcp, by_name, by_udp], [["ok", MACHINE]] * 3)

    def test_functions_reach_each_other(self):
        port = self.ebb.gateway[1]
        answers = self.ask(["gateway", "hello.default.localhost"],
                           ["get", "http://hello.default.localhost/"],
                           ["get", f"http://hello.default.localhost:{port}/"])
        for status, text in answers:
            self.assertEqual(status, "ok", text)
            self.assertIn("hello from hello.default.localhost", text)
        missing, = self.ask(["gateway", "missing.default.localhost"])
        self.assertIn("404", missing[1])

    def test_a_function_for_functions_only(self):
        self.ebb.deploy("private", HELLO)
        service = self.ebb.service("private")
        service["metadata"] = {"name": "private", "labels": {
            "networking.knative.dev/visibility": "cluster-local"},
            "annotations": service["metadata"].get("annotations", {})}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({k: service[k] for k in ("apiVersion", "kind", "metadata", "spec")}, file)
            file.flush()
            self.ebb.run("apply", "-f", file.name)
        wait_until(lambda: self.ebb.get("private").status == 404, "it is closed to the outside")
        self.assertIn("other functions only", self.ebb.get("private").text)
        inside, = self.ask(["gateway", "private.default.localhost"])
        self.assertEqual(inside[0], "ok", inside)
        self.assertIn("hello from private.default.localhost", inside[1])

    def test_resolves_functions_and_all_others(self):
        function, other = self.ask(["resolve", "hello.default.localhost"],
                                   ["resolve", "www.example.com"])
        self.assertEqual(other, ["ok", [OUTSIDE]])
        self.assertEqual(function[0], "ok")
        self.assertRegex(function[1][0], r"^10\.203\.\d+\.1$")

    def test_does_not_reach_the_machine_or_what_is_near(self):
        own, = self.ask(["address"])
        own = own[1]
        node = re.sub(r"\.\d+$", ".1", own)
        api_port = int(self.ebb.api.rsplit(":", 1)[1])
        tcp, udp = self.other.server_address[1], self.other_udp.server_address[1]
        operations = [
            ["tcp", METADATA, 80], ["udp", METADATA, 7],
            *(["tcp", host, port] for host in (MACHINE, LAN, node, "127.0.0.1")
              for port in (tcp, api_port)),
            *(["udp", host, udp] for host in (MACHINE, LAN, node)),
            ["tcp", MACHINE, self.ebb.gateway[1]],
            ["tcp", "0.0.0.0", tcp], ["tcp", "255.255.255.255", tcp], ["tcp", "224.0.0.1", tcp],
            ["tcp", "fe80::1%eth0", tcp], ["tcp", "fd00::1", tcp],
        ]
        begun = time.monotonic()
        results = self.ask(*operations)
        self.assert_refused(results, operations)
        self.assertLess(time.monotonic() - begun, 15, "refused at once, not by time-out")
        # The same servers do answer: the machine's own address is open to the machine.
        for host, port in ((MACHINE, tcp), (LAN, tcp), (METADATA, 80)):
            with socket.create_connection((host, port), timeout=3) as s:
                s.sendall(b"GET / HTTP/1.0\r\n\r\n")
                with s.makefile("rb") as answer:
                    self.assertIn(b"200", answer.read())

    def test_does_not_reach_other_pods(self):
        neighbour, listening, itself = self.ask(["address"], ["listen", 9999],
                                                ["tcp", "127.0.0.1", 9999], function="neighbour")
        self.assertEqual([listening, itself], [["ok", "listening"], ["ok", "a pod"]])
        own, refused = self.ask(["address"], ["tcp", neighbour[1], 9999])
        self.assertNotEqual(own, neighbour)
        self.assertEqual(refused[0], "failed", refused)
        # Nor does anybody on the machine, or outside who sends to it.
        with self.assertRaises(OSError):
            socket.create_connection((neighbour[1], 9999), timeout=1)

    def test_cannot_take_another_address(self):
        """Even with rights in its namespace, which no pod has."""
        own, = self.ask(["address"])
        pod = next(pid for pid in descendants(self.ebb.process.pid) if own[1] in subprocess.run(
            ["nsenter", "-t", str(pid), "-n", "ip", "-4", "-o", "address"], text=True,
            capture_output=True).stdout)
        inside = ["nsenter", "-t", str(pod), "-n"]
        other = re.sub(r"\d+$", "250", own[1])
        script = ("import socket,sys; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
                  f"s.bind((sys.argv[1], 0)); s.sendto(b'x', ('{OUTSIDE}', 7))")

        def passes(address):
            run(*inside, sys.executable, "-c", script, address)
            return f"src={address} " in pathlib.Path("/proc/net/nf_conntrack").read_text()

        run(*inside, "ip", "address", "add", other + "/32", "dev", "eth0")
        self.addCleanup(run, *inside, "ip", "address", "del", other + "/32", "dev", "eth0")
        self.assertTrue(passes(own[1]))
        self.assertFalse(passes(other))

    def test_has_one_interface_and_no_ipv6_on_it(self):
        interfaces, ipv6 = self.ask(["interfaces"], ["ipv6"])
        self.assertEqual(interfaces, ["ok", ["eth0", "lo"]])
        self.assertEqual(ipv6, ["ok", ["lo"]])

    def test_none_reaches_nothing(self):
        self.ebb.deploy("closed", PROBE, "--annotation", "ebb.dev/network=none")
        operations = [["tcp", OUTSIDE, 80], ["udp", OUTSIDE, 7], ["resolve", "www.example.com"],
                      ["resolve", "hello.default.localhost"], ["tcp", "10.203.0.1", 80],
                      ["tcp", MACHINE, self.other.server_address[1]], ["tcp", METADATA, 80]]
        node = re.sub(r"\.\d+$", ".1", self.ask(["address"])[0][1])
        operations += [["tcp", node, 80], ["tcp", node, self.ebb.gateway[1]], ["udp", node, 53]]
        results = self.ask(*operations, function="closed")
        self.assert_refused(results, operations)
        listening, itself = self.ask(["listen", 9999], ["tcp", "127.0.0.1", 9999],
                                     function="closed")
        self.assertEqual([listening, itself], [["ok", "listening"], ["ok", "a pod"]])

    def test_a_flushed_packet_filter_comes_back(self):
        self.ask(["address"])  # a pod that lives on through it
        nft("flush ruleset")
        wait_until(nft_tables, "the table is back")
        outside, gateway, metadata, machine = self.ask(
            ["get", f"http://{OUTSIDE}/"], ["gateway", "hello.default.localhost"],
            ["tcp", METADATA, 80], ["tcp", MACHINE, self.other.server_address[1]])
        self.assertEqual(outside, ["ok", MACHINE])
        self.assertEqual(gateway[0], "ok", gateway)
        self.assertEqual([metadata[0], machine[0]], ["failed", "failed"])

    def test_an_unknown_network_is_refused(self):
        refused = self.ebb.deploy("wrong", HELLO, "--annotation", "ebb.dev/network=host",
                                  check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn('must be "egress" or "none"', refused.stderr)

    def test_two_share_the_machine_and_leave_nothing(self):
        with Ebb() as second:
            second.deploy("hello", HELLO)
            second.deploy("probe", PROBE)
            answer = second.get("probe", method="POST", body=json.dumps(
                [["gateway", "hello.default.localhost"], ["get", f"http://{OUTSIDE}/"],
                 ["address"]]))
            results = json.loads(answer.text)
            self.assertIn("hello from", results[0][1])
            self.assertEqual(results[1], ["ok", MACHINE])
            own = self.ask(["address"])[0][1]
            self.assertNotEqual(results[2][1].rsplit(".", 1)[0], own.rsplit(".", 1)[0])
            node = re.sub(r"\.\d+$", ".1", results[2][1])
            operations = [["tcp", node, 80], ["tcp", results[2][1], 8080], ["udp", results[2][1], 53]]
            begun = time.monotonic()
            refused = self.ask(*operations)
            self.assertLess(time.monotonic() - begun, 2, "refused at once, not by time-out")
            self.assert_refused(refused, operations)
            self.assertEqual(second.stop(), 0)
        # The first still works: forwarding was not taken from it.
        self.assertEqual(self.ask(["get", f"http://{OUTSIDE}/"]), [["ok", MACHINE]])


class Traces(unittest.TestCase):
    """After Network, whose Ebb has ended."""

    def test_nothing_is_left(self):
        self.assertEqual(leftovers(), [])
        with Ebb() as ebb:
            ebb.deploy("hello", HELLO)
            self.assertEqual(ebb.get("hello").status, 200)
            self.assertEqual(len(nft_tables()), 1)
            self.assertEqual(ebb.stop(), 0)
            self.assertEqual(leftovers(), [])

    def test_what_kill_9_left_is_swept(self):
        with Ebb() as ebb:
            ebb.deploy("closed", HELLO, "--annotation", "ebb.dev/network=none", "--min", "2")
            before = descendants(ebb.process.pid)
            controller = before[0]
            os.kill(ebb.process.pid, signal.SIGKILL)
            os.kill(controller, signal.SIGKILL)
            ebb.wait()
            wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in before),
                       "all processes of the old run have ended")
            self.assertEqual(len(nft_tables()), 1, "there is something to sweep")
            ebb.start()
            self.assertEqual(len(nft_tables()), 1)
            self.assertEqual(ebb.get("closed").status, 200)
            self.assertEqual(ebb.stop(), 0)
            self.assertEqual(leftovers(), [])

    def test_a_new_front_finds_the_pods_network(self):
        with Ebb() as ebb:
            ebb.deploy("hello", HELLO)
            ebb.deploy("probe", PROBE, "--min", "1")
            os.kill(ebb.process.pid, signal.SIGKILL)
            ebb.wait()
            ebb.start()  # adopts them, on another port
            answer = ebb.get("probe", method="POST", body=json.dumps(
                [["get", f"http://hello.default.localhost:{ebb.gateway[1]}/"],
                 ["gateway", "hello.default.localhost"]]))
            self.assertEqual([r[0] for r in json.loads(answer.text)], ["ok", "ok"], answer)
            self.assertEqual(ebb.stop(), 0)
            self.assertEqual(leftovers(), [])

    def test_without_rights_functions_run_without_network(self):
        """As in a container without NET_ADMIN."""
        with Ebb(prefix=("setpriv", "--bounding-set=-net_admin")) as ebb:
            said = "".join(ebb.log)
            self.assertIn("functions can reach nothing outside", said)
            self.assertIn("--cap-add NET_ADMIN", said)
            ebb.deploy("hello", HELLO)
            self.assertEqual(ebb.get("hello").status, 200)
            self.assertEqual(leftovers(), [])


def main():
    if "--outside" in sys.argv:
        return serve_outside()
    if os.environ.get("EBB_TEST_NETWORK") != str(os.getpid()):
        # exec keeps the number, so only this very process believes it.
        os.environ["EBB_TEST_NETWORK"] = str(os.getpid())
        os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private",
                              sys.executable, *sys.argv])
    return unittest.main(verbosity=2)


main()
