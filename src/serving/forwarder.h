// Passes one request to the pod that it holds a slot of, and the answer back.
// Bodies stream both ways with back-pressure and at bounded memory.
//
//   OutgoingRequest request(exchange, record);
//   const auto outcome = co_await forward(request, connections, throttler, std::move(slot),
//                                         options);
//   if (outcome == Forwarded::kUnreached) ...   // nothing reached its code: try another
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/server.h"
#include "net/task.h"
#include "serving/metrics.h"
#include "serving/pod_connections.h"
#include "serving/request_record.h"
#include "serving/throttler.h"

namespace ebb::serving {

// What a function may trust to be ours, such as X-Forwarded-For, by whatever spelling.
[[nodiscard]] bool is_ours(std::string_view name);

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

enum class ServerTiming {
  kOff,
  kCold,  // on answers that waited for a pod's start
  kAll,
};

struct ForwardOptions {
  std::string_view function;  // "hello", for messages
  TimePoint deadline;         // of the whole request
  Duration timeout{};         // which that came from, for messages
  Duration response_start{};  // the pod's time for the first byte
  Duration idle{};            // longest silence of the pod; 0: none
  uint64_t max_body = 0;      // that the server takes, for messages
  Duration tunnel_grace{};    // for an upgraded connection whose pod drains
  bool may_replay = true;     // it was not sent a second time yet
  ServerTiming timing = ServerTiming::kCold;
  GatewayCounters* counters = nullptr;
};

enum class Forwarded {
  kAnswered,   // by the pod or by an error answer
  kUnreached,  // the pod's socket refused, or it ended with its node while it was loading
  kReplay,     // the connection broke, and the request may be sent again
};

// `slot` is held until the answer has been sent. The rest must outlive the task.
[[nodiscard]] net::Task<Forwarded> forward(OutgoingRequest& request, PodConnections& connections,
                                           const std::shared_ptr<Throttler>& throttler, Slot slot,
                                           const ForwardOptions& options);

}  // namespace ebb::serving
