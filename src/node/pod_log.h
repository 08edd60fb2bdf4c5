// Logs of pods on disk: one file for each revision, DATA/logs/UID.log, with lines
//
//   2026-01-01T12:00:00.000000Z python-1f3c9a20 text
//
// Belongs to the Local Controller's only thread. The folder belongs to the front,
// which is trusted less: what lies there may be anything.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace ebb::node {

inline constexpr size_t kMaxLogLine = 16 * 1024;  // bytes of text; longer lines go on in the next
inline constexpr uint64_t kMaxLogFile = 4ull << 20;  // then it becomes .log.1

// How much one pod may print: bytes a second, and at once after a silence. A pod that
// prints more waits in its write().
inline constexpr double kLogBytesPerSecond = 1 << 20;
inline constexpr double kLogBurst = 1 << 20;
// And all pods of a node together.
inline constexpr double kNodeLogBytesPerSecond = 16 << 20;

// Cuts a byte stream into lines. Value type.
class LineCutter {
 public:
  // Appends to `out` each line that `piece` completes, behind `prefix`.
  void feed(std::string_view piece, std::string_view prefix, std::string& out);
  // What has not ended with a line break, as a line.
  void finish(std::string_view prefix, std::string& out);

 private:
  void put(std::string_view text, std::string_view prefix, std::string& out);
  std::string begun_;  // of a line; at most kMaxLogLine bytes
};

// Lets `rate` units a second through, and `burst` at once. Value type, pure.
class TokenBucket {
 public:
  TokenBucket(double rate, double burst) : rate_(rate), burst_(burst), tokens_(burst) {}
  // May go below zero: then wait() says until when nothing may be taken.
  void take(double amount, TimePoint now);
  // How long until something may be taken again; zero if it may now.
  [[nodiscard]] Duration wait(TimePoint now);

 private:
  void refill(TimePoint now);
  double rate_;
  double burst_;
  double tokens_;
  TimePoint at_{};
};

// "2026-01-01T12:00:00.000000Z POD "
[[nodiscard]] std::string log_prefix(WallTime time, std::string_view pod);

class LogFolder final {
 public:
  // `folder` is the open logs folder; its files are made for `owner`.
  LogFolder(UniqueFd folder, uid_t owner) : folder_(std::move(folder)), owner_(owner) {}
  LogFolder(const LogFolder&) = delete;
  LogFolder& operator=(const LogFolder&) = delete;

  // Appends whole lines to the revision's file. What cannot be written is dropped and
  // counted; the first drop is told in Ebb's own log, and the count when it ends.
  void append(const std::string& revision, std::string_view lines);
  [[nodiscard]] uint64_t dropped() const { return dropped_; }
  // What all pods together may print.
  [[nodiscard]] TokenBucket& budget() { return budget_; }

 private:
  Result<UniqueFd> open_file(const std::string& name, uint64_t& size);
  Result<void> write_lines(const std::string& revision, std::string_view lines);

  UniqueFd folder_;
  uid_t owner_;
  TokenBucket budget_{kNodeLogBytesPerSecond, kNodeLogBytesPerSecond};
  uint64_t dropped_ = 0;  // lines since the last that could be written
};

}  // namespace ebb::node
