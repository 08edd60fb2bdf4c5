#include "apiserver/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace ebb::apiserver {
namespace {

constexpr std::string_view kTimePattern = "0000-00-00T00:00:00.000000Z";

bool is_time(std::string_view text) {
  if (text.size() != kTimePattern.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kTimePattern[i] == '0' ? !digit : text[i] != kTimePattern[i]) return false;
  }
  return true;
}

std::optional<LogLine> parse(std::string_view line) {
  if (line.size() <= kTimePattern.size() || line[kTimePattern.size()] != ' ') return std::nullopt;
  const auto time = line.substr(0, kTimePattern.size());
  line.remove_prefix(kTimePattern.size() + 1);
  const auto blank = line.find(' ');
  if (!is_time(time) || blank == 0 || blank == std::string_view::npos) return std::nullopt;
  return LogLine{std::string(time), std::string(line.substr(0, blank)),
                 std::string(line.substr(blank + 1))};
}

UniqueFd open_log(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
}

bool same_file(int fd, const UniqueFd& other) {
  struct stat a{};
  struct stat b{};
  return ::fstat(fd, &a) == 0 && ::fstat(other.get(), &b) == 0 && a.st_ino == b.st_ino &&
         a.st_dev == b.st_dev;
}

}  // namespace

LogReader::LogReader(const std::string& folder, const std::string& uid)
    : path_(folder + "/" + uid + ".log") {
  open_files();
}

void LogReader::open_files() {
  UniqueFd current = open_log(path_);
  UniqueFd older = open_log(path_ + ".1");
  if (older && current && same_file(older.get(), current)) {
    current = open_log(path_);  // it was renamed in between
  }
  if (older) files_.push_back({.fd = std::move(older)});
  if (current) files_.push_back({.fd = std::move(current)});
}

LogReader LogReader::twin() const {
  LogReader out(path_);
  for (const File& file : files_) {
    UniqueFd same(::fcntl(file.fd.get(), F_DUPFD_CLOEXEC, 0));
    if (same) out.files_.push_back({.fd = std::move(same), .at = 0, .end = file.end});
  }
  out.ended_ = ended_;
  return out;
}

void LogReader::end_here() {
  for (File& file : files_) {
    struct stat now{};
    const bool known = ::fstat(file.fd.get(), &now) == 0;
    file.end = known ? static_cast<uint64_t>(now.st_size) : 0;
  }
  ended_ = true;
}

bool LogReader::open_successor() {
  if (ended_) return false;
  UniqueFd current = open_log(path_);
  if (!current || (!files_.empty() && same_file(files_.back().fd.get(), current))) return false;
  files_.push_back({.fd = std::move(current)});
  return true;
}

bool LogReader::fill() {
  buffer_.erase(0, at_);
  at_ = 0;
  // A successor is found before the last look at its predecessor, so that nothing which
  // was written in between gets lost.
  for (bool looked = false;;) {
    if (files_.empty() && !open_successor()) return false;
    File& file = files_.front();
    const size_t piece = static_cast<size_t>(std::min<uint64_t>(kPiece, file.end - file.at));
    const size_t kept = buffer_.size();
    buffer_.resize(kept + piece);
    ssize_t n = -1;
    do {
      n = ::pread(file.fd.get(), buffer_.data() + kept, piece, static_cast<off_t>(file.at));
    } while (n < 0 && errno == EINTR);
    buffer_.resize(kept + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n > 0) {
      file.at += static_cast<uint64_t>(n);
      bytes_read_ += static_cast<uint64_t>(n);
      return true;
    }
    if (files_.size() > 1) {
      files_.pop_front();
      buffer_.clear();  // the last line of a file that is over has its end or never will
    } else if (std::exchange(looked, true) || !open_successor()) {
      return false;
    }
  }
}

std::optional<LogLine> LogReader::next() {
  for (;;) {
    const auto end = buffer_.find('\n', at_);
    if (end != std::string::npos) {
      auto line = parse(std::string_view(buffer_).substr(at_, std::min(end - at_, kMaxLogLine)));
      at_ = end + 1;
      if (line) return line;
      continue;
    }
    // A line without end: only its beginning is kept.
    if (buffer_.size() - at_ > kMaxLogLine) buffer_.resize(at_ + kMaxLogLine);
    if (!fill()) return std::nullopt;
  }
}

std::optional<LogLine> LogMerge::next() {
  Source* oldest = nullptr;
  for (auto& source : sources_) {
    if (!source.line) source.line = source.reader.next();
    if (source.line && (oldest == nullptr || source.line->time < oldest->line->time)) {
      oldest = &source;
    }
  }
  if (oldest == nullptr) return std::nullopt;
  return std::exchange(oldest->line, std::nullopt);
}

uint64_t LogMerge::bytes_read() const {
  uint64_t bytes = 0;
  for (const auto& source : sources_) bytes += source.reader.bytes_read();
  return bytes;
}

}  // namespace ebb::apiserver
