#include "serving/access_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/log.h"

namespace ebb::serving {
namespace {

UniqueFd open_file(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640));
}

// What a client sent is untrusted bytes: anything but printable ASCII is escaped, so
// that a line is one line and valid JSON whatever came. Bytes above 127 are written as
// if they were Latin-1.
void append_json(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte > 0x7e) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  out += '"';
}

void add_text(std::string& out, std::string_view name, std::string_view text) {
  out.append(",\"").append(name).append("\":");
  append_json(out, text);
}

void add_number(std::string& out, std::string_view name, int64_t value) {
  fmt::format_to(std::back_inserter(out), ",\"{}\":{}", name, value);
}

int64_t microseconds(Duration d) {
  return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
}

// "2026-11-24T02:18:09.123456Z"
void append_time(std::string& out, WallTime time) {
  const auto us = std::chrono::floor<std::chrono::microseconds>(time);
  const auto s = std::chrono::floor<std::chrono::seconds>(us);
  const std::time_t whole = std::chrono::system_clock::to_time_t(s);
  std::tm utc{};
  gmtime_r(&whole, &utc);
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
                 utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                 utc.tm_sec, (us - s).count());
}

}  // namespace

std::string access_line(const RequestRecord& record, const http::RequestHead& request,
                        const net::Address& client, TimePoint now, WallTime wall) {
  std::string out;
  out.reserve(512);
  out += "{\"time\":\"";
  append_time(out, wall - std::chrono::duration_cast<WallTime::duration>(now - record.received_at));
  out += '"';
  add_text(out, "id", record.id);
  add_text(out, "client", client.host);
  if (record.route) {
    add_text(out, "namespace", record.route->ns);
    add_text(out, "service", record.route->name);
  }
  if (record.backend != nullptr) add_text(out, "revision", record.backend->name);
  if (record.pod) add_text(out, "pod", record.pod->pod());
  add_text(out, "host", request.authority);
  add_text(out, "method", request.method);
  add_text(out, "path", request.target.substr(0, AccessLog::kMaxPath));
  add_number(out, "status", record.status);
  add_number(out, "bytes_in", static_cast<int64_t>(record.bytes_in));
  add_number(out, "bytes_out", static_cast<int64_t>(record.bytes_out));
  add_number(out, "duration_us", microseconds(record.ended_at - record.received_at));
  add_number(out, "queue_us", microseconds(record.waited));
  out.append(",\"cold\":").append(record.cold ? "true" : "false");
  if (record.secure) out += ",\"tls\":true";
  if (record.retries() > 0) add_number(out, "retries", record.retries());
  if (record.upgraded) out += ",\"upgraded\":true";
  if (record.cut) add_text(out, "cut", to_string(*record.cut));
  if (record.refused) add_text(out, "refused", to_string(*record.refused));
  out += "}\n";
  return out;
}

Result<std::unique_ptr<AccessLog>> AccessLog::open(std::string path) {
  UniqueFd file = open_file(path);
  if (!file) return fail_errno(errno, "cannot open the access log " + path);
  return std::unique_ptr<AccessLog>(new AccessLog(std::move(path), std::move(file)));
}

AccessLog::~AccessLog() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void AccessLog::start() {
  thread_ = std::thread([this] { run(); });
}

void AccessLog::write(std::string_view line) {
  bool half_full = false;
  {
    const std::lock_guard lock(mutex_);
    if (lines_.size() + line.size() > kBuffer) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    half_full = lines_.size() < kBuffer / 2 && lines_.size() + line.size() >= kBuffer / 2;
    lines_.append(line);
  }
  // Else it is found at the writer's next look: a system call for each line would cost
  // more than the line.
  if (half_full) wake_.notify_one();
}

void AccessLog::reopen() {
  {
    const std::lock_guard lock(mutex_);
    reopen_ = true;
  }
  wake_.notify_one();
}

void AccessLog::run() {
  std::string lines;
  for (;;) {
    bool anew = false;
    bool last = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kDelay,
                     [this] { return stop_ || reopen_ || lines_.size() >= kBuffer / 2; });
      lines.swap(lines_);
      anew = std::exchange(reopen_, false);
      last = stop_;
    }
    // What was logged before a rotation belongs to the old file.
    if (!lines.empty()) flush(lines);
    lines.clear();
    if (anew) open_anew();
    if (last) return;
  }
}

void AccessLog::flush(const std::string& lines) {
  std::string_view left = lines;
  while (!left.empty()) {
    const ssize_t n = ::write(file_.get(), left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const auto lost = static_cast<uint64_t>(std::count(left.begin(), left.end(), '\n'));
      dropped_.fetch_add(lost, std::memory_order_relaxed);
      if (!std::exchange(failing_, true)) {
        log::error("access-log", "cannot write {}: {}; requests go on without it", path_,
                   strerrordesc_np(errno));
      }
      return;
    }
    left.remove_prefix(static_cast<size_t>(n));
  }
  failing_ = false;
}

void AccessLog::open_anew() {
  UniqueFd file = open_file(path_);
  if (!file) {
    log::error("access-log", "cannot open {} anew: {}; going on with the old file", path_,
               strerrordesc_np(errno));
    return;
  }
  file_ = std::move(file);
}

}  // namespace ebb::serving
