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

// Whether the kernel has ended a process of the group for lack of memory, and whose lack it was:
// the group's, for its limit, or that of the machine or a group around it.
enum class MemoryLack { kNone, kOwn, kAround };

// v1: memory.oom_control, the most that the group has held (memory.memsw.max_usage_in_bytes, or
// memory.max_usage_in_bytes where swap is not counted), and memory.limit_in_bytes. What is told
// is whether the group has ever been full: with file pages perhaps, which it could have given up,
// so that the lack of the machine may be taken for its own. (memory.failcnt says no more, and
// nothing on some kernels, 6.18 among them.)
[[nodiscard]] MemoryLack v1_memory_lack(std::string_view oom_control, std::string_view max_usage,
                                        std::string_view limit);
// v2: memory.events.
[[nodiscard]] MemoryLack v2_memory_lack(std::string_view events);

}  // namespace ebb::sandbox
