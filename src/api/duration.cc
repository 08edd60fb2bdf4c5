#include "api/duration.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace ebb::api {
namespace {

struct Unit {
  std::string_view name;
  double nanoseconds;
};
// Longer names first: "ms" before "m".
constexpr Unit kUnits[] = {{"ns", 1},  {"us", 1e3}, {"\xC2\xB5s", 1e3}, {"ms", 1e6},
                           {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  auto bad = [&] {
    return fail(Errc::kInvalid, "\"{}\" is not a duration like \"60s\" or \"1m30s\"", text);
  };
  std::string_view rest = text;
  bool negative = rest.starts_with('-');
  if (negative) rest.remove_prefix(1);
  if (rest == "0") return Duration(0);
  if (rest.empty()) return bad();
  double total = 0;
  while (!rest.empty()) {
    double number = 0;
    auto [end, error] =
        std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    bool starts_as_number = rest[0] == '.' || (rest[0] >= '0' && rest[0] <= '9');
    if (error != std::errc() || !starts_as_number) return bad();
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    const Unit* unit = nullptr;
    for (const auto& candidate : kUnits) {
      if (!unit && rest.starts_with(candidate.name)) unit = &candidate;
    }
    if (!unit) return bad();
    rest.remove_prefix(unit->name.size());
    total += number * unit->nanoseconds;
  }
  constexpr double kMost = 9.2e18;  // what 64 bits of nanoseconds hold
  if (total > kMost) return bad();
  auto count = std::llround(total);
  return Duration(negative ? -count : count);
}

std::string format_duration(Duration duration) {
  if (duration.count() == 0) return "0s";
  std::string out;
  if (duration < Duration(0)) {
    out = "-";
    duration = -duration;
  }
  using std::chrono::duration_cast;
  auto hours = duration_cast<std::chrono::hours>(duration);
  auto minutes = duration_cast<std::chrono::minutes>(duration - hours);
  auto rest = duration - hours - minutes;
  if (hours.count() != 0) out += fmt::format("{}h", hours.count());
  if (minutes.count() != 0) out += fmt::format("{}m", minutes.count());
  if (rest.count() == 0) return out;
  if (rest >= std::chrono::seconds(1) || !out.empty()) {
    return out + fmt::format("{}s", static_cast<double>(rest.count()) / 1e9);
  }
  if (rest.count() % 1000 == 0)
    return out + fmt::format("{}ms", static_cast<double>(rest.count()) / 1e6);
  return out + fmt::format("{}ns", rest.count());
}

}  // namespace ebb::api
