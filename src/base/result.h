// The value or error that every fallible operation of Ebb returns.
//
// `Error` carries a message that a user can act on. The request path uses
// smaller error enums of its own (see net/io_error.h): Result<T, IoError>.
//
//   Result<Config> load(...);
//   auto config = load(...);
//   if (!config) return fail(config.error());
#pragma once

#include <fmt/core.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace ebb {

// What kind of failure it was: decides the HTTP status and whether a retry can
// help. The message says the rest.
enum class Errc {
  kInvalid,        // the caller's input is wrong; the same call fails again
  kNotFound,       // the named thing does not exist
  kAlreadyExists,  // create of something that exists
  kConflict,       // compare-and-swap lost: read again and retry
  kPermission,     // rights are missing
  kTimeout,        // the deadline passed
  kUnavailable,    // not now (peer down, still starting); may work later
  kExhausted,      // a named bound was reached
  kCanceled,       // the caller or a shutdown ended it
  kGone,           // history compacted: list again
  kInternal,       // a bug or a broken machine
};

struct Error {
  Errc code = Errc::kInternal;
  std::string message;
};

template <class T, class E = Error>
using Result = tl::expected<T, E>;

// Makes the error side of any Result.
template <class E>
[[nodiscard]] auto fail(E error) {
  return tl::unexpected<E>(std::move(error));
}

// Makes an Error with a formatted message.
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(Errc code, fmt::format_string<Args...> format,
                                         Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

// Like `fail`, with the text and number of `errno` value `err` at the end.
[[nodiscard]] tl::unexpected<Error> fail_errno(int err, std::string what);

// "kNotFound" -> "not found", for logs and messages.
[[nodiscard]] const char* to_string(Errc code);

}  // namespace ebb
