"""Each mistake gets a clear error where the user looks, and touches nothing else."""

import ctypes
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import unittest

from harness import PATIENCE, PROGRAM, Ebb, wait_until

GOOD = "def handle(request): return 'fine'\n"
SHORT_START = ("--annotation", "serving.knative.dev/progress-deadline=1s")


def become_nobody_without_namespaces():
    """In a child: a user without rights, who may make no user namespace."""
    ready, told = os.pipe()
    me = os.getpid()
    mapper = os.fork()
    if mapper == 0:  # stays outside, where it may write the maps
        os.close(told)
        if not os.read(ready, 1):
            os._exit(1)
        for kind in ("uid_map", "gid_map"):
            pathlib.Path(f"/proc/{me}/{kind}").write_text("0 0 65536")
        os._exit(0)
    clone_newuser = 0x10000000
    if ctypes.CDLL(None).unshare(clone_newuser) != 0:
        os._exit(99)
    os.write(told, b"x")
    os.waitpid(mapper, 0)
    pathlib.Path("/proc/sys/user/max_user_namespaces").write_text("0")
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ebb = Ebb().__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)
        cls.ebb.deploy("bystander", GOOD)

    def tearDown(self):
        self.assertEqual(self.ebb.get("bystander").text, "fine")

    def fails_to_start(self, name, source, expected, *options):
        """The error is in deploy's output, in the condition and in the 503's body."""
        ebb = self.ebb
        deployed = ebb.deploy(name, source, *options, check=False)
        self.assertEqual(deployed.returncode, 1, deployed.stdout + deployed.stderr)
        self.assertIn(expected, deployed.stderr)
        ready = ebb.condition(name)
        self.assertEqual(ready["status"], "False")
        self.assertIn(expected, ready["message"])
        answer = ebb.get(name)
        self.assertEqual(answer.status, 503)
        self.assertIn(expected, answer.text)
        ebb.run("delete", "service", name)

    def test_unknown_function(self):
        answer = self.ebb.get("nobody")
        self.assertEqual(answer.status, 404)
        self.assertIn("nobody.default.localhost", answer.text)

    def test_missing_and_empty_folder(self):
        missing = self.ebb.run("deploy", "x", "--runtime", "python", "--code", "/nowhere", check=False)
        self.assertEqual(missing.returncode, 1)
        self.assertIn("/nowhere", missing.stderr)
        with tempfile.TemporaryDirectory() as folder:
            empty = self.ebb.run("deploy", "x", "--runtime", "python", "--code", folder, check=False)
            self.assertEqual(empty.returncode, 1)
            self.assertIn("empty", empty.stderr)
        self.assertNotEqual(self.ebb.run("get", "services", "x", check=False).returncode, 0)

    def test_unknown_runtime(self):
        with tempfile.TemporaryDirectory() as folder:
            open(folder + "/main.cob", "w").write("x")
            result = self.ebb.run("deploy", "cobol", "--runtime", "cobol", "--code", folder,
                                  check=False)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("there is no runtime cobol; there are: exec, node, python", result.stderr)

    def test_a_name_that_is_no_label(self):
        result = self.ebb.deploy("Not_A_Label", GOOD, check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("Not_A_Label", result.stderr)

    def test_no_handle(self):
        self.fails_to_start("nohandle", "x = 1\n", "defines no function handle(request)")

    def test_syntax_error(self):
        self.fails_to_start("syntax", "def handle(request)\n", "SyntaxError")

    def test_an_exception_while_loading(self):
        self.fails_to_start("raises", "def handle(request): pass\nraise ValueError('no luck')\n",
                            "ValueError: no luck")

    def test_an_exit_while_loading(self):
        self.fails_to_start("exits", "import sys\nsys.exit(3)\n", "sys.exit(3)")
        self.fails_to_start("exits", "import os\nos._exit(4)\n", "exited with code 4")

    def test_an_endless_start(self):
        self.fails_to_start("endless", "while True: pass\n", "did not finish loading within 1 s",
                            *SHORT_START)

    def test_an_exception_in_a_request(self):
        self.ebb.deploy("oops", "def handle(request):\n    raise KeyError('gone')\n")
        answer = self.ebb.get("oops")
        self.assertEqual(answer.status, 502)
        self.assertIn("KeyError: 'gone'", answer.text)

    def test_an_exit_in_a_request(self):
        self.ebb.deploy("quits", "import os\ndef handle(request):\n"
                                 "    return 'alive' if request.path == '/ok' else os._exit(5)\n")
        answer = self.ebb.get("quits")
        self.assertEqual(answer.status, 502)
        self.assertIn("exited with code 5", answer.text)
        self.assertEqual(self.ebb.get("quits", "/ok").text, "alive")  # by another pod

    def test_sys_exit_in_a_request(self):
        self.ebb.deploy("leaves", "import sys\ndef handle(request):\n    sys.exit(4)\n")
        for _ in range(3):
            answer = self.ebb.get("leaves")
            self.assertEqual(answer.status, 502)
            self.assertIn("the function called sys.exit(4)", answer.text)
        self.assertEqual(len(self.ebb.pods("leaves")), 1)  # the pod lives on

    def test_a_pod_cannot_stop_the_pool_of_others(self):
        self.ebb.deploy("liar", """
import socket
def handle(request):
    socket.socket(fileno=3).send(b'Etenant says hi')
    return 'sent'
""")
        self.ebb.get("liar")
        self.ebb.deploy("honest", GOOD)
        self.assertEqual(self.ebb.get("honest").text, "fine")
        self.assertNotIn("cannot start pods", "".join(self.ebb.log))

    def test_a_data_folder_that_ebb_may_not_enter(self):
        with tempfile.TemporaryDirectory() as folder:  # mode 0700
            result = subprocess.run(
                [PROGRAM, "up", "--data", folder + "/data", "--gateway", "127.0.0.1:0", "--api",
                 "127.0.0.1:0"], text=True, capture_output=True, timeout=60)
            self.assertEqual(result.returncode, 1)
            self.assertIn("choose a folder that other users may enter", result.stderr)

    def test_no_runtimes(self):
        with tempfile.TemporaryDirectory() as folder:
            result = subprocess.run(
                [PROGRAM, "up", "--data", folder, "--runtimes", "/nowhere"], text=True,
                capture_output=True, timeout=60)
            self.assertEqual(result.returncode, 1)
            self.assertIn("/nowhere", result.stderr)

    def test_out_of_memory_in_a_request(self):
        self.ebb.deploy("eats", "def handle(request):\n    x = bytearray(1 << 30)\n    return 'no'\n")
        # While much of the machine's memory waits for its disk, the kernel looks for pages
        # to free for ten seconds and more before it ends anybody.
        answer = self.ebb.get("eats", timeout=PATIENCE * 3)
        self.assertEqual(answer.status, 502)
        self.assertIn("out of memory", answer.text)

    def test_an_answer_that_never_comes(self):
        self.ebb.deploy("hangs", "import time\ndef handle(request): time.sleep(60)\n",
                        "--timeout", "1s")
        answer = self.ebb.get("hangs")
        self.assertEqual(answer.status, 504)
        self.assertIn("within 1 s (timeoutSeconds)", answer.text)

    def test_a_failing_update_leaves_the_old_revision_serving(self):
        self.ebb.deploy("update", GOOD)
        result = self.ebb.deploy("update", "nonsense!\n", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("SyntaxError", result.stderr)
        self.assertEqual(self.ebb.get("update").text, "fine")

    def test_malformed_requests(self):
        for request in (b"GET / HTTP/1.1\r\n\r\n",
                        b"POST / HTTP/1.1\r\nHost: bystander.default.localhost\r\n"
                        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                        b"nonsense\r\n\r\n"):
            with socket.create_connection(self.ebb.gateway, timeout=20) as s:
                s.sendall(request)
                self.assertTrue(s.recv(4096).startswith(b"HTTP/1.1 400 "), request)

    def test_the_api_wants_its_token(self):
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            connection = self.ebb.api_connection()
            connection.request("GET", "/apis/serving.knative.dev/v1/services", headers=headers)
            self.assertEqual(connection.getresponse().status, 401)
            connection.close()

    def test_the_api_speaks_tls_only(self):
        host, port = self.ebb.api.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=20) as s:
            s.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = s.recv(4096)
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
        self.assertIn(b"https://", answer)
        with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as other:
            text = pathlib.Path(self.ebb.data, "kubeconfig").read_text()
            trusted = re.search(r"certificate-authority-data: (\S+)", text)[1]
            other.write(text.replace("certificate-authority-data: " + trusted, "extensions: []"))
            other.flush()
            result = self.ebb.run("get", "services", "--kubeconfig", other.name, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("certificate is not valid", result.stderr)

    def test_the_port_is_in_use(self):
        with tempfile.TemporaryDirectory() as folder:
            result = subprocess.run(
                [PROGRAM, "up", "--data", folder, "--gateway", "127.0.0.1:%d" % self.ebb.gateway[1],
                 "--api", "127.0.0.1:0"], text=True, capture_output=True, timeout=60)
            self.assertEqual(result.returncode, 1)
            self.assertIn("in use", result.stderr)

    def test_two_on_one_data_folder(self):
        result = subprocess.run(
            [PROGRAM, "up", "--data", self.ebb.data, "--gateway", "127.0.0.1:0", "--api",
             "127.0.0.1:0"], text=True, capture_output=True, timeout=60)
        self.assertEqual(result.returncode, 1)
        self.assertIn("another ebb", result.stderr)

    def test_without_any_rights(self):
        """Neither root nor a user namespace of its own."""
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            result = subprocess.run([PROGRAM, "up", "--data", folder + "/data"], text=True,
                                    preexec_fn=become_nobody_without_namespaces,
                                    capture_output=True, timeout=60)
            self.assertEqual(result.returncode, 1)
            self.assertIn("sudo ebb up", result.stderr)
            self.assertIn("sysctl user.max_user_namespaces", result.stderr)

    def test_without_user_namespaces(self):
        script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
        prefix = ("unshare", "--user", "--map-root-user", "sh", "-c", script, "sh")
        with Ebb(prefix=prefix) as ebb:
            said = "".join(ebb.log)
            self.assertIn("user namespaces", said)
            self.assertIn("sysctl user.max_user_namespaces", said)
            ebb.deploy("hello", GOOD)
            self.assertEqual(ebb.get("hello").text, "fine")


if __name__ == "__main__":
    unittest.main(verbosity=2)
