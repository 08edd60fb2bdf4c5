#include "net/io_error.h"

#include <cerrno>

namespace ebb::net {

const char* to_string(IoError error) {
  switch (error) {
    case IoError::kTimeout:
      return "timeout";
    case IoError::kClosed:
      return "closed by the peer";
    case IoError::kRefused:
      return "connection refused";
    case IoError::kCanceled:
      return "canceled";
    case IoError::kExhausted:
      return "out of resources";
    case IoError::kOther:
      return "input/output error";
  }
  return "unknown";
}

IoError io_error_from_errno(int err) {
  switch (err) {
    case ETIMEDOUT:
      return IoError::kTimeout;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
    case ESHUTDOWN:
      return IoError::kClosed;
    case ECONNREFUSED:
    case ENOENT:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return IoError::kRefused;
    case ECANCELED:
      return IoError::kCanceled;
    case EAGAIN:  // a Unix socket's backlog, or no free port
    case EADDRNOTAVAIL:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC:  // epoll watches
      return IoError::kExhausted;
    default:
      return IoError::kOther;
  }
}

}  // namespace ebb::net
