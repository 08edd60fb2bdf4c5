// What can go wrong on a stream. Small, because the request path returns it.
#pragma once

#include "base/result.h"

namespace ebb::net {

enum class IoError {
  kTimeout,    // the deadline passed; the stream is unusable for that direction
  kClosed,     // the peer closed or reset
  kRefused,    // nobody listens there
  kCanceled,   // closed on this side
  kExhausted,  // out of descriptors, memory or ports: try later
  kOther,      // see the log
};

[[nodiscard]] const char* to_string(IoError error);
[[nodiscard]] IoError io_error_from_errno(int err);

template <class T>
using IoResult = Result<T, IoError>;

}  // namespace ebb::net
