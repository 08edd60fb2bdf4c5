"""HorizontalPodAutoscalers as objects, by `ebb` and real kubectl, and at work: pods follow
the CPU that they use, and numbers from outside.
"""

import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

from harness import PATIENCE, Ebb, wait_until

KUBECTL = os.environ.get("KUBECTL", "kubectl")
MANIFEST = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: NAME
spec:
  scaleTargetRef:
    apiVersion: serving.knative.dev/v1
    kind: Service
    name: hello
  maxReplicas: 5
  metrics:
  - type: Resource
    resource:
      name: cpu
      target:
        type: Utilization
        averageUtilization: 60
  - type: External
    external:
      metric:
        name: rps
      target:
        type: AverageValue
        averageValue: "30"
"""

BUSY = """\
import time
def handle(request):
    end = time.process_time() + 0.05
    while time.process_time() < end: pass
    return 'done'
"""
BY_CPU = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: by-object
spec:
  scaleTargetRef:
    apiVersion: serving.knative.dev/v1
    kind: Service
    name: by-object
  maxReplicas: 3
  metrics:
  - type: Resource
    resource:
      name: cpu
      target:
        type: Utilization
        averageUtilization: 4
  behavior:
    scaleDown:
      stabilizationWindowSeconds: 6
"""
CLASS = "autoscaling.knative.dev/class"
METRIC = "autoscaling.knative.dev/metric"
TARGET = "autoscaling.knative.dev/target"
WINDOW = "autoscaling.knative.dev/window"
MAX = "autoscaling.knative.dev/max-scale"
# A decision comes every 15 s, and the way to it has to be measured.
DECISIONS = PATIENCE * 4


def options(values):
    return [text for key, value in values.items() for text in ("--annotation", f"{key}={value}")]


class Load:
    """Calls one after the other until the end of the block."""

    def __init__(self, ebb, name):
        self.ebb, self.name, self.ended = ebb, name, threading.Event()
        self.thread = threading.Thread(target=self.call)

    def __enter__(self):
        self.thread.start()

    def call(self):
        while not self.ended.is_set():
            self.ebb.get(self.name)

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


class Queue:
    """A server that tells the length of a queue, and which queries it was asked."""

    def __init__(self):
        self.length = 0
        queue = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                body = {"queue": {"length": queue.length}}
                if self.path.startswith("/api/v1/query?query=jobs"):
                    result = {"resultType": "scalar", "result": [1.0, str(queue.length)]}
                    body = {"status": "success", "data": result}
                text = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def end(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Hpa(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="ebb-hpa-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        settings = pathlib.Path(cls.folder, "ebb.yaml")
        settings.write_text("metricsInterval: 1s\n")
        cls.ebb = Ebb("--config", str(settings)).__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)

    def kubectl(self, *arguments, stdin=None, fails=False):
        result = subprocess.run(
            [KUBECTL, "--cache-dir", self.folder + "/cache", *arguments], text=True, input=stdin,
            capture_output=True, timeout=PATIENCE * 3,
            env={"PATH": os.environ["PATH"], "HOME": self.folder,
                 "KUBECONFIG": self.ebb.data + "/kubeconfig"})
        self.assertEqual(result.returncode != 0, fails,
                         result.stdout + result.stderr + "".join(self.ebb.log[-20:]))
        return result.stderr if fails else result.stdout

    def file(self, text):
        path = pathlib.Path(self.folder, "hpa.yaml")
        path.write_text(text)
        return str(path)

    def check_row(self, row, name):
        self.assertRegex(row, rf"(?m)^{name} +Service/hello +cpu: <unknown>/60%, "
                              rf"<unknown>/30 \(avg\) +1 +5 +0 +\d+s$")

    def test_ebb(self):
        path = self.file(MANIFEST.replace("NAME", "by-ebb"))
        self.assertIn("created", self.ebb.run("apply", "-f", path).stdout)
        self.assertIn("unchanged", self.ebb.run("apply", "-f", path).stdout)
        text = self.ebb.run("get", "hpa").stdout
        self.assertRegex(text, r"(?m)^NAME +REFERENCE +TARGETS +MINPODS +MAXPODS +REPLICAS +AGE$")
        self.check_row(text, "by-ebb")
        described = self.ebb.run("describe", "hpa", "by-ebb").stdout
        self.assertRegex(described, r"Scales +Service/hello")
        self.assertRegex(described, r"Bounds +1 to 5 pods")
        path = self.file(MANIFEST.replace("NAME", "by-ebb").replace("maxReplicas: 5", "maxReplicas: 0"))
        refused = self.ebb.run("apply", "-f", path, check=False)
        self.assertIn("spec.maxReplicas: Invalid value: 0: must be greater than 0", refused.stderr)
        self.ebb.run("delete", "hpa", "by-ebb")
        self.assertNotIn("by-ebb", self.ebb.run("get", "hpa").stdout)

    @unittest.skipUnless(shutil.which(KUBECTL), "no kubectl: install kubernetes-client")
    def test_kubectl(self):
        text = MANIFEST.replace("NAME", "by-kubectl")
        self.assertIn("created", self.kubectl("apply", "-f", "-", stdin=text))
        self.assertIn("unchanged", self.kubectl("apply", "-f", "-", stdin=text))
        self.check_row(self.kubectl("get", "hpa"), "by-kubectl")
        # Its kind is one that kubectl knows: it patches strategically.
        changed = text.replace("averageUtilization: 60", "averageUtilization: 70")
        self.assertIn("configured", self.kubectl("apply", "--dry-run=server", "-f", "-",
                                                 stdin=changed))
        self.assertIn("configured", self.kubectl("apply", "-f", "-", stdin=changed))
        spec = json.loads(self.kubectl("get", "hpa", "by-kubectl", "-o", "json"))["spec"]
        self.assertEqual(spec["metrics"][0]["resource"]["target"]["averageUtilization"], 70)
        self.assertEqual(spec["minReplicas"], 1)
        self.assertEqual(len(spec["metrics"]), 2)
        self.kubectl("patch", "hpa", "by-kubectl", "-p", '{"spec": {"maxReplicas": 7}}')
        self.assertIn("Reference:", self.kubectl("describe", "hpa", "by-kubectl"))
        self.assertIn("hpa", self.kubectl("api-resources"))
        self.assertIn("scaleTargetRef", self.kubectl("explain", "hpa.spec"))
        self.kubectl("delete", "hpa", "by-kubectl")
        self.assertNotIn("by-kubectl", self.kubectl("get", "hpa"))

    @unittest.skipUnless(shutil.which(KUBECTL), "no kubectl: install kubernetes-client")
    def test_what_is_wrong_is_said_in_kubernetes_words(self):
        wrong = MANIFEST.replace("NAME", "wrong").replace("kind: Service", "kind: Deployment")
        refused = self.kubectl("apply", "-f", "-", stdin=wrong, fails=True)
        self.assertIn('The HorizontalPodAutoscaler "wrong" is invalid', refused)
        self.assertIn('spec.scaleTargetRef.kind: Unsupported value: "Deployment"', refused)
        unknown = MANIFEST.replace("NAME", "wrong").replace("maxReplicas", "maxReplica")
        refused = self.kubectl("apply", "-f", "-", stdin=unknown, fails=True)
        self.assertTrue(re.search(r'unknown field "spec.maxReplica"', refused), refused)

    # --- At work ---

    def pods(self, name):
        return len(self.ebb.pods(name, "Warm"))

    def autoscaler(self, name):
        for one in self.ebb.list("podautoscalers"):
            if one["metadata"]["labels"].get("serving.knative.dev/service") == name:
                return one["status"]
        return {}

    def to_zero(self, name):
        wait_until(lambda: self.pods(name) == 0, "zero", DECISIONS)

    def test_class_hpa_follows_the_cpu_of_its_pods(self):
        self.ebb.deploy("by-class", BUSY, *options({
            CLASS: "hpa.autoscaling.knative.dev", METRIC: "cpu", TARGET: "4", MAX: "3",
            WINDOW: "6s"}))
        self.to_zero("by-class")
        with Load(self.ebb, "by-class"):
            wait_until(lambda: self.pods("by-class") == 3, "three pods", DECISIONS)
            self.assertRegex(self.autoscaler("by-class")["reason"], r"cpu \d+ % / 4 % -> \d+")
            shown = self.ebb.run("describe", "service", "by-class").stdout
            self.assertRegex(shown, r"cpu \d+ % / 4 %")
        self.to_zero("by-class")
        self.assertEqual(self.ebb.get("by-class").body, b"done")

    def test_an_object_does_the_same(self):
        self.ebb.deploy("by-object", BUSY, *options({WINDOW: "6s"}))
        path = self.file(BY_CPU)
        if shutil.which(KUBECTL):
            self.assertIn("created", self.kubectl("apply", "-f", path))
        else:
            self.ebb.run("apply", "-f", path)
        with Load(self.ebb, "by-object"):
            wait_until(lambda: self.pods("by-object") == 3, "three pods", DECISIONS)
            row = r"(?m)^by-object +Service/by-object +cpu: \d+%/4% +1 +3 +3 +\w+$"
            wait_until(lambda: re.search(row, self.ebb.run("get", "hpa").stdout), "the numbers")
            described = self.ebb.run("describe", "hpa", "by-object").stdout
            self.assertIn("SuccessfulRescale", described)
            if shutil.which(KUBECTL):
                self.assertRegex(self.kubectl("get", "hpa", "by-object"), row)
                described = self.kubectl("describe", "hpa", "by-object")
                self.assertRegex(described, r"resource cpu on pods.*: +\d+% \(\d+m\) / 4%")
                self.assertRegex(described, r"AbleToScale +True +\w+")
                self.assertRegex(described, r"ScalingActive +True +ValidMetricFound")
                self.assertRegex(described, r"ScalingLimited +True +(TooManyReplicas|ScaleUpLimit)")
                self.assertRegex(described, r"3 current / 3 desired")
                self.assertIn("SuccessfulRescale", described)
        self.to_zero("by-object")
        row = r"(?m)^by-object +Service/by-object +cpu: <unknown>/4% +1 +3 +0 +\w+$"
        wait_until(lambda: re.search(row, self.ebb.run("get", "hpa").stdout), "the end of it")
        self.assertEqual(self.ebb.get("by-object").body, b"done")
        # Another one for the same pods: neither decides any more.
        self.ebb.run("apply", "-f", self.file(BY_CPU.replace("name: by-object\nspec", "name: rival\nspec")))

        def ambiguous():
            return [one["metadata"]["name"] for one in self.ebb.list("hpa")
                    for condition in one.get("status", {}).get("conditions", [])
                    if condition["reason"] == "AmbiguousSelector"]
        wait_until(lambda: sorted(ambiguous()) == ["by-object", "rival"], "that two are refused")
        self.ebb.run("delete", "hpa", "rival")
        wait_until(lambda: not ambiguous(), "that one remains")
        self.ebb.run("delete", "hpa", "by-object")

    def test_a_number_from_outside(self):
        queue = Queue()
        self.addCleanup(queue.end)
        self.ebb.deploy("worker", BUSY, *options({
            CLASS: "ebb.dev/average", METRIC: "jobs", TARGET: "10", WINDOW: "2s",
            "ebb.dev/metric-jobs": f"json {queue.url}/ /queue/length"}))
        self.ebb.deploy("drain", BUSY, *options({
            CLASS: "hpa.autoscaling.knative.dev", METRIC: "jobs", TARGET: "10", WINDOW: "6s",
            "ebb.dev/metric-jobs": f"prometheus {queue.url} jobs"}))
        for name in ("worker", "drain"):
            self.to_zero(name)
        queue.length = 25  # nobody calls
        for name in ("worker", "drain"):
            wait_until(lambda: self.pods(name) == 3, "three pods of " + name, DECISIONS)
        self.assertIn("jobs 25.0 / target 10.0 -> 3", self.autoscaler("worker")["reason"])
        queue.length = 0
        for name in ("worker", "drain"):
            self.to_zero(name)
        refused = self.ebb.deploy("worker", BUSY, *options({
            "ebb.dev/metric-jobs": "https://example.com/ /a"}), check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("ebb.dev/metric-jobs", refused.stderr)


if __name__ == "__main__":
    unittest.main()
