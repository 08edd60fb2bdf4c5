#include "cli/top_usage.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/quantity.h"

namespace ebb::cli {
namespace {

using api::Json;

constexpr int64_t kMi = 1 << 20;
constexpr int64_t kPercent = 100;

struct Amounts {
  int64_t cpu_millis = 0;
  int64_t memory_bytes = 0;
};

Amounts& operator+=(Amounts& sum, const Amounts& more) {
  sum.cpu_millis += more.cpu_millis;
  sum.memory_bytes += more.memory_bytes;
  return sum;
}

// Of {"cpu": "12n", "memory": "3Ki"}; what cannot be read counts nothing.
Amounts amounts_of(const Json& quantities) {
  return {.cpu_millis = api::parse_millicores(text_at(quantities, {"cpu"})).value_or(0),
          .memory_bytes = api::parse_bytes(text_at(quantities, {"memory"})).value_or(0)};
}

std::string cpu_text(int64_t millis) { return fmt::format("{}m", millis); }
std::string memory_text(int64_t bytes) { return fmt::format("{}Mi", bytes / kMi); }

std::string percent(int64_t part, int64_t whole) {
  if (whole <= 0) return "<unknown>";
  return fmt::format("{}%", static_cast<int64_t>(static_cast<double>(part) * kPercent /
                                                 static_cast<double>(whole)));
}

const Json& member(const Json& object, const char* key) {
  static const Json kNone;
  const auto found = object.find(key);
  return found == object.end() ? kNone : *found;
}

}  // namespace

Table pods_usage(const std::vector<Json>& metrics, bool namespaces) {
  Table table{.columns = {"NAME", "CPU(cores)", "MEMORY(bytes)"}, .rows = {}};
  if (namespaces) table.columns.insert(table.columns.begin(), "NAMESPACE");
  for (const Json& pod : metrics) {
    Amounts sum;
    const Json& containers = member(pod, "containers");
    if (containers.is_array()) {
      for (const Json& one : containers) {
        if (one.is_object()) sum += amounts_of(member(one, "usage"));
      }
    }
    auto& row = table.rows.emplace_back();
    if (namespaces) row.push_back(text_at(pod, {"metadata", "namespace"}));
    row.insert(row.end(), {name_of(pod), cpu_text(sum.cpu_millis), memory_text(sum.memory_bytes)});
  }
  std::sort(table.rows.begin(), table.rows.end());
  return table;
}

Table nodes_usage(const std::vector<Json>& metrics, const std::vector<Json>& nodes) {
  Table table{.columns = {"NAME", "CPU(cores)", "CPU%", "MEMORY(bytes)", "MEMORY%"}, .rows = {}};
  for (const Json& node : metrics) {
    const Amounts used = amounts_of(member(node, "usage"));
    Amounts all;
    for (const Json& one : nodes) {
      if (name_of(one) == name_of(node)) {
        all = amounts_of(member(member(one, "status"), "allocatable"));
      }
    }
    table.rows.push_back({name_of(node), cpu_text(used.cpu_millis),
                          percent(used.cpu_millis, all.cpu_millis), memory_text(used.memory_bytes),
                          percent(used.memory_bytes, all.memory_bytes)});
  }
  std::sort(table.rows.begin(), table.rows.end());
  return table;
}

}  // namespace ebb::cli
