"""`ebb simulate` on a trace that is made here: needs no running Ebb."""

import collections
import html.parser
import json
import pathlib
import subprocess
import tempfile
import unittest

from harness import PROGRAM


class Simulate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.trace = pathlib.Path(cls.folder.name) / "calls.csv"
        # Two calls of a second, 5 minutes apart.
        cls.trace.write_text("timestamp,function,duration\n0,f,1000\n300,f,1000\n")

    def simulate(self, *options, code=0):
        done = subprocess.run([PROGRAM, "simulate", str(self.trace), *options],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def test_policies_side_by_side(self):
        done = self.simulate("--policy", "fixed:10m", "--policy", "fixed:1s", "--cold-start", "1s",
                             "-o", "json")
        kept, gone = json.loads(done.stdout)["policies"]
        self.assertEqual((kept["policy"], kept["cold"]), ("fixed:10m", 1))
        self.assertEqual((gone["policy"], gone["cold"]), ("fixed:1s", 2))
        self.assertGreater(kept["memory_held_gb_h"], gone["memory_held_gb_h"])
        self.assertEqual(done.stderr, "")

    def test_the_seed_decides(self):
        options = ("--cold-start", "exponential:1s", "-o", "json")
        first = self.simulate(*options).stdout
        self.assertEqual(self.simulate(*options).stdout, first)
        self.assertNotEqual(self.simulate("--seed", "2", *options).stdout, first)

    def test_a_lua_policy(self):
        policy = pathlib.Path(self.folder.name) / "two.lua"
        policy.write_text("function decide(metric, state) return {desired = 2} end\n")
        out = json.loads(self.simulate("--policy", str(policy), "-o", "json").stdout)
        self.assertEqual(out["policies"][0]["peak_pods"], 2)

    def test_the_table(self):
        out = self.simulate("--policy", "kpa", "--nodes", "2", "--node-memory", "1Gi").stdout
        self.assertIn("2 calls of 1 function in", out)
        self.assertIn("room for 8 pods each", out)
        self.assertRegex(out, r"(?m)^kpa +2 +100\.00%")

    def test_a_policy_for_nodes(self):
        policy = pathlib.Path(self.folder.name) / "nodes.lua"
        policy.write_text("function decide(metric, state) return {desired = 3} end\n")
        nodes = ("--policy", "kpa", "--nodes", "5", "--node-policy")
        out = json.loads(self.simulate(*nodes, str(policy), "-o", "json").stdout)
        self.assertEqual((out["node_policy"], out["policies"][0]["peak_nodes"]), (str(policy), 3))
        self.assertIn(f"node policy {policy}", self.simulate(*nodes, str(policy)).stdout)
        self.assertIn("node policy average", self.simulate(*nodes, "average").stdout)
        self.assertIn("no policy \"quick\" for nodes", self.simulate(*nodes, "quick", code=1).stderr)
        self.simulate("--node-policy", "kpa", code=2)
        policy.write_text("function decide(metric, state)\n  return {desired = oh + 1}\nend\n")
        self.assertIn(f"decisions failed, the first: nodes: {policy}:2: ",
                      self.simulate(*nodes, str(policy)).stdout)

    def test_mistakes(self):
        wrong = self.simulate("--policy", "adaptive,window=0s", code=1).stderr
        self.assertIn("window must be 1s to 1h, not 0s", wrong)
        self.assertIn("no policy \"quick\"", self.simulate("--policy", "quick", code=1).stderr)
        self.simulate("--cold-start", "soon", code=2)
        bad = pathlib.Path(self.folder.name) / "bad.csv"
        bad.write_text("start_s,function,duration_ms\n0,f,-5\n")
        done = subprocess.run([PROGRAM, "simulate", str(bad)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("bad.csv:2:5: duration must be 0 to", done.stderr)

    def test_standard_input(self):
        done = subprocess.run([PROGRAM, "simulate", "-", "--policy", "kpa", "-o", "json"],
                              input="0,f,1000\n300,f,1000\n", capture_output=True, text=True)
        self.assertEqual(json.loads(done.stdout)["policies"][0]["calls"], 2, done.stderr)

    def test_lenient(self):
        some = pathlib.Path(self.folder.name) / "some.csv"
        some.write_text("timestamp,function,duration,memory\n0,f,1000,128\n1,f,soon,128\n"
                        "300,f,1000,128\n200,f,1000,128\n")
        command = [PROGRAM, "simulate", str(some), "--policy", "kpa", "-o", "json"]
        strict = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(strict.returncode, 1)
        self.assertIn("some.csv:3:5: duration is no number", strict.stderr)
        out = json.loads(subprocess.run([*command, "--lenient"], capture_output=True,
                                        check=True).stdout)
        self.assertEqual((out["skipped_rows"], out["policies"][0]["calls"]), (2, 2))

    def test_the_page_stands_by_itself(self):
        out = self.simulate("--nodes", "2", "-o", "html").stdout
        page = Page()
        page.feed(out)
        page.close()
        self.assertEqual(page.open, [])
        self.assertEqual(page.outside, [])
        self.assertGreaterEqual(page.count["svg"], 6)
        for policy in ("kpa", "adaptive", "fixed:10m", "hybrid"):
            self.assertIn(policy, out)


class Page(html.parser.HTMLParser):
    """Which elements are left open, and what the page would fetch."""

    VOID = {"meta", "link", "img", "br", "hr", "input"}

    def __init__(self):
        super().__init__()
        self.open, self.outside, self.count = [], [], collections.Counter()

    def handle_starttag(self, tag, attrs):
        self.count[tag] += 1
        if tag not in self.VOID:
            self.open.append(tag)
        self.outside += [value for name, value in attrs
                         if name in ("src", "href", "data", "srcset") or "url(" in (value or "")]
        if tag in ("script", "link", "iframe", "object"):
            self.outside.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.count[tag] += 1

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes another element, line {self.getpos()[0]}")

    def handle_data(self, data):
        if self.open and self.open[-1] == "style" and ("url(" in data or "@import" in data):
            self.outside.append(data)


if __name__ == "__main__":
    unittest.main()
