// Leveled log lines on standard error: time, level, component, message; as text, or each
// line a JSON object {"time","level","process","component","message"}.
//
// Thread-safe. Messages are one line; what users must see also goes to the
// resource or the response it concerns.
//
//   log::info("gateway", "listening on {}", address);
#pragma once

#include <fmt/core.h>

#include <string_view>

namespace ebb::log {

enum class Level { kDebug, kInfo, kWarn, kError };
enum class Format { kText, kJson };

// Sets up the output. `process` names the process in each line ("front",
// "node"). Call before the first thread starts, again after a fork.
void init(std::string_view process, Level level);

// Before the first thread starts; a fork keeps it.
void set_format(Format format);
void set_level(Level level);
void write(Level level, std::string_view component, std::string_view message);
[[nodiscard]] bool enabled(Level level);

template <class... Args>
void debug(std::string_view component, fmt::format_string<Args...> f, Args&&... args) {
  if (enabled(Level::kDebug))
    write(Level::kDebug, component, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void info(std::string_view component, fmt::format_string<Args...> f, Args&&... args) {
  if (enabled(Level::kInfo))
    write(Level::kInfo, component, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void warn(std::string_view component, fmt::format_string<Args...> f, Args&&... args) {
  write(Level::kWarn, component, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void error(std::string_view component, fmt::format_string<Args...> f, Args&&... args) {
  write(Level::kError, component, fmt::format(f, std::forward<Args>(args)...));
}

}  // namespace ebb::log
