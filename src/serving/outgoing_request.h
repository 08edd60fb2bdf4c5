// A request as pods get it: without what concerns one connection, with what the gateway says
// of it.
#pragma once

#include <string_view>

#include "http/server.h"
#include "net/block_cache.h"
#include "net/task.h"
#include "serving/request_record.h"

namespace ebb::serving {

// What a function may trust to be ours, such as X-Forwarded-For, by whatever spelling.
[[nodiscard]] bool is_ours(std::string_view name);

// What goes on of the fields behind a body, in either direction.
[[nodiscard]] http::Fields passed_on(const http::Fields& trailers);

// A request as pods get it; it may be sent to one after another as long as its body has
// not been passed on. Belongs to the coroutine that serves the request.
class OutgoingRequest final {
 public:
  OutgoingRequest(http::Exchange& exchange, RequestRecord& record);
  OutgoingRequest(const OutgoingRequest&) = delete;
  OutgoingRequest& operator=(const OutgoingRequest&) = delete;

  [[nodiscard]] http::Exchange& exchange() const { return exchange_; }
  [[nodiscard]] const http::RequestHead& head() const { return exchange_.request(); }
  [[nodiscard]] RequestRecord& record() const { return record_; }
  // What the pod gets.
  [[nodiscard]] const http::Fields& fields() const { return fields_; }
  // The client asks for another protocol, such as WebSocket.
  [[nodiscard]] bool upgrade() const { return upgrade_; }

  // True while read_first() is due: there is a body of which nothing was read.
  [[nodiscard]] bool has_unread_body() const {
    return !first_read_ && head().body.kind != http::BodyLength::Kind::kNone;
  }
  // Reads the first piece of the body, once.
  [[nodiscard]] net::Task<http::HttpResult<void>> read_first();
  // Instead: the head goes alone.
  void skip_first() {
    first_read_ = true;
    whole_ = false;
  }
  [[nodiscard]] std::string_view first() const { return first_; }
  // The first piece is all of it.
  [[nodiscard]] bool whole() const { return whole_; }
  // An upper bound for the bytes of head and first piece on the wire.
  [[nodiscard]] size_t wire_size() const {
    return head().method.size() + head().target.size() + 64 + fields_size_ + first_.size();
  }
  // What was read of the body is gone: it cannot be sent again.
  void body_passed_on() { passed_on_ = true; }
  [[nodiscard]] bool replayable() const { return !passed_on_; }
  // Sending it twice has the effect of sending it once (RFC 9110 9.2.2).
  [[nodiscard]] bool idempotent() const;

 private:
  void fill_fields();
  void append_forwarded();
  void add(std::string_view name, std::string_view value) {
    fields_.add(name, value);
    fields_size_ += name.size() + value.size() + 4;
  }

  http::Exchange& exchange_;
  RequestRecord& record_;
  http::Fields fields_;
  size_t fields_size_ = 0;
  net::RecycledString forwarded_for_;
  net::RecycledString forwarded_;
  bool upgrade_ = false;
  bool first_read_ = false;
  bool whole_ = true;
  bool passed_on_ = false;
  std::string_view first_;
};

}  // namespace ebb::serving
