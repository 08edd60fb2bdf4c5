#include <boost/asio/error.hpp>
#include <cstring>

#include "base/log.h"
#include "net/asio_impl.h"

namespace ebb::net {

Direction::Direction() {
  // Armed only while the owner lives and the operation is under way.
  deadline.fire = [this] {
    timed_out = true;
    cancel.emit(asio::cancellation_type::terminal);
  };
}

void Direction::begin(Executor& executor, std::coroutine_handle<> who, TimePoint until) {
  waiter = who;
  timed_out = false;
  if (until != kNever) executor.impl().arm(deadline, until);
}

void Direction::complete(const error_code& ec, size_t bytes) {
  error = ec;
  transferred = bytes;
  if (!waiter) return;
  if (!ec && ready && !ready(context)) return;
  deadline.disarm();
  std::exchange(waiter, nullptr).resume();
}

void Direction::abandon() {
  waiter = nullptr;
  deadline.disarm();
}

IoError Direction::failure(const char* what) const {
  if (error == asio::error::operation_aborted) {
    return timed_out ? IoError::kTimeout : IoError::kCanceled;
  }
  return socket_failure(error.value(), what);
}

IoError socket_failure(int err, const char* what) {
  const IoError error = io_error_from_errno(err);
  if (error == IoError::kOther) {
    const char* text = strerrordesc_np(err);
    log::warn("net", "{}: {} (errno {})", what, text ? text : "unknown error", err);
  }
  return error;
}

}  // namespace ebb::net
