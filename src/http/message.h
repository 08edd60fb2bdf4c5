// HTTP messages as values: what the codecs produce and the request path passes on.
// HTTP/1.1 and HTTP/2 fill the same types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/block_cache.h"

namespace ebb::http {

// One header field. Views point into the buffer of the connection that read it.
struct Field {
  std::string_view name;
  std::string_view value;
};

// Header fields in the order received. Names compare without case.
class Fields final {
 public:
  void add(std::string_view name, std::string_view value) { fields_.push_back({name, value}); }
  void clear() { fields_.clear(); }
  void reserve(size_t fields) { fields_.reserve(fields); }
  [[nodiscard]] std::optional<std::string_view> get(std::string_view name) const;  // the first
  [[nodiscard]] size_t count(std::string_view name) const;
  // True if any field `name` has `token` in its comma-separated list, without case.
  [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const;
  [[nodiscard]] auto begin() const { return fields_.begin(); }
  [[nodiscard]] auto end() const { return fields_.end(); }
  [[nodiscard]] size_t size() const { return fields_.size(); }

 private:
  std::vector<Field, net::Recycled<Field>> fields_;
};

// How long a body is, from RFC 9112 section 6.3.
struct BodyLength {
  enum class Kind { kNone, kSized, kChunked, kUntilClose };
  Kind kind = Kind::kNone;
  uint64_t size = 0;  // kSized only
  // kSized only: fields may follow all the same, as they may in HTTP/2. So the last byte is
  // not the end.
  bool trailers = false;

  [[nodiscard]] static BodyLength none() { return {}; }
  [[nodiscard]] static BodyLength sized(uint64_t bytes, bool trailers = false) {
    return {Kind::kSized, bytes, trailers};
  }
  [[nodiscard]] static BodyLength chunked() { return {Kind::kChunked, 0}; }
  [[nodiscard]] static BodyLength until_close() { return {Kind::kUntilClose, 0}; }
  // Known to be.
  [[nodiscard]] bool is_empty() const {
    return kind == Kind::kNone || (kind == Kind::kSized && size == 0);
  }
  friend bool operator==(const BodyLength&, const BodyLength&) = default;
};

// The views stay valid until the next head is read from the same connection.
struct RequestHead {
  std::string_view method;
  std::string_view target;     // as received: origin-form, absolute-form or "*"
  std::string_view authority;  // the Host field, or the absolute-form's (they agree); see uri.h
  int minor_version = 1;
  Fields fields;
  BodyLength body;
  bool keep_alive = true;
  bool expects_continue = false;
  bool upgrade = false;  // Connection: upgrade with an Upgrade field
};

struct ResponseHead {
  int status = 200;
  std::string_view reason;  // may be empty: the standard phrase is used
  int minor_version = 1;
  Fields fields;
  BodyLength body;
  bool keep_alive = true;

  // Another head follows (RFC 9110 15.2); 101 is the last.
  [[nodiscard]] bool is_interim() const { return status < 200 && status != 101; }
};

// True for fields that concern one connection only and are never forwarded
// (RFC 9110 7.6.1), apart from those that a Connection field names.
[[nodiscard]] bool is_hop_by_hop(std::string_view name);
// True for fields that may stand behind a body (RFC 9110 6.5.1): none of framing, routing,
// authority or the kind of content.
[[nodiscard]] bool may_be_trailer(std::string_view name);
[[nodiscard]] bool iequals_of_one_size(std::string_view a, std::string_view b);
[[nodiscard]] inline bool iequals(std::string_view a, std::string_view b) {
  return a.size() == b.size() && iequals_of_one_size(a, b);
}
// True if the comma-separated `list` has `token`, without case.
[[nodiscard]] bool list_has_token(std::string_view list, std::string_view token);
// "Not Found" for 404; "Unknown" for a number without a standard phrase.
[[nodiscard]] std::string_view reason_phrase(int status);

// Bounds on what one peer may send in a head.
struct HeadLimits {
  size_t bytes = 32 * 1024;  // request or status line and all fields
  size_t fields = 128;
};

// What went wrong while reading or writing a message.
enum class HttpError {
  kClosed,        // the peer closed between messages: the normal end
  kTruncated,     // the peer closed inside a message
  kTimeout,       // 408
  kMalformed,     // not HTTP, or refused as a smuggling risk: 400
  kHeadTooLarge,  // 431
  kBodyTooLarge,  // 413
  kUnsupported,   // 501: a method or transfer coding that is not spoken
  kVersion,       // 505: HTTP, but neither 1.0 nor 1.1
  kIo,
};
[[nodiscard]] const char* to_string(HttpError error);
// The status that answers a request with this fault; 500 where none is the client's.
[[nodiscard]] int status_of(HttpError error);

template <class T>
using HttpResult = Result<T, HttpError>;

}  // namespace ebb::http
