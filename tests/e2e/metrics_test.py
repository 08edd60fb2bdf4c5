"""What pods and nodes use: metrics.k8s.io, real `kubectl top`, `ebb top`, /metrics."""

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
BUSY = """\
import time
def handle(request):
    end = time.process_time() + 0.05
    while time.process_time() < end: pass
    return 'done'
"""
IDLE = "def handle(request): return 'hi'\n"


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="ebb-metrics-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        settings = pathlib.Path(cls.folder, "ebb.yaml")
        settings.write_text("metricsInterval: 1s\n")
        cls.ebb = Ebb("--config", str(settings)).__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)
        cls.ebb.deploy("busy", BUSY, "--min", "1", "--max", "1")
        cls.ebb.deploy("idle", IDLE, "--min", "1", "--max", "1")
        cls.ended = threading.Event()
        cls.load = threading.Thread(target=cls.call_busy)
        cls.load.start()
        cls.addClassCleanup(cls.load.join)
        cls.addClassCleanup(cls.ended.set)

    @classmethod
    def call_busy(cls):
        connection = cls.ebb.connection()
        while not cls.ended.is_set():
            cls.ebb.get("busy", connection=connection)
        connection.close()

    def kubectl(self, *arguments):
        result = subprocess.run(
            [KUBECTL, "--cache-dir", self.folder + "/cache", *arguments], text=True,
            capture_output=True, timeout=PATIENCE * 3,
            env={"PATH": os.environ["PATH"], "HOME": self.folder,
                 "KUBECONFIG": self.ebb.data + "/kubeconfig"})
        self.assertEqual(result.returncode, 0, result.stderr + "".join(self.ebb.log[-20:]))
        return result.stdout

    @staticmethod
    def rows(text):
        """{name: (millicores, Mi)} of what `top pods` printed."""
        rows = re.findall(r"^(\S+) +(\d+)m +(\d+)Mi *$", text, re.M)
        return {name: (int(cpu), int(memory)) for name, cpu, memory in rows}

    def pod(self, service):
        return wait_until(lambda: self.ebb.pods(service, "Warm"), f"a pod of {service}")[0][0]

    def check(self, top):
        """`top`: a command that prints the use of all pods."""
        busy, idle = self.pod("busy"), self.pod("idle")

        def told():
            rows = self.rows(top())
            # The rate of the first second may still hold the start.
            if busy in rows and idle in rows and rows[busy][0] > 100 + 2 * rows[idle][0]:
                return rows
        rows = wait_until(told, "a busy pod above an idle one", PATIENCE * 2)
        self.assertLess(rows[idle][0], 100)
        self.assertGreater(rows[busy][1], 1)
        self.assertGreater(rows[idle][1], 1)
        # Cold pods serve nobody and are not measured.
        self.assertEqual(set(rows), {busy, idle})

    def test_ebb_top_pods(self):
        self.check(lambda: self.ebb.run("top", "pods").stdout)
        self.assertRegex(self.ebb.run("top", "pods", "-A").stdout, r"(?m)^NAMESPACE +NAME")

    def test_ebb_top_nodes(self):
        text = wait_until(lambda: self.ebb.run("top", "nodes").stdout, "the node's use")
        self.assertRegex(text, r"(?m)^local +\d+m +\d+% +\d+Mi +\d+%$")

    @unittest.skipUnless(shutil.which(KUBECTL), "no kubectl: install kubernetes-client")
    def test_kubectl_top_pods(self):
        self.check(lambda: self.kubectl("top", "pods"))
        busy = self.pod("busy")
        chosen = self.kubectl("top", "pods", "-l", "serving.knative.dev/service=busy")
        self.assertEqual(set(self.rows(chosen)), {busy})
        self.assertEqual(set(self.rows(self.kubectl("top", "pod", busy))), {busy})
        self.assertIn("user-container", self.kubectl("top", "pod", busy, "--containers"))
        self.assertIn(busy, self.kubectl("top", "pods", "-A"))

    @unittest.skipUnless(shutil.which(KUBECTL), "no kubectl: install kubernetes-client")
    def test_kubectl_top_nodes(self):
        self.check(lambda: self.kubectl("top", "pods"))
        text = self.kubectl("top", "nodes")
        self.assertRegex(text, r"(?m)^local +\d+m +\d+% +\d+Mi +\d+% *$")

    @unittest.skipUnless(shutil.which(KUBECTL), "no kubectl: install kubernetes-client")
    def test_the_api(self):
        self.check(lambda: self.kubectl("top", "pods"))
        busy = self.pod("busy")
        base = "/apis/metrics.k8s.io/v1beta1"
        group = json.loads(self.kubectl("get", "--raw", "/apis/metrics.k8s.io"))
        self.assertEqual(group["preferredVersion"]["groupVersion"], "metrics.k8s.io/v1beta1")
        resources = json.loads(self.kubectl("get", "--raw", base))["resources"]
        self.assertEqual({(one["name"], one["kind"], one["namespaced"]) for one in resources},
                         {("pods", "PodMetrics", True), ("nodes", "NodeMetrics", False)})
        pods = json.loads(self.kubectl("get", "--raw", base + "/pods"))
        self.assertEqual(pods["kind"], "PodMetricsList")
        one = json.loads(self.kubectl("get", "--raw", f"{base}/namespaces/default/pods/{busy}"))
        self.assertEqual(one["containers"][0]["name"], "user-container")
        self.assertRegex(one["containers"][0]["usage"]["cpu"], r"^\d+n$")
        self.assertRegex(one["containers"][0]["usage"]["memory"], r"^\d+Ki$")
        self.assertRegex(one["window"], r"^[0-2]\.\d{3}s$")
        node = json.loads(self.kubectl("get", "--raw", base + "/nodes/local"))
        self.assertEqual(node["kind"], "NodeMetrics")
        # The short names stay those of the core group.
        self.assertIn("REVISION", self.kubectl("get", "pods"))
        self.assertIn("CPU", self.kubectl("get", "pods.metrics.k8s.io"))

    def test_metrics_page(self):
        busy = wait_until(lambda: self.ebb.metric("ebb_revision_cpu_cores", service="busy"),
                          "the revision's CPU")
        self.assertGreater(busy, 0)
        self.assertGreater(self.ebb.metric("ebb_revision_memory_bytes", service="busy"), 1 << 20)
        self.assertGreater(self.ebb.metric("ebb_node_cpu_seconds_total", node="local"), 0)
        self.assertGreater(self.ebb.metric("ebb_node_memory_bytes", node="local"), 1 << 20)
        if os.path.exists("/proc/pressure/cpu"):
            self.assertIn("ebb_node_pressure_seconds_total", self.ebb.metrics())

    def test_a_policy_in_lua_sees_it(self):
        pathlib.Path(self.ebb.data, "policies", "sees.lua").write_text("""
            function decide(metric, state)
              if not metric.cpu or not metric.node_cpu then return nil end
              return {desired = 1, reason = string.format("seen: %f %f %f %f %s",
                metric.cpu, metric.memory, metric.node_cpu, metric.node_memory,
                metric.cpu_pressure)}
            end""")
        self.ebb.deploy("sees", IDLE, "--min", "1",
                        "--annotation", "autoscaling.knative.dev/class=ebb.dev/lua",
                        "--annotation", "ebb.dev/policy-file=sees.lua")

        def seen():
            for one in self.ebb.list("podautoscalers"):
                reason = one["status"].get("reason", "")
                if one["metadata"]["name"] == "sees-00001" and reason.startswith("seen: "):
                    return reason.split()[1:]
        cpu, memory, node_cpu, node_memory, pressure = wait_until(seen, "all of it", PATIENCE * 2)
        self.assertLess(float(cpu), 1)
        self.assertGreater(float(memory), 1 << 20)
        self.assertGreater(float(node_cpu), 0)
        self.assertLess(float(node_memory), 1)
        if os.path.exists("/proc/pressure/cpu"):
            self.assertLessEqual(float(pressure), 1)
        pod = self.pod("sees")
        self.ebb.run("delete", "services", "sees")  # others look at all pods
        wait_until(lambda: pod not in self.ebb.run("top", "pods").stdout, "its end")

    def test_a_pod_that_has_gone_is_not_told(self):
        self.ebb.deploy("brief", IDLE, "--min", "1")
        pod = self.pod("brief")
        wait_until(lambda: pod in self.ebb.run("top", "pods").stdout, "its use")
        self.ebb.run("delete", "services", "brief")
        wait_until(lambda: pod not in self.ebb.run("top", "pods").stdout, "its end")


LARGE = """\
import os
kept = []
def handle(request):
    if not kept: kept.append(os.urandom(32 << 20))
    return 'done'
"""


class Memory(unittest.TestCase):
    def test_idle_pods_end_when_the_pods_use_more_than_they_may(self):
        with tempfile.TemporaryDirectory(prefix="ebb-memory-") as folder:
            settings = pathlib.Path(folder, "ebb.yaml")
            settings.write_text("metricsInterval: 1s\nautoscaling: {max-pods-memory: 60Mi}\n")
            with Ebb("--config", str(settings)) as ebb:
                # Three that stay idle for an hour, of which 60 MiB hold one.
                often, *seldom = names = ["often", "seldom", "rare"]
                for name in names:
                    ebb.deploy(name, LARGE, "--annotation", "autoscaling.knative.dev/scale-to-zero-pod-retention-period=1h")
                for _ in range(400):  # dearer than the slowest single start
                    self.assertEqual(ebb.get(often).text, "done")
                for name in seldom:
                    self.assertEqual(ebb.get(name).text, "done")
                wait_until(lambda: ebb.metric("ebb_pods_evicted_total") >= 2, "two pods end")
                self.assertEqual([len(ebb.pods(name)) for name in names], [1, 0, 0])
                self.assertIn("idle pods end: the pods use more memory than the 60Mi that they may",
                              ebb.run("describe", "service", "rare").stdout)
                # Who asks is served all the same.
                self.assertEqual(ebb.get("rare").text, "done")


if __name__ == "__main__":
    unittest.main()
