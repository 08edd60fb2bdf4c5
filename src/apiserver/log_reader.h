// Reads what the Local Controller logs: for each revision a file UID.log and, older,
// UID.log.1, with lines "2026-01-31T12:00:00.000000Z POD TEXT\n". Blocking, in small
// pieces; used by the log endpoint.
//
//   LogMerge merge;
//   merge.add(LogReader(folder, uid));
//   while (auto line = merge.next()) use(*line);   // oldest first
//   ...                                            // and again, when the files have grown
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace ebb::apiserver {

inline constexpr size_t kMaxLogLine = 64 * 1024;  // bytes of a line; longer ones are cut

struct LogLine {
  std::string time;  // RFC 3339 with six digits of a second: compares as text
  std::string pod;
  std::string text;
};

// One revision's log. Follows the file when it is replaced by a new one.
class LogReader final {
 public:
  static constexpr size_t kPiece = 64 * 1024;

  LogReader(const std::string& folder, const std::string& uid);
  LogReader(LogReader&&) = default;
  LogReader& operator=(LogReader&&) = default;

  // The same files from their beginnings, also where they have been replaced since.
  // Before anything has been read.
  [[nodiscard]] LogReader twin() const;
  // What is written from now on is not read. Before anything has been read.
  void end_here();

  // The next whole line; nullopt if there is none so far. Lines that are none are left
  // out.
  [[nodiscard]] std::optional<LogLine> next();
  // Bytes read so far.
  [[nodiscard]] uint64_t bytes_read() const { return bytes_read_; }

 private:
  // Read with offsets of its own: twins share the descriptors' offsets.
  struct File {
    UniqueFd fd;
    uint64_t at = 0;
    uint64_t end = UINT64_MAX;
  };

  explicit LogReader(std::string path) : path_(std::move(path)) {}
  void open_files();
  // False at the end of all files.
  [[nodiscard]] bool fill();
  [[nodiscard]] bool open_successor();

  std::string path_;
  std::deque<File> files_;  // that being read first, then newer ones
  bool ended_ = false;      // end_here() was called
  std::string buffer_;
  size_t at_ = 0;  // in buffer_
  uint64_t bytes_read_ = 0;
};

// Several logs in the order of time.
class LogMerge final {
 public:
  void add(LogReader reader) { sources_.push_back({std::move(reader), std::nullopt}); }
  [[nodiscard]] std::optional<LogLine> next();
  [[nodiscard]] uint64_t bytes_read() const;

 private:
  struct Source {
    LogReader reader;
    std::optional<LogLine> line;
  };
  std::vector<Source> sources_;
};

}  // namespace ebb::apiserver
