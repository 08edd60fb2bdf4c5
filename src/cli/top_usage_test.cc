#include "cli/top_usage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/types.h"
#include "api/usage.h"

namespace ebb::cli {
namespace {

using api::Json;
using testing::ElementsAre;

Json pod(const std::string& name, int64_t nanocores, int64_t bytes) {
  api::PodMetrics metrics;
  metrics.meta.name = name;
  metrics.meta.ns = "default";
  metrics.usage = {.cpu_nanocores = nanocores, .memory_bytes = bytes};
  return metrics.to_json();
}

TEST(TopUsage, PodsByNameAsKubectlRounds) {
  const auto table =
      pods_usage({pod("b", 0, 3 << 20), pod("a", 250'000'001, (7 << 20) - 1)}, false);
  EXPECT_THAT(table.columns, ElementsAre("NAME", "CPU(cores)", "MEMORY(bytes)"));
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_THAT(table.rows[0], ElementsAre("a", "251m", "6Mi"));
  EXPECT_THAT(table.rows[1], ElementsAre("b", "0m", "3Mi"));
  EXPECT_THAT(pods_usage({pod("a", 0, 0)}, true).rows[0], ElementsAre("default", "a", "0m", "0Mi"));
}

TEST(TopUsage, NodesWithTheirPartOfAll) {
  api::NodeMetrics metrics;
  metrics.meta.name = "local";
  metrics.usage = {.cpu_nanocores = 500'000'000, .memory_bytes = 1 << 30};
  api::Node node;
  node.meta.name = "local";
  node.status.allocatable = {{"cpu", "2"}, {"memory", "4194304Ki"}};
  EXPECT_THAT(nodes_usage({metrics.to_json()}, {node.to_json()}).rows.at(0),
              ElementsAre("local", "500m", "25%", "1024Mi", "25%"));
  EXPECT_THAT(nodes_usage({metrics.to_json()}, {}).rows.at(0),
              ElementsAre("local", "500m", "<unknown>", "1024Mi", "<unknown>"));
}

TEST(TopUsage, WhatHasAnotherShapeCountsNothing) {
  const std::vector<Json> odd{Json{{"metadata", {{"name", "x"}}}, {"containers", {1, "a"}}},
                              Json{{"containers", 5}}};
  for (const auto& row : pods_usage(odd, false).rows) EXPECT_EQ(row[1], "0m");
  EXPECT_EQ(nodes_usage(odd, odd).rows.size(), 2u);
}

}  // namespace
}  // namespace ebb::cli
