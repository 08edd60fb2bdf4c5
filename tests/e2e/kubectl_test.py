"""Real kubectl against the API: what its users do with a service.

kubectl is the one on the PATH, or $KUBECTL; it has a kubeconfig and a cache of its own.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

from harness import PATIENCE, Ebb, wait_until

KUBECTL = os.environ.get("KUBECTL", "kubectl")
HELLO = "import sys\ndef handle(request):\n    print('called ' + request.path, flush=True)\n" \
        "    return 'hi'\n"
MANIFEST = """\
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: NAME
spec:
  template:
    metadata:
      annotations:
        ebb.dev/code: CODE
    spec:
      containers:
      - image: ebb.dev/runtimes/python
        env:
        - name: GREETING
          value: "1"
"""


@unittest.skipUnless(shutil.which(KUBECTL), "no kubectl: install the package kubernetes-client")
class Kubectl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ebb = Ebb().__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)
        cls.folder = tempfile.mkdtemp(prefix="ebb-kubectl-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        # The code package of this one is used by all.
        cls.ebb.deploy("seed", HELLO)
        annotations = cls.ebb.service("seed")["spec"]["template"]["metadata"]["annotations"]
        cls.code = annotations["ebb.dev/code"]
        version = json.loads(cls.command("version", "-o", "json").stdout)
        cls.minor = int(version["clientVersion"]["minor"].rstrip("+"))

    @classmethod
    def arguments(cls, *arguments):
        return [KUBECTL, "--cache-dir", cls.folder + "/cache", *arguments]

    @classmethod
    def environment(cls, **more):
        return {"PATH": os.environ["PATH"], "HOME": cls.folder,
                "KUBECONFIG": cls.ebb.data + "/kubeconfig", **more}

    @classmethod
    def command(cls, *arguments, stdin=None, fails=False, **environment):
        result = subprocess.run(cls.arguments(*arguments), input=stdin, text=True,
                                capture_output=True, timeout=PATIENCE * 3,
                                env=cls.environment(**environment))
        if (result.returncode != 0) != fails:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {result.returncode}\n"
                                 f"{result.stdout}{result.stderr}{''.join(cls.ebb.log[-20:])}")
        return result

    def kubectl(self, *arguments, **options):
        result = self.command(*arguments, **options)
        return result.stderr if options.get("fails") else result.stdout

    def manifest(self, name):
        return MANIFEST.replace("NAME", name).replace("CODE", self.code)

    def create(self, name):
        self.kubectl("create", "-f", "-", stdin=self.manifest(name))
        self.kubectl("wait", "--for=condition=Ready", "ksvc/" + name, "--timeout=20s")

    def object(self, name):
        return json.loads(self.kubectl("get", "ksvc", name, "-o", "json"))

    # --- finding out ---

    def test_version_and_resources(self):
        self.assertIn("ebb-", self.kubectl("version"))
        resources = self.kubectl("api-resources")
        for name in ("ksvc", "cfg", "rev", "rt", "po", "no", "kpa", "ns"):
            self.assertRegex(resources, rf"\b{name}\b")
        self.assertIn("default", self.kubectl("get", "namespaces"))
        self.assertIn("Ready", self.kubectl("get", "nodes"))

    def test_explain(self):
        text = self.kubectl("explain", "ksvc.spec.template.spec")
        self.assertIn("containerConcurrency", text)
        self.assertIn("How many requests a pod handles", text)

    # --- apply ---

    def test_apply_new_changed_unchanged(self):
        text = self.manifest("applied")
        self.assertIn("created", self.kubectl("apply", "-f", "-", stdin=text))
        self.kubectl("wait", "--for=condition=Ready", "ksvc/applied", "--timeout=20s")
        before = self.object("applied")
        self.assertIn("unchanged", self.kubectl("apply", "-f", "-", stdin=text))
        self.assertEqual(self.object("applied")["metadata"]["resourceVersion"],
                         before["metadata"]["resourceVersion"])
        changed = text.replace('value: "1"', 'value: "2"')
        difference = self.command("diff", "-f", "-", stdin=changed, fails=True)
        self.assertIn('+          value: "2"', difference.stdout)
        self.assertIn("configured", self.kubectl("apply", "--dry-run=server", "-f", "-",
                                                 stdin=changed))
        self.assertEqual(self.object("applied")["metadata"]["generation"], 1)
        self.assertIn("configured", self.kubectl("apply", "-f", "-", stdin=changed))
        after = self.object("applied")
        self.assertEqual(after["metadata"]["generation"], 2)
        wait_until(lambda: self.object("applied")["status"].get("latestReadyRevisionName") ==
                   "applied-00002", "the second revision")
        self.assertEqual(self.ebb.get("applied").text, "hi")

    def test_server_side_apply(self):
        text = self.manifest("serverside")
        apply = ("apply", "--server-side", "-f", "-")
        self.assertIn("serverside-applied", self.kubectl(*apply, stdin=text))
        version = self.object("serverside")["metadata"]["resourceVersion"]
        with_label = text.replace("  name: serverside", "  name: serverside\n  labels: {a: b}")
        self.kubectl(*apply, stdin=with_label)
        self.assertEqual(self.object("serverside")["metadata"]["labels"], {"a": "b"})
        self.assertNotEqual(self.object("serverside")["metadata"]["resourceVersion"], version)
        other = with_label.replace("a: b", "a: c")
        conflict = self.kubectl(*apply, "--field-manager=other", stdin=other, fails=True)
        self.assertIn('conflict with "kubectl"', conflict)
        self.assertIn(".metadata.labels.a", conflict)
        self.kubectl(*apply, "--field-manager=other", "--force-conflicts", stdin=other)
        self.kubectl(*apply, stdin=text)  # no longer ours: it stays
        self.assertEqual(self.object("serverside")["metadata"]["labels"], {"a": "c"})

    # --- reading and changing ---

    def test_get_describe_edit(self):
        self.create("read")
        table = self.kubectl("get", "ksvc,rev,rt,cfg")
        self.assertIn("service.serving.knative.dev/read", table)
        self.assertIn("http://read.default.localhost", table)
        self.assertIn("revision.serving.knative.dev/read-00001", table)
        self.kubectl("label", "ksvc", "read", "tier=front")
        self.kubectl("annotate", "ksvc", "read", "note=words here")
        self.assertIn("read", self.kubectl("get", "ksvc", "-l", "tier in (front)", "-L", "tier"))
        self.assertEqual(self.kubectl("get", "ksvc", "-l", "tier!=front", "-o", "name",
                                      "--field-selector", "metadata.name=read"), "")
        self.kubectl("patch", "ksvc", "read", "--type=merge", "-p",
                     '{"spec":{"template":{"spec":{"containerConcurrency":7}}}}')
        self.kubectl("patch", "ksvc", "read", "--type=json", "-p",
                     '[{"op":"remove","path":"/metadata/labels/tier"}]')
        changed = self.object("read")
        self.assertEqual(changed["spec"]["template"]["spec"]["containerConcurrency"], 7)
        self.assertNotIn("labels", changed["metadata"])
        self.assertIn("--type=merge", self.kubectl("patch", "ksvc", "read", "-p", "{}", fails=True))
        self.kubectl("edit", "ksvc", "read", KUBE_EDITOR="sed -i s/words/changed/")
        self.assertEqual(self.object("read")["metadata"]["annotations"]["note"], "changed here")
        text = self.kubectl("describe", "ksvc", "read")
        self.assertIn("Container Concurrency:", text)
        self.assertIn("Events:", text)
        self.assertIn("kind: Service", self.kubectl("get", "ksvc", "read", "-o", "yaml"))

    def test_watch(self):
        watch = subprocess.Popen(self.arguments("get", "ksvc", "watched", "-w", "-o", "name"),
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                 env=self.environment())
        watch.stdout.close()
        watch.wait(PATIENCE)  # it does not exist
        self.assertNotEqual(watch.returncode, 0)
        self.create("watched")
        watch = subprocess.Popen(
            self.arguments("get", "ksvc", "-w", "--field-selector", "metadata.name=watched"),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment())
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(watch.stdout), daemon=True)
        try:
            self.assertIn("NAME", watch.stdout.readline())
            self.assertIn("watched", watch.stdout.readline())
            reader.start()
            self.kubectl("label", "ksvc", "watched", "seen=yes")
            wait_until(lambda: any("watched" in line for line in lines), "the change")
        finally:
            watch.kill()
            watch.wait()
            reader.join(PATIENCE)
            watch.stdout.close()

    def test_wait_and_delete(self):
        self.create("gone")
        self.assertIn("deleted", self.kubectl("delete", "ksvc", "gone"))
        self.kubectl("wait", "--for=delete", "ksvc/gone", "rt/gone", "--timeout=20s")
        self.assertIn("NotFound", self.kubectl("get", "ksvc", "gone", fails=True))
        wait_until(lambda: "gone" not in self.kubectl("get", "rev,cfg,rt", "-o", "name"),
                   "what it owned goes too")
        self.assertEqual(self.ebb.get("gone").status, 404)

    # --- logs ---

    def test_logs(self):
        self.create("talking")
        self.assertEqual(self.ebb.get("talking", "/first").status, 200)
        selector = "serving.knative.dev/service=talking"
        pod = wait_until(lambda: self.kubectl("get", "pods", "-l", selector, "-o", "name").strip(),
                         "a pod").splitlines()[0]
        wait_until(lambda: "called /first" in self.kubectl("logs", pod), "its log")
        self.assertRegex(self.kubectl("logs", pod, "--timestamps", "--tail=1"), r"^\d{4}-\d\d-\d\dT")
        follow = subprocess.Popen(self.arguments("logs", "-f", "--tail=0", pod),
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                  env=self.environment())
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(follow.stdout), daemon=True)
        reader.start()
        try:
            def told():
                # Sent again until the follower has begun: it starts at the end of the log.
                self.ebb.get("talking", "/second")
                return any("called /second" in line for line in lines)
            wait_until(told, "the new line")
        finally:
            follow.kill()
            follow.wait()
            reader.join(PATIENCE)
            follow.stdout.close()

    # --- bad input ---

    def test_a_wrong_token(self):
        text = pathlib.Path(self.ebb.data, "kubeconfig").read_text()
        token = pathlib.Path(self.ebb.data, "token").read_text()
        other = pathlib.Path(self.folder, "wrong")
        other.write_text(text.replace(token, "wrong"))
        said = self.kubectl("get", "ksvc", fails=True, KUBECONFIG=str(other))
        self.assertIn("must be logged in", said)

    def test_unknown_and_wrong_fields(self):
        typo = self.manifest("typo").replace("image:", "imagee:")
        self.assertIn("imagee", self.kubectl("apply", "-f", "-", stdin=typo, fails=True))
        wrong = self.manifest("typo") + "      timeoutSeconds: 100000\n"
        said = self.kubectl("apply", "-f", "-", stdin=wrong, fails=True)
        self.assertIn("spec.template.spec.timeoutSeconds", said)
        self.assertIn("is invalid", said)
        named = self.manifest("Typo")
        self.assertIn("DNS-1035", self.kubectl("apply", "-f", "-", stdin=named, fails=True))
        if self.minor >= 25:
            said = self.kubectl("apply", "--validate=strict", "-f", "-", stdin=typo, fails=True)
            self.assertIn('unknown field "spec.template.spec.containers[0].imagee"', said)
            warned = self.command("create", "--validate=warn", "--dry-run=server", "-f", "-",
                                  stdin=typo.replace("imagee:", "image:") +
                                  "      unknown: 1\n")
            self.assertIn('Warning: unknown field "spec.template.spec.unknown"', warned.stderr)
        self.assertIn("NotFound", self.kubectl("get", "ksvc", "typo", fails=True))

    def test_bad_yaml(self):
        self.kubectl("apply", "-f", "-", stdin="a: [", fails=True)
        self.kubectl("apply", "-f", "-", stdin="kind: Service\nkind: Service\n", fails=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
