#include "base/log.h"

#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/quote.h"

namespace ebb::log {
namespace {

// Bytes; the rest of a longer one is cut off. With what stands before it, no more than
// a pipe takes at once.
constexpr size_t kMaxMessage = 3 * 1024;
constexpr size_t kMaxLine = 4000;

constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%S.%eZ %v";

struct Output {
  std::atomic<Level> level{Level::kInfo};
  std::atomic<size_t> dropped{0};  // lines, since the last one written
  std::string process;             // "front", or nothing
  Format format = Format::kText;
  spdlog::logger logger{"ebb", std::make_shared<spdlog::sinks::stderr_sink_mt>()};

  Output() {
    logger.set_level(spdlog::level::trace);  // `level` decides
    set_pattern(kTextPattern);
  }
  void set_pattern(const char* pattern) {
    logger.set_formatter(
        std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
  }
};

// The process has one standard error. Never destroyed: destructors of statics may log.
Output& output() {
  static auto* const instance = new Output;
  return *instance;
}

const char* name(Level level) {
  switch (level) {
    case Level::kDebug:
      return "DEBUG";
    case Level::kInfo:
      return "INFO";
    case Level::kWarn:
      return "WARN";
    case Level::kError:
      return "ERROR";
  }
  return "?";
}

spdlog::level::level_enum engine_level(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      break;
  }
  return spdlog::level::err;
}

std::string text_line(Level level, const std::string& process, std::string_view component,
                      std::string_view message, const std::string& note) {
  std::string line;
  line.reserve(32 + component.size() + message.size());
  line += name(level);
  line += ' ';
  if (!process.empty()) line.append(process).append("/");
  line += component;
  line += ": ";
  append_escaped(line, message.substr(0, kMaxMessage));
  if (message.size() > kMaxMessage || line.size() > kMaxLine) {
    line.resize(std::min(line.size(), kMaxLine));
    line += "...";
  }
  return line + note;
}

// The inside of the object, behind its time.
std::string json_line(Level level, const std::string& process, std::string_view component,
                      std::string_view message, const std::string& note) {
  const auto json = [](std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  const auto cut = [&](size_t most) {
    std::string text(message.substr(0, most));
    if (message.size() > most) text += "...";
    return json(text + note);
  };
  std::string text = cut(kMaxMessage);
  // Escaped, a byte becomes six at most.
  if (text.size() > kMaxLine - 300) text = cut(kMaxMessage / 6);
  return fmt::format(R"("level":"{}","process":{},"component":{},"message":{})", name(level),
                     json(process), json(component), text);
}

}  // namespace

void init(std::string_view process, Level level) {
  Output& out = output();
  out.process = process;
  out.level.store(level, std::memory_order_relaxed);
}

void set_format(Format format) {
  Output& out = output();
  out.format = format;
  out.set_pattern(format == Format::kJson ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ",%v})"
                                          : kTextPattern);
}

bool enabled(Level level) { return level >= output().level.load(std::memory_order_relaxed); }

void set_level(Level level) { output().level.store(level, std::memory_order_relaxed); }

void write(Level level, std::string_view component, std::string_view message) {
  if (!enabled(level)) return;
  Output& out = output();
  // A pipe that nobody reads, or a stopped terminal, must not stop the program.
  pollfd standard_error = {.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (::poll(&standard_error, 1, 0) == 0) {
    out.dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  std::string note;
  if (const auto dropped = out.dropped.exchange(0, std::memory_order_relaxed); dropped > 0) {
    note = fmt::format(" ({} lines before this one were dropped: nobody read them)", dropped);
  }
  const std::string line = out.format == Format::kJson
                               ? json_line(level, out.process, component, message, note)
                               : text_line(level, out.process, component, message, note);
  out.logger.log(engine_level(level), spdlog::string_view_t(line));
}

}  // namespace ebb::log
