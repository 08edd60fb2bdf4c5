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
  EXPECT_THAT(page, HasSubstr("; node policy mine.lua"));
  EXPECT_THAT(page, HasSubstr("fixed:10m: 2 decisions failed, the first: line 1: oh"));
}

TEST(Page, APolicyWhoseCallsNeverEndWinsNothing) {
  Comparison comparison = two_policies();
  EXPECT_THAT(to_html(comparison), Not(HasSubstr("unfinished")));
  EXPECT_THAT(to_html(comparison), Not(HasSubstr("hollow\"")));
  Report& flattered = comparison.reports.emplace_back();
  flattered.policy = "idle.lua";
  flattered.calls = 1000;  // less than the others in everything
  flattered.unfinished = 1200;
  flattered.timeline = comparison.reports[0].timeline;
  const std::string page = to_html(comparison);
  EXPECT_THAT(page, HasSubstr("<p class=\"bad\">idle.lua: 1,200 calls had not ended"));
  EXPECT_THAT(page, HasSubstr(R"(<td class="first bad">1,200</td>)"));
  EXPECT_THAT(page, HasSubstr(R"(<td class="first best">10</td>)"));  // as without it
  EXPECT_THAT(page, HasSubstr(R"(<td class="first">0</td>)"));        // its cold calls
  EXPECT_THAT(page, HasSubstr("idle.lua (not comparable)"));
  EXPECT_THAT(page, HasSubstr(R"(<circle class="dot hollow c2")"));
}

}  // namespace
}  // namespace ebb::sim
