"""The command line on the real program: what a user types, end to end."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest
import zipfile

from harness import PROGRAM, PATIENCE, Ebb, wait_until

HELLO = "def handle(request):\n    return 'hello from ' + request.path\n"


def manifest(name, code, **spec):
    """A Service of already uploaded code, as YAML (which JSON is)."""
    return json.dumps({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"template": {"metadata": {"annotations": {"ebb.dev/code": code}},
                              "spec": {"containers": [{"image": "ebb.dev/runtimes/python"}],
                                       **spec}}}})


def folder(test):
    return pathlib.Path(test.enterContext(tempfile.TemporaryDirectory(prefix="ebb-cli-")))


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ebb = Ebb().__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)

    def code_of(self, name):
        return self.ebb.service(name)["spec"]["template"]["metadata"]["annotations"]["ebb.dev/code"]

    def test_deploy_shows_how_to_call_and_what_it_took(self):
        ebb = self.ebb
        ebb.deploy("shown", "def handle(request): return 'old'\n")
        out = ebb.deploy("shown", HELLO, "--no-call=false", "--timeout", "7s", "--memory", "128Mi", "--cpu", "500m", "--network",
                         "none").stdout
        self.assertRegex(out, r'service "shown" is ready after [\d.]+ m?s\n')
        self.assertRegex(out, r"first call \((cold|warm)\) +200 in [\d.]+ m?s\n")
        self.assertRegex(out, r"second call +200 in [\d.]+ m?s\n")
        curl = next(line for line in out.splitlines() if line.startswith("curl "))
        self.assertEqual(subprocess.run(curl + " -s", shell=True, text=True,
                                        capture_output=True).stdout, "hello from /")
        revision = json.loads(ebb.run("get", "revision", "shown-00002", "-o", "json").stdout)
        self.assertEqual(revision["metadata"]["annotations"]["ebb.dev/network"], "none")
        self.assertEqual(revision["spec"]["containers"][0]["resources"]["limits"],
                         {"memory": "128Mi", "cpu": "500m"})
        self.assertEqual(revision["spec"]["timeoutSeconds"], 7)

    def test_deploy_calls_only_the_new_revision(self):
        ebb, call = self.ebb, "--no-call=false"
        ebb.deploy("pinned", HELLO)
        ebb.run("traffic", "pinned", "--revision", "pinned-00001=100")
        print_path = ("def handle(request):\n    print('called', flush=True)\n"
                      "    return 'new'\n")
        done = ebb.deploy("pinned", print_path, call)
        self.assertIn("pinned-00002 gets no traffic: it goes to pinned-00001 (100%)", done.stderr)
        self.assertIn("--tag try=pinned-00002", done.stderr)
        self.assertNotIn("first call", done.stdout)
        ebb.run("traffic", "pinned", "--tag", "next=@latest")
        done = ebb.deploy("pinned", print_path + "# again\n", call)
        self.assertRegex(done.stdout, r"first call \((cold|warm)\) +200 in ")
        self.assertIn("Host: next-pinned.default.localhost", done.stdout)
        wait_until(lambda: ebb.run("logs", "pinned").stdout.count("called") == 2,
                   "both calls reached the new revision")

    def test_an_unknown_runtime_makes_nothing(self):
        ebb, files = self.ebb, folder(self)
        ebb.deploy("known", HELLO)
        done = ebb.deploy("unknown", HELLO, runtime="ruby", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no runtime ruby; there are: exec, node, python", done.stderr)
        self.assertRegex(done.stderr, r'"unknown": the deployment failed after [\d.]+ m?s\n')
        file = files / "service.yaml"
        file.write_text(manifest("unknown", self.code_of("known")).replace("/python", "/ruby"))
        tools = [[PROGRAM, "--data", ebb.data]]
        if subprocess.run(["sh", "-c", "command -v kubectl"], capture_output=True).returncode == 0:
            tools.append(["kubectl", "--kubeconfig", ebb.data + "/kubeconfig"])
        for tool in tools:
            done = subprocess.run([*tool, "apply", "-f", str(file)], text=True, capture_output=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn('Unsupported value: "ebb.dev/runtimes/ruby": supported values: '
                          '"ebb.dev/runtimes/exec"', done.stderr)
        self.assertEqual(ebb.run("get", "service", "unknown", check=False).returncode, 1)
        names = [line.split()[0] for line in ebb.run("runtimes").stdout.splitlines()]
        self.assertEqual(names, ["NAME", "exec", "node", "python"])

    def test_a_tail_of_a_pod_that_prints_fast(self):
        ebb = self.ebb
        ebb.deploy("chatty", "import threading\n"
                             "def talk():\n    i = 0\n    while True:\n        print(i)\n        i += 1\n"
                             "def handle(request):\n"
                             "    threading.Thread(target=talk, daemon=True).start()\n"
                             "    return 'talks'\n")
        self.assertEqual(ebb.get("chatty").status, 200)
        wait_until(lambda: len(ebb.run("logs", "chatty").stdout) > 1 << 20, "much was printed")
        for wanted in (0, 1, 5, 100):
            lines = ebb.run("logs", "chatty", "--tail", str(wanted)).stdout.splitlines()
            self.assertEqual(len(lines), wanted)
        ebb.run("delete", "service", "chatty")

    def test_the_log_of_a_pod_that_has_ended(self):
        ebb = self.ebb
        ebb.deploy("ended", "import os\n"
                            "def handle(request):\n"
                            "    if request.path == '/end': os._exit(3)\n"
                            "    print('said', flush=True)\n    return 'x'\n")
        self.assertEqual(ebb.get("ended").status, 200)
        pod = ebb.pods("ended", "Warm")[0][0]
        wait_until(lambda: ebb.run("logs", "ended", "--pod", pod).stdout == "said\n", "it is logged")
        ebb.get("ended", "/end")
        wait_until(lambda: pod not in [name for name, _ in ebb.pods()], "the pod has ended")
        lines = ebb.run("logs", "ended", "--pod", pod).stdout.splitlines()
        self.assertIn("said", lines)
        self.assertEqual(ebb.run("logs", "ended", "--pod", pod, "--tail", "1").stdout.splitlines(),
                         lines[-1:])

    def test_apply_mixes_with_kubectl(self):
        ebb, files = self.ebb, folder(self)
        ebb.deploy("source", HELLO)
        code = self.code_of("source")
        file = files / "service.yaml"
        file.write_text(manifest("mixed", code, containerConcurrency=5) +
                        "\n---\n" + manifest("second", code) + "\n")
        out = ebb.run("apply", "-f", str(files)).stdout
        self.assertEqual(out, "service.serving.knative.dev/mixed created\n"
                              "service.serving.knative.dev/second created\n")
        self.assertIn("mixed unchanged", ebb.run("apply", "-f", str(file)).stdout)
        wait_until(lambda: ebb.condition("mixed")["status"] == "True", "mixed is ready")
        self.assertEqual(ebb.get("mixed").status, 200)

        kubectl = ["kubectl", "--kubeconfig", ebb.data + "/kubeconfig", "--cache-dir",
                   str(files / "cache")]
        if subprocess.run(["sh", "-c", "command -v kubectl"], capture_output=True).returncode == 0:
            # Nothing changes by the other tool (which says "configured" all the same, as
            # the API has named the container); then each takes away what the other set.
            def apply(text):
                done = subprocess.run([*kubectl, "apply", "-f", "-"], input=text, text=True,
                                      capture_output=True, timeout=PATIENCE * 3)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertNotIn("missing the", done.stderr)
                return done.stdout
            before = ebb.service("mixed")["metadata"]
            apply(manifest("mixed", code, containerConcurrency=5))
            after = ebb.service("mixed")["metadata"]
            self.assertEqual((after["annotations"], after["generation"]),
                             (before["annotations"], before["generation"]))
            self.assertIn("configured", apply(manifest("mixed", code, timeoutSeconds=400)))
            file.write_text(manifest("mixed", code))
            self.assertIn("configured", ebb.run("apply", "-f", str(file)).stdout)
            spec = ebb.service("mixed")["spec"]["template"]["spec"]
            self.assertEqual((spec["timeoutSeconds"], spec["containerConcurrency"]), (300, 0))
            apply(manifest("mixed", code))
            self.assertIn("mixed unchanged", ebb.run("apply", "-f", str(file)).stdout)

        file.write_text(manifest("mixed", code) + "\n---\n" + manifest("second", code))
        gone = ebb.run("delete", "-f", str(file)).stdout
        self.assertIn('service.serving.knative.dev "mixed" deleted', gone)
        self.assertNotIn("mixed", [o["metadata"]["name"] for o in ebb.list("services")])

    def test_a_wrong_document_is_placed_and_the_others_are_applied(self):
        ebb = self.ebb
        ebb.deploy("placed", HELLO)
        text = (manifest("good", self.code_of("placed")) + "\n---\nkind: Service\n  wrong: 1\n---\n" +
                manifest("bad", "sha256:" + "0" * 64, containerConcurrency="many") + "\n")
        done = subprocess.run([PROGRAM, "--data", ebb.data, "apply", "-f", "-"], input=text,
                              text=True, capture_output=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/good created", done.stdout)
        self.assertRegex(done.stderr, r"Error: stdin:4:\d+: ")
        self.assertRegex(done.stderr, r"Error: stdin:6: .*containerConcurrency")
        self.assertIn("2 of 3 objects were not applied", done.stderr)

    def test_get_in_every_form(self):
        ebb = self.ebb
        ebb.deploy("forms", HELLO)
        self.assertIn("kind: Service", ebb.run("get", "service", "forms", "-o", "yaml").stdout)
        self.assertIn("GENERATION", ebb.run("get", "services", "-o", "wide").stdout)
        selector = "serving.knative.dev/service=forms"
        self.assertEqual(ebb.run("get", "revisions", "-l", selector, "-o", "name").stdout,
                         "revision.serving.knative.dev/forms-00001\n")
        self.assertIn("NAMESPACE", ebb.run("get", "services", "-A").stdout)
        for kind in ("services", "revisions", "routes", "configurations", "pods", "nodes", "events",
                     "podautoscalers"):
            self.assertIn("LAST SEEN" if kind == "events" else "AGE", ebb.run("get", kind).stdout)
        missing = ebb.run("get", "service", "none", check=False)
        self.assertEqual((missing.returncode, missing.stdout), (1, ""))
        self.assertEqual(ebb.run("get", "service/forms", "-o", "name").stdout,
                         "service.serving.knative.dev/forms\n")
        self.assertIn("Service forms", ebb.run("describe", "ksvc/forms").stdout)
        self.assertEqual(ebb.run("get", "cats", check=False).returncode, 2)

    def test_a_watch_shows_what_changes(self):
        ebb = self.ebb
        ebb.deploy("watched", HELLO)
        watch = subprocess.Popen([PROGRAM, "--data", ebb.data, "get", "services", "watched", "-w",
                                  "-o", "name"], text=True, stdout=subprocess.PIPE)
        try:
            self.assertEqual(watch.stdout.readline(), "service.serving.knative.dev/watched\n")
            ebb.run("delete", "service", "watched")
            self.assertEqual(watch.stdout.readline(), "service.serving.knative.dev/watched\n")
        finally:
            watch.kill()
            watch.communicate()

    def test_an_api_by_flags_alone(self):
        ebb = self.ebb
        token = pathlib.Path(ebb.data, "token").read_text().strip()
        flags = [PROGRAM, "get", "nodes", "--server", "https://" + ebb.api, "--token", token]
        nowhere = {"PATH": os.environ["PATH"]}
        done = subprocess.run(flags, text=True, capture_output=True, env=nowhere)
        self.assertEqual(done.returncode, 1)
        self.assertIn("tls/ca.crt of its data folder, with --certificate-authority", done.stderr)
        authority = ebb.data + "/tls/ca.crt"
        for given in ({}, {"EBB_CERTIFICATE_AUTHORITY": authority}):
            flag = [] if given else ["--certificate-authority", authority]
            done = subprocess.run(flags + flag, text=True, capture_output=True, env=nowhere | given)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_child_that_its_service_makes_again_was_deleted(self):
        ebb = self.ebb
        ebb.deploy("parent", HELLO)
        for kind in ("route", "configuration"):
            out = ebb.run("delete", kind, "parent", "--wait-timeout", "10s").stdout
            self.assertEqual(out, f'{kind}.serving.knative.dev "parent" deleted\n')
            wait_until(lambda: ebb.run("get", kind, "parent", check=False).returncode == 0,
                       "its service makes it again")

    def test_describe_tells_what_happens_and_why(self):
        ebb = self.ebb
        ebb.deploy("told", HELLO, "--env", "GREETING=hi", "--max", "7", "--timeout", "9s",
                   "--memory", "64Mi", "--network", "none", "--annotation",
                   "autoscaling.knative.dev/window=60s")
        text = ebb.run("describe", "service", "told").stdout
        for words in (r"Min pods +default", r"Max pods +7", r"Concurrency +no limit",
                      r"Timeout +9 s", r"GREETING +hi", r"Memory +64Mi", r"CPU +no limit",
                      r"Network +none", r"autoscaling.knative.dev/window +60s"):
            self.assertRegex(text, words)
        ebb.deploy("told", "raise ValueError('out of cheese')\n", check=False)
        text = ebb.run("describe", "service", "told").stdout
        for words in ("Service told", "Conditions", "RoutesReady", "told-00001", "100%",
                      "told-00002", "Autoscaler", "Events", "Last failure", "out of cheese"):
            self.assertIn(words, text)
        self.assertNotIn("\033", text)
        self.assertEqual(text.count("traffic goes 100% to told-00001"), 1, "each event once")
        self.assertIn("out of cheese ...", text, "tables have the message alone")
        self.assertRegex(text, r"Last failure\n  told-00002: ValueError: out of cheese\n +File ")
        self.assertIn("Pods", ebb.run("describe", "revision", "told-00001").stdout)
        pod = ebb.get("told").status == 200 and ebb.pods("told")[0][0]
        self.assertIn("Warm", ebb.run("describe", "pod", pod).stdout)

    def test_invoke(self):
        ebb = self.ebb
        ebb.deploy("echo", "def handle(request):\n"
                           "    if request.path == '/fail': return ('no', 418)\n"
                           "    return request.method + ' ' + request.headers.get('X-In', '-')"
                           " + ' ' + request.text\n")
        self.assertEqual(ebb.run("invoke", "echo").stdout, "GET - ")
        self.assertEqual(ebb.run("invoke", "echo", "-d", "data", "-H", "X-In: in", "-X", "PUT").stdout,
                         "PUT in data")
        self.assertIn("HTTP/1.1 200 OK", ebb.run("invoke", "echo", "-i").stdout)
        failed = ebb.run("invoke", "echo", "--path", "/fail", check=False)
        self.assertEqual((failed.returncode, failed.stdout), (1, "no"))
        self.assertIn("echo answered 418", failed.stderr)
        self.assertEqual(ebb.run("invoke", "echo", "--path", "/fail", "--no-fail").stdout, "no")

    def test_traffic_tags_and_rollback(self):
        ebb = self.ebb
        for text in ("one", "two"):
            ebb.deploy("split", f"def handle(request): return '{text}'\n")
        out = ebb.run("traffic", "split", "--revision", "split-00001=100", "--revision",
                      "@latest=0", "--tag", "next=@latest").stdout
        self.assertIn("next-split.default.localhost", out)
        self.assertEqual(ebb.run("invoke", "split").stdout, "one")
        self.assertEqual(ebb.run("invoke", "split", "--tag", "next").stdout, "two")
        ebb.run("traffic", "split", "--revision", "@latest=100")
        self.assertEqual(ebb.run("invoke", "split").stdout, "two")
        self.assertRegex(ebb.run("rollback", "split").stdout, r"split-00001 +100%")
        self.assertEqual(ebb.run("invoke", "split").stdout, "one")
        self.assertEqual(ebb.run("invoke", "split", "--tag", "next").stdout, "two")
        nothing = ebb.run("rollback", "split", check=False)
        self.assertIn("no ready revision is older", nothing.stderr)
        self.assertIn("gets no traffic", ebb.deploy("split", HELLO).stderr)
        # A deploy that fails does not keep one from going back.
        ebb.run("traffic", "split", "--revision", "@latest=100")
        ebb.deploy("split", "raise ValueError()\n", check=False)
        ebb.run("rollback", "split", "--to", "split-00001")
        self.assertEqual(ebb.run("invoke", "split").stdout, "one")

    def test_top_without_a_terminal_is_one_table(self):
        ebb = self.ebb
        ebb.deploy("busy", HELLO, "--min", "1")
        wait_until(lambda: "busy-00001" in ebb.run("top").stdout, "the function is shown")
        self.assertIn("NODE", ebb.run("top", "--once").stdout)

    def test_top_on_a_terminal_ends_with_q(self):
        import pty
        master, slave = pty.openpty()
        top = subprocess.Popen([PROGRAM, "--data", self.ebb.data, "top"], stdin=slave,
                               stdout=slave, stderr=subprocess.PIPE)
        os.close(slave)
        shown = b""
        try:
            while b"FUNCTION" not in shown:
                shown += os.read(master, 65536)
            os.write(master, b"q")
            self.assertEqual(top.wait(PATIENCE), 0, top.stderr.read())
        finally:
            top.kill()
            top.communicate()
            os.close(master)
        self.assertIn(b"\033[?1049h", shown)

    def test_dependencies_are_installed(self):
        ebb, files = self.ebb, folder(self)
        if subprocess.run([sys.executable, "-m", "pip", "--version"],
                          capture_output=True).returncode != 0:
            self.skipTest("no pip here")
        with zipfile.ZipFile(files / "greeting-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("greeting.py", "text = 'from a wheel'\n")
            note = "greeting-1.0.dist-info/"
            wheel.writestr(note + "METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
            wheel.writestr(note + "WHEEL", "Wheel-Version: 1.0\nGenerator: t\n"
                                           "Root-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(note + "RECORD", "")
        # Wherever the runtime puts the folder on its path.
        ebb.deploy("wheel", {"main.py": "import sys\nsys.path.append('/code/.ebb/python')\n"
                                        "import greeting\n"
                                        "def handle(request): return greeting.text\n",
                             "requirements.txt": "greeting\n"},
                   "--pip-option=--no-index", f"--pip-option=--find-links={files}")
        self.assertEqual(ebb.get("wheel").text, "from a wheel")
        failed = ebb.deploy("wheel", {"main.py": HELLO, "requirements.txt": "no-such-thing\n"},
                            "--pip-option=--no-index", check=False)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("No matching distribution found for no-such-thing", failed.stderr)
        self.assertIn("Error: pip failed", failed.stderr)

    def test_usage_errors_and_help(self):
        ebb = self.ebb
        for wrong in (["fly"], ["deploy"], ["get", "services", "-o", "xml"], ["traffic", "x"],
                      ["help", "fly"], ["completion", "fish"]):
            done = ebb.run(*wrong, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""), wrong)
            self.assertNotEqual(done.stderr, "")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, "--data", ebb.data, "get", "nodes"], stdout=full,
                                  stderr=subprocess.PIPE, text=True)
        self.assertEqual((done.returncode, done.stderr),
                         (1, "Error: cannot write the output: No space left on device (errno 28)\n"))
        left = subprocess.run(["bash", "-c", '"$0" --data "$1" get nodes | true', PROGRAM, ebb.data],
                              stderr=subprocess.PIPE, text=True)
        self.assertEqual(left.stderr, "", "a reader that leaves is no error to tell")
        self.assertIn("rollback", ebb.run("help").stdout)
        self.assertEqual(ebb.run("--version").stdout, ebb.run("version").stdout)
        self.assertIn("ebb 0", ebb.run("version").stdout)
        self.assertIn("server 0", ebb.run("version").stdout)
        script = ebb.run("completion", "bash").stdout
        self.assertEqual(subprocess.run(["bash", "-n"], input=script, text=True).returncode, 0)


class Backup(unittest.TestCase):
    def test_a_backup_under_writes_restores_to_a_whole(self):
        files = folder(self)
        with Ebb() as ebb:
            ebb.deploy("kept", "def handle(request): return 'kept'\n")
            stop = threading.Event()
            count = [0]

            def write():
                while not stop.is_set():
                    count[0] += 1
                    ebb.deploy("moving", f"def handle(request): return '{count[0]}'\n",
                               "--no-wait", check=False)

            writer = threading.Thread(target=write)
            writer.start()
            try:
                wait_until(lambda: count[0] >= 2, "writes are under way")
                for i in range(3):
                    ebb.run("backup", str(files / f"{i}.tar"))
            finally:
                stop.set()
                writer.join()
            self.assertEqual(sorted(f.name for f in files.iterdir()), ["0.tar", "1.tar", "2.tar"])
            self.assertEqual((files / "2.tar").stat().st_mode & 0o777, 0o600)
            unknown = subprocess.run([PROGRAM, "--server", "https://" + ebb.api, "--token", "wrong",
                                      "--data", ebb.data, "backup", str(files / "no.tar")],
                                     text=True, capture_output=True)
            self.assertEqual(unknown.returncode, 1)
            self.assertFalse((files / "no.tar").exists())

        data = files / "data"
        data.mkdir(mode=0o755)
        os.chmod(files, 0o755)
        done = subprocess.run([PROGRAM, "restore", str(files / "2.tar"), "--data", str(data)],
                              text=True, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("does not have the code", done.stderr)
        again = subprocess.run([PROGRAM, "restore", str(files / "2.tar"), "--data", str(data)],
                               text=True, capture_output=True)
        self.assertEqual(again.returncode, 1)
        self.assertIn("in use already", again.stderr)
        with Ebb(data=str(data)) as ebb:
            wait_until(lambda: ebb.get("kept").text == "kept", "the function answers")
            wait_until(lambda: ebb.condition("moving")["status"] == "True", "moving is ready")
            self.assertTrue(ebb.get("moving").text.isdigit())

    def test_a_backup_replaces_files_alone(self):
        files = folder(self)
        pipe = files / "pipe"
        os.mkfifo(pipe)
        (files / "link").symlink_to("disk.tar")
        with Ebb() as ebb:
            ebb.deploy("small", HELLO)
            for path in (str(pipe), "/dev/full"):
                done = ebb.run("backup", path, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"Error: {path} is no regular file", done.stderr)
            self.assertTrue(pipe.is_fifo())
            ebb.run("backup", str(files / "link"))
            self.assertTrue((files / "link").is_symlink())
            with open(files / "out.tar", "wb") as out:
                done = subprocess.run([PROGRAM, "--data", ebb.data, "backup", "-"], stdout=out,
                                      stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("to the standard output", done.stderr)
            with open("/dev/full", "wb") as full:
                done = subprocess.run([PROGRAM, "--data", ebb.data, "backup", "-"], stdout=full,
                                      stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn("Error: cannot write the output: No space left", done.stderr)
        for name in ("disk.tar", "out.tar"):
            done = subprocess.run([PROGRAM, "restore", str(files / name), "--data",
                                   str(files / ("of-" + name))], text=True, capture_output=True)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_cut_or_changed_backup_is_refused(self):
        files = folder(self)
        with Ebb() as ebb:
            ebb.deploy("small", HELLO)
            ebb.run("backup", str(files / "b.tar"))
        whole = (files / "b.tar").read_bytes()
        changed = whole.replace(b"hello from ", b"HELLO FROM ", 1)
        self.assertNotEqual(changed, whole)
        for bad in (whole[:len(whole) // 2], changed, b"", whole[:600]):
            (files / "bad.tar").write_bytes(bad)
            done = subprocess.run([PROGRAM, "restore", str(files / "bad.tar"), "--data",
                                   str(files / "data")], text=True, capture_output=True)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("bad.tar", done.stderr)
            self.assertEqual(list((files / "data").iterdir()), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
