#include "node/pod_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>

#include "base/log.h"
#include "node/messages.h"

namespace ebb::node {

void LineCutter::put(std::string_view text, std::string_view prefix, std::string& out) {
  if (text.ends_with('\r')) text.remove_suffix(1);
  out += prefix;
  out += text;
  out += '\n';
}

void LineCutter::feed(std::string_view piece, std::string_view prefix, std::string& out) {
  while (!piece.empty()) {
    const size_t end = piece.find('\n');
    const size_t room = kMaxLogLine - begun_.size();
    const size_t take = std::min({end == std::string_view::npos ? piece.size() : end, room});
    if (begun_.empty() && take == end) {
      put(piece.substr(0, take), prefix, out);
    } else {
      begun_.append(piece.substr(0, take));
      const bool whole = take == end || begun_.size() == kMaxLogLine;
      if (whole) finish(prefix, out);
    }
    piece.remove_prefix(take == end ? take + 1 : take);
  }
}

void LineCutter::finish(std::string_view prefix, std::string& out) {
  if (begun_.empty()) return;
  put(begun_, prefix, out);
  begun_.clear();
}

void TokenBucket::refill(TimePoint now) {
  const double seconds = std::chrono::duration<double>(now - at_).count();
  tokens_ = at_ == TimePoint{} ? burst_ : std::min(burst_, tokens_ + seconds * rate_);
  at_ = now;
}

void TokenBucket::take(double amount, TimePoint now) {
  refill(now);
  tokens_ -= amount;
}

Duration TokenBucket::wait(TimePoint now) {
  refill(now);
  if (tokens_ > 0) return Duration::zero();
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(-tokens_ / rate_));
}

std::string log_prefix(WallTime time, std::string_view pod) {
  using std::chrono::microseconds;
  const auto since = std::chrono::duration_cast<microseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = since / 1'000'000;
  std::tm utc = {};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z {} ", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     since % 1'000'000, pod);
}

Result<UniqueFd> LogFolder::open_file(const std::string& name, uint64_t& size) {
  // Not blocking: somebody may have put a pipe there.
  UniqueFd fd(::openat(folder_.get(), name.c_str(),
                       O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  struct stat info = {};
  if (!fd || ::fstat(fd.get(), &info) != 0) return fail_errno(errno, "cannot open the log " + name);
  // Neither another file by a second name, nor no file at all.
  if (!S_ISREG(info.st_mode) || info.st_nlink != 1) {
    return fail(Errc::kInvalid, "the log {} is not a plain file of its own", name);
  }
  if (info.st_uid != owner_ && ::fchown(fd.get(), owner_, owner_) != 0) {
    return fail_errno(errno, "cannot give away the log " + name);
  }
  size = static_cast<uint64_t>(info.st_size);
  return fd;
}

Result<void> LogFolder::write_lines(const std::string& revision, std::string_view lines) {
  const std::string name = revision + ".log";
  uint64_t size = 0;
  auto file = open_file(name, size);
  if (!file) return fail(file.error());
  if (size > 0 && size + lines.size() > kMaxLogFile) {
    const std::string old = name + ".1";
    if (::renameat(folder_.get(), name.c_str(), folder_.get(), old.c_str()) != 0) {
      return fail_errno(errno, "cannot move the log " + name + " aside");
    }
    file = open_file(name, size);
    if (!file) return fail(file.error());
  }
  const ssize_t n = ::write(file->get(), lines.data(), lines.size());
  if (n == static_cast<ssize_t>(lines.size())) return {};
  const int error = n < 0 ? errno : ENOSPC;
  static_cast<void>(!::ftruncate(file->get(), static_cast<off_t>(size)));  // no half lines
  return fail_errno(error, "cannot write the log " + name);
}

void LogFolder::append(const std::string& revision, std::string_view lines) {
  if (lines.empty() || !is_safe_name(revision)) return;
  const auto written = write_lines(revision, lines);
  if (written) {
    if (dropped_ > 0) log::warn("logs", "{} lines of pods' logs were dropped", dropped_);
    dropped_ = 0;
    return;
  }
  if (dropped_ == 0) log::error("logs", "pods' logs are dropped: {}", written.error().message);
  dropped_ += static_cast<uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
}

}  // namespace ebb::node
