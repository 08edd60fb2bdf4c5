#include "serving/routing_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace ebb::serving {
namespace {

RoutingTable::RoutePtr route(const std::string& name) {
  Route out;
  out.name = name;
  return std::make_shared<const Route>(std::move(out));
}

std::string host(int i) { return "service-" + std::to_string(i) + ".default.localhost"; }

Route split(std::initializer_list<int> percents) {
  Route out;
  for (const int percent : percents) {
    Target target{.percent = percent, .backend = {}};
    target.backend.name = std::to_string(percent);
    out.targets.push_back(std::move(target));
  }
  return out;
}

TEST(RoutingTable, FindsWhatWasPutIn) {
  RoutingPublisher publisher;
  const auto before = publisher.table();
  publisher.apply({{"a", route("a")}, {"b", route("b")}});
  publisher.apply({{"b", route("c")}});
  const auto table = publisher.table();
  EXPECT_EQ(table->find("a")->name, "a");
  EXPECT_EQ(table->find("b")->name, "c");
  EXPECT_FALSE(table->find("d"));
  EXPECT_FALSE(before->find("a"));  // a snapshot stays what it was
  publisher.apply({{"a", nullptr}, {"d", nullptr}});
  EXPECT_FALSE(publisher.table()->find("a"));
  EXPECT_TRUE(publisher.table()->find("b"));
}

TEST(RoutingTable, AChangeAmongTenThousandIsCheap) {
  RoutingPublisher publisher;
  std::vector<RoutingTable::Change> all;
  for (int i = 0; i < 10000; ++i) all.emplace_back(host(i), route(std::to_string(i)));
  publisher.apply(all);
  for (int i = 0; i < 10000; i += 97) {
    EXPECT_EQ(publisher.table()->find(host(i))->name, std::to_string(i));
  }
  auto best = Duration::max();
  for (int i = 0; i < 100; ++i) {
    const auto start = std::chrono::steady_clock::now();
    publisher.apply({{host(i), route("new")}});
    best = std::min<Duration>(best, std::chrono::steady_clock::now() - start);
  }
  RecordProperty("apply_ns", std::to_string(best.count()));
  EXPECT_LT(best, std::chrono::milliseconds(1));
  EXPECT_EQ(publisher.table()->find(host(99))->name, "new");
  EXPECT_EQ(publisher.table()->find(host(100))->name, "100");
}

TEST(Route, DealsSharesExactlyAndFromTheFirstRequestsOn) {
  const Route route = split({90, 10});
  std::map<std::string, int> seen;
  int worst = 0;
  for (int i = 1; i <= 10000; ++i) {
    ++seen[route.choose().name];
    // Never further than two requests from its share.
    worst = std::max(worst, std::abs(seen["10"] * 10 - i));
  }
  EXPECT_NEAR(seen["10"], 1000, 10);
  EXPECT_LE(worst, 30);
}

TEST(Route, IsNotInStepWithClientsThatTakeTurns) {
  const Route route = split({99, 1});
  int to_canary_of_even = 0;
  for (int i = 0; i < 20000; ++i) {
    const bool canary = route.choose().name == "1";
    if (i % 2 == 0 && canary) ++to_canary_of_even;
  }
  EXPECT_NEAR(to_canary_of_even, 100, 10);
}

TEST(Route, FindsTags) {
  Route route = split({100});
  for (const char* tag : {"a", "b", "next"}) {
    Backend backend;
    backend.name = tag;
    route.tags.emplace_back(tag, backend);
  }
  EXPECT_EQ(route.tagged("next")->name, "next");
  EXPECT_EQ(route.tagged("a")->name, "a");
  EXPECT_EQ(route.tagged("c"), nullptr);
  EXPECT_EQ(route.tagged(""), nullptr);
}

}  // namespace
}  // namespace ebb::serving
