// kpa_golden DIR: checks golden vectors of Knative's autoscaler (scaling/kpa_replay.h)
// and prints the first difference of each. Exit code 0: all pass; 1: some fail; 2: the
// folder cannot be read or holds none.
#include <fmt/core.h>

#include <cstdio>

#include "scaling/kpa_replay.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: kpa_golden DIR, a folder of NAME.in.jsonl and NAME.out.jsonl\n");
    return 2;
  }
  const auto pairs = ebb::scaling::find_vectors(argv[1]);
  if (!pairs) {
    fmt::print(stderr, "kpa_golden: {}\n", pairs.error().message);
    return 2;
  }
  int passed = 0;
  int failed = 0;
  for (const auto& pair : *pairs) {
    const auto report = ebb::scaling::check_vector(pair);
    ++(report.difference.empty() ? passed : failed);
    if (!report.difference.empty()) fmt::print("{}\n", report.difference);
  }
  fmt::print("{} passed, {} failed\n", passed, failed);
  if (pairs->empty()) return 2;
  return failed == 0 ? 0 : 1;
}
