// What a control group has used, from the texts of its files. Pure.
//
// Memory is the working set as kubelet and the metrics server count it: what is charged
// without the file pages that the kernel would give up first.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ebb::sandbox {

struct CgroupUsage {
  uint64_t cpu_ns = 0;        // since the group was made
  uint64_t memory_bytes = 0;  // working set
  friend bool operator==(const CgroupUsage&, const CgroupUsage&) = default;
};

// A file that holds one number: cpuacct.usage, memory.usage_in_bytes, memory.current.
// nullopt for anything else.
[[nodiscard]] std::optional<uint64_t> parse_number(std::string_view text);

// The number behind `key` in a file with lines of "key number": cpu.stat, memory.stat.
[[nodiscard]] std::optional<uint64_t> parse_entry(std::string_view text, std::string_view key);

// v1: cpuacct.usage (nanoseconds), memory.usage_in_bytes, memory.stat.
[[nodiscard]] std::optional<CgroupUsage> v1_usage(std::string_view cpuacct, std::string_view memory,
                                                  std::string_view memory_stat);
// v2: cpu.stat (microseconds), memory.current, memory.stat.
[[nodiscard]] std::optional<CgroupUsage> v2_usage(std::string_view cpu_stat,
                                                  std::string_view memory,
                                                  std::string_view memory_stat);

}  // namespace ebb::sandbox
