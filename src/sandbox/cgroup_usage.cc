#include "sandbox/cgroup_usage.h"

#include <charconv>
#include <limits>

namespace ebb::sandbox {
namespace {

constexpr uint64_t kNanosPerMicro = 1000;
constexpr uint64_t kLargestCharge = 256 * 1024;  // bytes at once, that a full group has no room for

std::optional<CgroupUsage> usage_of(std::optional<uint64_t> cpu_ns, std::string_view memory,
                                    std::string_view memory_stat, std::string_view inactive_key) {
  const auto charged = parse_number(memory);
  if (!cpu_ns || !charged) return std::nullopt;
  // A file that lacks the line hides no file pages from us: all of it counts.
  const uint64_t inactive = parse_entry(memory_stat, inactive_key).value_or(0);
  return CgroupUsage{.cpu_ns = *cpu_ns,
                     .memory_bytes = *charged > inactive ? *charged - inactive : 0};
}

MemoryLack lack_of(std::string_view kills, bool was_full) {
  if (parse_entry(kills, "oom_kill").value_or(0) == 0) return MemoryLack::kNone;
  return was_full ? MemoryLack::kOwn : MemoryLack::kAround;
}

}  // namespace

std::optional<uint64_t> parse_number(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<uint64_t> parse_entry(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
      return parse_number(line.substr(key.size() + 1));
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return std::nullopt;
}

std::optional<CgroupUsage> v1_usage(std::string_view cpuacct, std::string_view memory,
                                    std::string_view memory_stat) {
  // With what groups below it use, as memory.usage_in_bytes counts it.
  return usage_of(parse_number(cpuacct), memory, memory_stat, "total_inactive_file");
}

std::optional<CgroupUsage> v2_usage(std::string_view cpu_stat, std::string_view memory,
                                    std::string_view memory_stat) {
  auto cpu = parse_entry(cpu_stat, "usage_usec");
  if (cpu && *cpu > std::numeric_limits<uint64_t>::max() / kNanosPerMicro) cpu.reset();
  if (cpu) *cpu *= kNanosPerMicro;
  return usage_of(cpu, memory, memory_stat, "inactive_file");
}

MemoryLack v1_memory_lack(std::string_view oom_control, std::string_view max_usage,
                          std::string_view limit) {
  const auto most = parse_number(max_usage);
  const auto allowed = parse_number(limit);
  return lack_of(oom_control, !most || !allowed || *most + kLargestCharge >= *allowed);
}

MemoryLack v2_memory_lack(std::string_view events) {
  return lack_of(events, parse_entry(events, "oom").value_or(0) > 0);
}

}  // namespace ebb::sandbox
