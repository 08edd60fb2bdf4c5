#include "scaling/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/quote.h"

namespace ebb::scaling {

namespace {

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// Cuts off what stands before `at`, and `at` itself.
std::string_view next_part(std::string_view& text, std::string_view at) {
  const size_t end = text.find_first_of(at);
  const std::string_view part = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return trimmed(part);
}

Result<ScheduleWindow> parse_window(std::string_view text, std::string_view otherwise) {
  const auto wrong = [text](const std::string& why) {
    return fail(Errc::kInvalid, "window {}: {}", in_quotes(text), why);
  };
  std::string_view rest = text;
  const std::string_view open_text = next_part(rest, "|");
  const std::string_view close_text = next_part(rest, "|");
  const std::string_view pods_text = next_part(rest, "|");
  const std::string_view zone_text = next_part(rest, "|");
  if (pods_text.empty() || !trimmed(rest).empty()) {
    return wrong("must be OPEN | CLOSE | PODS, and a time zone behind another |");
  }
  auto open = Cron::parse(open_text);
  if (!open) return wrong(open.error().message);
  auto close = Cron::parse(close_text);
  if (!close) return wrong(close.error().message);
  if (*open == *close) return wrong("it opens and closes at the same moments");
  int pods = 0;
  const auto [end, error] =
      std::from_chars(pods_text.data(), pods_text.data() + pods_text.size(), pods);
  constexpr int kMost = 1'000'000;
  if (error != std::errc() || end != pods_text.data() + pods_text.size() || pods < 1 ||
      pods > kMost) {
    return wrong(fmt::format("{} pods must be a number in [1, {}]", in_quotes(pods_text), kMost));
  }
  auto zone = TimeZone::find(zone_text.empty() ? otherwise : zone_text);
  if (!zone) return wrong(zone.error().message);
  return ScheduleWindow{*open, *close, pods, *zone, std::string(text)};
}

}  // namespace

Result<std::vector<ScheduleWindow>> parse_schedule(std::string_view text, std::string_view zone) {
  std::vector<ScheduleWindow> windows;
  while (!trimmed(text).empty()) {
    const std::string_view part = next_part(text, ";\n");
    if (part.empty()) continue;
    if (windows.size() == kMaxScheduleWindows) {
      return fail(Errc::kInvalid, "more than {} windows", kMaxScheduleWindows);
    }
    auto window = parse_window(part, zone);
    if (!window) return fail(window.error());
    windows.push_back(std::move(*window));
  }
  return windows;
}

bool is_open(const ScheduleWindow& window, WallTime now) {
  const auto opened = window.open.last(now, window.zone);
  if (!opened) return false;
  const auto closed = window.close.last(now, window.zone);
  return !closed || *opened > *closed;
}

void Schedule::observe(const Metric& /*metric*/) {}

Decision Schedule::decide(const Situation& situation) {
  const WallTime wall = situation.wall;  // set forth or back since the last time, maybe
  const int64_t minute = std::chrono::floor<std::chrono::minutes>(wall.time_since_epoch()).count();
  if (minute == minute_) return last_;  // its text is made once a minute: always
  minute_ = minute;
  last_ = Decision();
  last_.valid = true;
  last_.reason = "no window is open";
  for (const auto& window : windows_) {
    if (window.pods <= last_.desired || !is_open(window, wall)) continue;
    last_.desired = window.pods;
    last_.reason = fmt::format("window {} is open -> {}", in_quotes(window.text), window.pods);
  }
  return last_;
}

}  // namespace ebb::scaling
