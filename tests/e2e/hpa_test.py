"""HorizontalPodAutoscaler objects, by `ebb` and real kubectl."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import PATIENCE, Ebb

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


class Hpa(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="ebb-hpa-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.ebb = Ebb().__enter__()
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


if __name__ == "__main__":
    unittest.main()
