#include "api/object.h"

#include <fmt/format.h>

namespace ebb::api {

std::string Kind::api_version() const {
  return group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
}

std::string_view ObjectMeta::annotation(std::string_view key) const {
  auto found = annotations.find(std::string(key));
  return found == annotations.end() ? std::string_view() : std::string_view(found->second);
}

void set_condition(std::vector<Condition>& conditions, Condition condition, WallTime now) {
  for (auto& old : conditions) {
    if (old.type != condition.type) continue;
    condition.last_transition_time =
        old.status == condition.status ? old.last_transition_time : to_rfc3339(now);
    old = std::move(condition);
    return;
  }
  condition.last_transition_time = to_rfc3339(now);
  conditions.push_back(std::move(condition));
}

const Condition* find_condition(const std::vector<Condition>& conditions, std::string_view type) {
  for (const auto& condition : conditions) {
    if (condition.type == type) return &condition;
  }
  return nullptr;
}

std::string to_rfc3339(WallTime time) {
  auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  auto day = std::chrono::floor<std::chrono::days>(seconds);
  std::chrono::year_month_day date(day);
  std::chrono::hh_mm_ss clock(seconds - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

Result<WallTime> from_rfc3339(std::string_view text) {
  auto bad = [&] {
    return fail(Errc::kInvalid, "\"{}\" is not a UTC time like 2026-01-31T12:00:00Z", text);
  };
  // Digits where the pattern has 0, the same character elsewhere.
  constexpr std::string_view kPattern = "0000-00-00T00:00:00";
  if (text.size() <= kPattern.size()) return bad();
  for (size_t i = 0; i < kPattern.size(); ++i) {
    bool digit = text[i] >= '0' && text[i] <= '9';
    if (kPattern[i] == '0' ? !digit : text[i] != kPattern[i]) return bad();
  }
  std::string_view rest = text.substr(kPattern.size());
  if (rest.front() == '.') {
    auto end = rest.find_first_not_of("0123456789", 1);
    if (end == 1 || end == std::string_view::npos) return bad();
    rest.remove_prefix(end);
  }
  if (rest != "Z") return bad();
  auto number = [&](size_t at, size_t digits) {
    int value = 0;
    for (size_t i = at; i < at + digits; ++i) value = value * 10 + (text[i] - '0');
    return value;
  };
  std::chrono::year_month_day date(std::chrono::year(number(0, 4)),
                                   std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                   std::chrono::day(static_cast<unsigned>(number(8, 2))));
  int hour = number(11, 2);
  int minute = number(14, 2);
  int second = number(17, 2);
  // 1678 to 2261 is what nanoseconds in 64 bits hold.
  if (!date.ok() || number(0, 4) < 1678 || number(0, 4) > 2261 || hour > 23 || minute > 59 ||
      second > 60) {
    return bad();
  }
  return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second);
}

Error to_error(const std::vector<FieldError>& errors) {
  std::string message;
  for (const auto& error : errors) {
    if (!message.empty()) message += "; ";
    message += error.path.empty() ? error.message : error.path + ": " + error.message;
  }
  return {Errc::kInvalid, std::move(message)};
}

}  // namespace ebb::api
