#include "scaling/cron.h"

#include <date/tz.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <string>
#include <vector>

#include "base/quote.h"

namespace ebb::scaling {

namespace {

using Names = std::vector<std::string_view>;

struct Field {
  const char* name;
  int least;
  int most;
  Names names{};  // of `least` onward
};

const std::array<Field, 5>& fields() {
  static const std::array<Field, 5> kFields{{
      {"minute", 0, 59},
      {"hour", 0, 23},
      {"day of month", 1, 31},
      {"month",
       1,
       12,
       {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
      {"day of week", 0, 7, {"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
  }};
  return kFields;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  for (size_t i = 0; i < text.size();) {
    const size_t begin = text.find_first_not_of(" \t", i);
    if (begin == std::string_view::npos) break;
    i = std::min(text.find_first_of(" \t", begin), text.size());
    out.push_back(text.substr(begin, i - begin));
  }
  return out;
}

std::optional<int> number(std::string_view text, const Field& field) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto named = std::find(field.names.begin(), field.names.end(), lower);
  if (named != field.names.end()) {
    return field.least + static_cast<int>(named - field.names.begin());
  }
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// One of the parts between commas, as bits from 0.
Result<uint64_t> parse_part(std::string_view part, const Field& field) {
  const auto wrong = [&](std::string_view why) {
    return fail(Errc::kInvalid, "{} {}: {}", field.name, in_quotes(part), why);
  };
  int step = 1;
  std::string_view range = part;
  const size_t slash = part.find('/');
  if (slash != std::string_view::npos) {
    const auto given = number(part.substr(slash + 1), {"", 0, 0});
    if (!given || *given < 1) return wrong("a step must be a number above 0");
    step = *given;
    range = part.substr(0, slash);
  }
  int from = field.least;
  int to = field.most;
  if (range != "*") {
    const size_t dash = range.find('-');
    const auto first = number(range.substr(0, dash), field);
    auto last = first;
    if (dash != std::string_view::npos) {
      last = number(range.substr(dash + 1), field);
    } else if (slash != std::string_view::npos) {
      last = field.most;  // "5/10" is from 5 on
    }
    if (!first || !last) return wrong("must be a number, a range or *");
    from = *first;
    to = *last;
    if (from < field.least || to > field.most || from > to) {
      return wrong(fmt::format("must be in [{}, {}], the smaller first", field.least, field.most));
    }
  }
  uint64_t bits = 0;
  for (int value = from; value <= to; value += std::min(step, field.most + 1)) {
    bits |= uint64_t{1} << value;
  }
  return bits;
}

Result<uint64_t> parse_field(std::string_view text, const Field& field) {
  uint64_t bits = 0;
  for (const auto part : split(text, ',')) {
    const auto more = parse_part(part, field);
    if (!more) return more;
    bits |= *more;
  }
  return bits;
}

constexpr int kYears = 8;  // a 29 February may be as far away

}  // namespace

Result<TimeZone> TimeZone::find(std::string_view name) {
  TimeZone zone;
  try {
    zone.zone_ = date::locate_zone(std::string(name));
  } catch (const std::exception&) {
    return fail(Errc::kInvalid, "there is no time zone {}", in_quotes(name));
  }
  return zone;
}

Result<Cron> Cron::parse(std::string_view text) {
  const auto parts = words(text);
  if (parts.size() != fields().size()) {
    return fail(Errc::kInvalid,
                "{} must have five fields: minute, hour, day of month, month, day of week",
                in_quotes(text));
  }
  std::array<uint64_t, 5> bits{};
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto field = parse_field(parts[i], fields()[i]);
    if (!field) return fail(field.error());
    bits[i] = *field;
  }
  constexpr uint64_t kSecondSunday = uint64_t{1} << 7;
  if ((bits[4] & kSecondSunday) != 0) bits[4] |= 1;
  Cron cron;
  cron.minutes_ = bits[0];
  cron.hours_ = bits[1];
  cron.days_ = bits[2];
  cron.months_ = bits[3];
  cron.weekdays_ = bits[4] & (kSecondSunday - 1);
  cron.any_day_ = parts[2].starts_with('*');
  cron.any_weekday_ = parts[4].starts_with('*');
  const date::sys_days begin = date::year(2024) / 1 / 1;  // a leap year and the next ones
  for (int i = 0; i < kYears * 366; ++i) {
    const date::year_month_day day(begin + date::days(i));
    if (cron.on(int(day.year()), unsigned(day.month()), unsigned(day.day()))) return cron;
  }
  return fail(Errc::kInvalid, "{} names a day that never comes", in_quotes(text));
}

bool Cron::on(int year, unsigned month, unsigned day) const {
  if (!months_[month]) return false;
  const date::weekday weekday{date::sys_days(date::year(year) / month / day)};
  const bool by_day = days_[day];
  const bool by_weekday = weekdays_[weekday.c_encoding()];
  return any_day_ || any_weekday_ ? by_day && by_weekday : by_day || by_weekday;
}

std::optional<WallTime> Cron::last(WallTime now, const TimeZone& zone) const {
  const auto local = zone.zone_->to_local(date::floor<std::chrono::seconds>(now));
  // A day ahead too: where clocks were set back, a later local time may lie before now.
  const date::local_days today = date::floor<date::days>(local);
  for (int back = -1; back < kYears * 366; ++back) {
    const date::local_days date = today - date::days(back);
    const date::year_month_day day(date);
    if (!on(int(day.year()), unsigned(day.month()), unsigned(day.day()))) continue;
    for (int hour = 23; hour >= 0; --hour) {
      if (!hours_[static_cast<size_t>(hour)]) continue;
      for (int minute = 59; minute >= 0; --minute) {
        if (!minutes_[static_cast<size_t>(minute)]) continue;
        const auto due = zone.zone_->to_sys(
            date + std::chrono::hours(hour) + std::chrono::minutes(minute), date::choose::earliest);
        if (due <= now) return WallTime(due);
      }
    }
  }
  return std::nullopt;
}

}  // namespace ebb::scaling
