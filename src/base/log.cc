#include "base/log.h"

#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>

namespace ebb::log {
namespace {

// Bytes; the rest of a longer one is cut off. With what stands before it, no more than
// a pipe takes at once.
constexpr size_t kMaxMessage = 3 * 1024;
constexpr size_t kMaxLine = 4000;

struct Output {
  std::atomic<Level> level{Level::kInfo};
  std::atomic<size_t> dropped{0};  // lines, since the last one written
  std::string prefix;              // "front/", or nothing
  spdlog::logger logger{"ebb", std::make_shared<spdlog::sinks::stderr_sink_mt>()};

  Output() {
    logger.set_level(spdlog::level::trace);  // `level` decides
    logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "%Y-%m-%dT%H:%M:%S.%eZ %v", spdlog::pattern_time_type::utc));
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

// Control characters would break the line, or the terminal that shows it.
void append_escaped(std::string& out, std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      out += "\\x";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
}

}  // namespace

void init(std::string_view process, Level level) {
  Output& out = output();
  out.prefix = process.empty() ? std::string() : std::string(process) + "/";
  out.level.store(level, std::memory_order_relaxed);
}

bool enabled(Level level) { return level >= output().level.load(std::memory_order_relaxed); }

void set_level(Level level) { output().level.store(level, std::memory_order_relaxed); }

void write(Level level, std::string_view component, std::string_view message) {
  if (!enabled(level)) return;
  Output& out = output();
  std::string line;
  line.reserve(32 + component.size() + message.size());
  line += name(level);
  line += ' ';
  line += out.prefix;
  line += component;
  line += ": ";
  append_escaped(line, message.substr(0, kMaxMessage));
  if (message.size() > kMaxMessage || line.size() > kMaxLine) {
    line.resize(std::min(line.size(), kMaxLine));
    line += "...";
  }
  // A pipe that nobody reads, or a stopped terminal, must not stop the program.
  pollfd standard_error = {.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (::poll(&standard_error, 1, 0) == 0) {
    out.dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (const auto dropped = out.dropped.exchange(0, std::memory_order_relaxed); dropped > 0) {
    line += fmt::format(" ({} lines before this one were dropped: nobody read them)", dropped);
  }
  out.logger.log(engine_level(level), spdlog::string_view_t(line));
}

}  // namespace ebb::log
