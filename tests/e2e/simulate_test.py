"""`ebb simulate` on a trace that is made here: needs no running Ebb."""

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
        cls.trace.write_text("start_s,function,duration_ms\n0,f,1000\n300,f,1000\n")

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
        self.assertIn("2 calls of 1 functions", out)
        self.assertIn("8 pods a node", out)
        self.assertRegex(out, r"(?m)^kpa +2 +100\.00%")

    def test_mistakes(self):
        wrong = self.simulate("--policy", "adaptive,window=0s", code=1).stderr
        self.assertIn("window must be 1s to 1h, not 0s", wrong)
        self.assertIn("no policy \"quick\"", self.simulate("--policy", "quick", code=1).stderr)
        self.simulate("--cold-start", "soon", code=2)
        bad = pathlib.Path(self.folder.name) / "bad.csv"
        bad.write_text("start_s,function,duration_ms\n0,f,-5\n")
        done = subprocess.run([PROGRAM, "simulate", str(bad)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("bad.csv:2: duration_ms must be 0 to", done.stderr)


if __name__ == "__main__":
    unittest.main()
