// One JSON line for each request, written by a thread of its own (docs/access-log.md).
//
// Thread-safe. `write` never waits for the disk: lines are put into a bounded buffer,
// and what does not fit is dropped and counted.
//
//   auto log = AccessLog::open("/var/log/ebb/access.log");
//   if (!log) return fail(log.error());
//   (*log)->start();
//   (*log)->write(access_line(record, head, client, now, wall));
//   (*log)->reopen();    // after the file was renamed by a rotation
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/message.h"
#include "net/address.h"
#include "serving/request_record.h"

namespace ebb::serving {

class AccessLog final {
 public:
  static constexpr size_t kBuffer = 4u << 20;  // bytes that wait for the disk
  static constexpr size_t kMaxPath = 1024;     // bytes of a target that are logged
  // How long a line may wait in the buffer.
  static constexpr Duration kDelay = std::chrono::milliseconds(100);

  // Appends to the file, which is made with mode 0640. The thread that writes to it
  // starts with start(): open() may come before a fork or a change of user.
  [[nodiscard]] static Result<std::unique_ptr<AccessLog>> open(std::string path);
  ~AccessLog();  // writes what is left
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // Due once: what is written before it waits for it, and is lost without.
  void start();
  // A line with its end.
  void write(std::string_view line);
  // Opens its path anew before the next write. If that fails (logged), goes on with the
  // old file.
  void reopen();
  // Lines that were not written, for want of room or because the disk refused them.
  [[nodiscard]] uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  AccessLog(std::string path, UniqueFd file) : path_(std::move(path)), file_(std::move(file)) {}
  void run();
  void flush(const std::string& lines);
  void open_anew();

  const std::string path_;
  UniqueFd file_;         // the writing thread's, once it runs
  bool failing_ = false;  // likewise: has been logged
  std::atomic<uint64_t> dropped_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string lines_;
  bool reopen_ = false;
  bool stop_ = false;
  std::thread thread_;
};

// The line for a request, with its line end. `now` and `wall` are the same moment.
[[nodiscard]] std::string access_line(const RequestRecord& record, const http::RequestHead& request,
                                      const net::Address& client, TimePoint now, WallTime wall);

}  // namespace ebb::serving
