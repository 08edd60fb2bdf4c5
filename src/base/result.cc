#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace ebb {
namespace {

Errc errc_from_errno(int err) {
  switch (err) {
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
      return Errc::kInvalid;
    case ENOENT:
    case ESRCH:
      return Errc::kNotFound;
    case EEXIST:
    case EADDRINUSE:
      return Errc::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return Errc::kPermission;
    case ETIMEDOUT:
      return Errc::kTimeout;
    case EAGAIN:
    case EBUSY:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return Errc::kUnavailable;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Errc::kExhausted;
    case ECANCELED:
      return Errc::kCanceled;
    default:
      return Errc::kInternal;
  }
}

}  // namespace

tl::unexpected<Error> fail_errno(int err, std::string what) {
  const char* text = strerrordesc_np(err);  // thread-safe, unlike strerror
  return fail(errc_from_errno(err), "{}: {} (errno {})", what, text ? text : "unknown error", err);
}

const char* to_string(Errc code) {
  switch (code) {
    case Errc::kInvalid:
      return "invalid";
    case Errc::kNotFound:
      return "not found";
    case Errc::kAlreadyExists:
      return "already exists";
    case Errc::kConflict:
      return "conflict";
    case Errc::kPermission:
      return "permission";
    case Errc::kTimeout:
      return "timeout";
    case Errc::kUnavailable:
      return "unavailable";
    case Errc::kExhausted:
      return "exhausted";
    case Errc::kCanceled:
      return "canceled";
    case Errc::kGone:
      return "gone";
    case Errc::kInternal:
      return "internal";
  }
  return "unknown";
}

}  // namespace ebb
