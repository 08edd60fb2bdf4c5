// What a whole machine uses and where it is short, from the texts of /proc. Pure, apart
// from read_node_usage().
//
// Sources: proc(5) for stat and meminfo; the kernel's Documentation/accounting/psi.rst
// for pressure stall information.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "node/messages.h"

namespace ebb::node {

// CPU time that was not idle, of all cores since the machine started, from /proc/stat.
// `ticks_per_second` is sysconf(_SC_CLK_TCK). nullopt if the text has no line "cpu".
[[nodiscard]] std::optional<uint64_t> parse_busy_ns(std::string_view stat,
                                                    uint64_t ticks_per_second);

// Of /proc/meminfo: all memory, and what nobody could have without swapping.
struct MemoryUse {
  uint64_t total_bytes = 0;
  uint64_t used_bytes = 0;  // MemTotal - MemAvailable
};
[[nodiscard]] std::optional<MemoryUse> parse_meminfo(std::string_view meminfo);

// How long somebody, and how long everybody, was held up for want of `resource`, from
// /proc/pressure/RESOURCE. Kernels before 5.13 have no line "full" for cpu: 0.
[[nodiscard]] std::optional<Pressure> parse_pressure(std::string resource, std::string_view text);

// This machine, now. Blocking, a few small files. nullopt if /proc does not tell.
[[nodiscard]] std::optional<NodeUsage> read_node_usage(uint64_t at_ns);

}  // namespace ebb::node
