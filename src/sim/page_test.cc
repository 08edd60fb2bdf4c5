#include "sim/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::sim {
namespace {

using testing::HasSubstr;
using testing::Not;

Comparison two_policies() {
  Comparison out;
  out.trace = "/somewhere/<calls>.csv";
  out.start = "1s";
  out.length_s = 600;
  for (const char* name : {"kpa", "fixed:10m"}) {
    Report report;
    report.policy = name;
    report.calls = 1000;
    report.cold = name[0] == 'k' ? 20 : 10;
    report.held_mb_s = name[0] == 'k' ? 3600 * 1024.0 : 7200 * 1024.0;
    report.timeline = {{.from_s = 0, .length_s = 300, .calls = 600, .pods = 2},
                       {.from_s = 300, .length_s = 300, .calls = 400, .pods = 1}};
    out.reports.push_back(std::move(report));
  }
  return out;
}

TEST(Page, HoldsTableAndPlots) {
  const std::string page = to_html(two_policies());
  EXPECT_THAT(page, HasSubstr("<title>Policies on &lt;calls&gt;.csv</title>"));
  EXPECT_THAT(page, HasSubstr("1,000 calls of 0 functions in 10 min"));
  EXPECT_THAT(page, HasSubstr(R"(<td class="first best">10</td>)"));
  EXPECT_THAT(page, HasSubstr(R"(<td class="first best">1</td>)"));  // GB-hours of kpa
  EXPECT_THAT(page, Not(HasSubstr("<h2>Nodes</h2>")));
  for (const char* title : {"Cost against latency", "Load", "Pods", "Waiting"}) {
    EXPECT_THAT(page, HasSubstr(std::string("<h2>") + title));
  }
}

TEST(Page, StandsByItself) {
  const std::string page = to_html(two_policies());
  for (const char* outside :
       {"http://", "https://", "src=", "href=", "url(", "<script", "@import"}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
}

TEST(Page, ShowsNodesWhereThereAreSome) {
  Comparison comparison = two_policies();
  comparison.slots = 8;
  comparison.max_nodes = 3;
  comparison.node_policy = "mine.lua";
  comparison.reports[1].policy_errors = 2;
  comparison.reports[1].first_policy_error = "line 1: oh";
  const std::string page = to_html(comparison);
  EXPECT_THAT(page, HasSubstr("<h2>Nodes</h2>"));
  EXPECT_THAT(page, HasSubstr("0 to 3 nodes with room for 8 pods each, node policy mine.lua"));
  EXPECT_THAT(page, HasSubstr("fixed:10m: 2 decisions failed, the first: line 1: oh"));
}

}  // namespace
}  // namespace ebb::sim
