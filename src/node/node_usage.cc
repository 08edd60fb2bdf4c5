#include "node/node_usage.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/file.h"

namespace ebb::node {
namespace {

constexpr size_t kMaxProcFile = 1 << 20;  // /proc/stat grows with cores and interrupts
constexpr uint64_t kNanosPerSecond = 1'000'000'000;
constexpr uint64_t kBytesPerKi = 1024;

// Takes the next number off `text`, which may have blanks before it.
std::optional<uint64_t> take_number(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

// What follows `start` in the line that begins with it.
std::optional<std::string_view> line_after(std::string_view text, std::string_view start) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    if (line.starts_with(start)) return line.substr(start.size());
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return std::nullopt;
}

std::optional<uint64_t> kibibytes(std::string_view meminfo, std::string_view key) {
  auto line = line_after(meminfo, key);
  if (!line) return std::nullopt;
  const auto value = take_number(*line);
  if (!value || *value > std::numeric_limits<uint64_t>::max() / kBytesPerKi) return std::nullopt;
  return *value * kBytesPerKi;
}

// The total of a line "some avg10=0.00 avg60=0.00 avg300=0.00 total=12".
std::optional<uint64_t> stall_us(std::string_view text, std::string_view who) {
  const auto line = line_after(text, who);
  if (!line) return std::nullopt;
  constexpr std::string_view kTotal = " total=";
  const auto at = line->find(kTotal);
  if (at == std::string_view::npos) return std::nullopt;
  auto rest = line->substr(at + kTotal.size());
  return take_number(rest);
}

}  // namespace

std::optional<uint64_t> parse_busy_ns(std::string_view stat, uint64_t ticks_per_second) {
  auto line = line_after(stat, "cpu ");
  if (!line || ticks_per_second == 0) return std::nullopt;
  // user nice system idle iowait irq softirq steal; guests are in user and nice already.
  constexpr size_t kIdle = 3;
  constexpr size_t kIoWait = 4;
  constexpr size_t kFields = 8;
  long double busy = 0;
  for (size_t i = 0; i < kFields; ++i) {
    const auto ticks = take_number(*line);
    if (!ticks && i <= kIdle) return std::nullopt;
    if (!ticks) break;  // an old kernel
    if (i != kIdle && i != kIoWait) busy += static_cast<long double>(*ticks);
  }
  const long double ns =
      busy / static_cast<long double>(ticks_per_second) * static_cast<long double>(kNanosPerSecond);
  constexpr long double kMost = 9e18L;
  return static_cast<uint64_t>(std::min(ns, kMost));
}

std::optional<MemoryUse> parse_meminfo(std::string_view meminfo) {
  const auto total = kibibytes(meminfo, "MemTotal:");
  const auto available = kibibytes(meminfo, "MemAvailable:");
  if (!total || !available) return std::nullopt;
  return MemoryUse{.total_bytes = *total, .used_bytes = *total - std::min(*total, *available)};
}

std::optional<Pressure> parse_pressure(std::string resource, std::string_view text) {
  const auto some = stall_us(text, "some ");
  if (!some) return std::nullopt;
  return Pressure{.resource = std::move(resource),
                  .some_us = *some,
                  .full_us = stall_us(text, "full ").value_or(0)};
}

std::optional<NodeUsage> read_node_usage(uint64_t at_ns) {
  const auto stat = read_file("/proc/stat", kMaxProcFile);
  const auto meminfo = read_file("/proc/meminfo", kMaxProcFile);
  if (!stat || !meminfo) return std::nullopt;
  const auto busy = parse_busy_ns(*stat, static_cast<uint64_t>(::sysconf(_SC_CLK_TCK)));
  const auto memory = parse_meminfo(*meminfo);
  if (!busy || !memory) return std::nullopt;
  NodeUsage usage{.at_ns = at_ns,
                  .cpu_ns = *busy,
                  .cores = static_cast<uint32_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN))),
                  .memory_bytes = memory->used_bytes,
                  .memory_total = memory->total_bytes,
                  .pressure = {}};
  for (const char* resource : {"cpu", "memory", "io"}) {
    // Absent where the kernel was built or started without it.
    const auto text = read_file(std::string("/proc/pressure/") + resource, kMaxProcFile);
    auto pressure = text ? parse_pressure(resource, *text) : std::nullopt;
    if (pressure) usage.pressure.push_back(std::move(*pressure));
  }
  return usage;
}

}  // namespace ebb::node
