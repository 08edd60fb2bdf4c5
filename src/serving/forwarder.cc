#include "serving/forwarder.h"

#include <algorithm>

#include "base/random.h"
#include "net/listener.h"
#include "net/one_shot.h"
#include "serving/refusal.h"

namespace ebb::serving {
namespace {

// A Unix socket connects at once or not at all; this bounds a full backlog.
constexpr Duration kConnectTimeout = std::chrono::seconds(5);
// How long the Local Controller may take to say why a pod broke its connection.
constexpr Duration kExitReportTimeout = std::chrono::seconds(2);

TimePoint earlier(TimePoint deadline, Duration from_now) {
  return std::min(deadline, std::chrono::steady_clock::now() + from_now);
}

// The request's fields as the pod gets them. Views into the client's head, and into
// `added`, which must not move.
struct PodHead {
  http::Fields fields;
  std::string forwarded_for;
  std::string request_id;
};

bool is_dropped(const http::RequestHead& head, std::string_view name) {
  return http::is_hop_by_hop(name) || http::iequals(name, "expect") ||
         http::iequals(name, "x-forwarded-for") || http::iequals(name, "x-forwarded-proto") ||
         http::iequals(name, "x-request-id") || head.fields.has_token("connection", name);
}

void fill_pod_head(const http::Exchange& exchange, PodHead& out) {
  const http::RequestHead& head = exchange.request();
  for (const auto& field : head.fields) {
    if (!is_dropped(head, field.name)) out.fields.add(field.name, field.value);
  }
  if (!head.fields.get("host")) out.fields.add("host", head.authority);
  for (const auto& field : head.fields) {
    if (http::iequals(field.name, "x-forwarded-for")) {
      out.forwarded_for += std::string(field.value) + ", ";
    }
  }
  out.forwarded_for += exchange.client().host;
  out.fields.add("x-forwarded-for", out.forwarded_for);
  out.fields.add("x-forwarded-proto", "http");
  out.request_id = head.fields.get("x-request-id").value_or("");
  thread_local RandomNames names;
  if (out.request_id.empty()) out.request_id = names.hex(8);
  out.fields.add("x-request-id", out.request_id);
}

// One request on its way to one pod.
class Forwarding final {
 public:
  Forwarding(http::Exchange& exchange, PodConnections& connections,
             std::shared_ptr<Throttler> throttler, Slot slot, ForwardOptions options)
      : exchange_(exchange),
        connections_(connections),
        executor_(exchange.executor()),
        throttler_(std::move(throttler)),
        slot_(std::move(slot)),
        options_(std::move(options)) {}

  net::Task<Forwarded> run();

 private:
  net::Task<bool> connect();
  net::Task<bool> send_request();
  net::Task<void> upload(net::OneShot<bool>::Sender done);
  net::Task<void> answer();
  net::Task<void> pass_body();
  net::Task<void> explain(http::HttpError error);

  http::Exchange& exchange_;
  PodConnections& connections_;
  net::Executor& executor_;
  std::shared_ptr<Throttler> throttler_;  // shared: see Slot
  Slot slot_;
  ForwardOptions options_;
  std::unique_ptr<http::ClientConnection> connection_;
  PodHead head_;
  bool client_failed_ = false;  // while its body was read: the server answers for it
  bool keep_ = false;           // the connection ended well
  std::optional<net::OneShot<bool>::Receiver> uploading_;
};

net::Task<Forwarded> Forwarding::run() {
  const bool connected = co_await connect();
  if (!connected) co_return Forwarded::kUnreached;
  const bool sent = co_await send_request();
  if (sent) co_await answer();
  if (uploading_) {
    // The body's sender uses our state: it ends when the client's next piece comes,
    // at the latest at the server's body timeout.
    if (!keep_) connection_->stream().close();
    auto uploaded = uploading_->wait(kNever);
    static_cast<void>(co_await uploaded);
  }
  if (keep_ && connection_->reusable()) {
    connections_.put(slot_.shared_pod(), std::move(connection_));
  }
  co_return Forwarded::kAnswered;
}

net::Task<bool> Forwarding::connect() {
  connection_ = connections_.take(slot_.pod());
  if (connection_) co_return true;
  const TimePoint deadline = earlier(options_.deadline, kConnectTimeout);
  auto stream = co_await net::connect(executor_, slot_.pod().address(), deadline);
  if (!stream) {
    throttler_->pod_unreachable(slot_.pod());
    co_return false;
  }
  connection_ = std::make_unique<http::ClientConnection>(std::move(*stream));
  co_return true;
}

// True if an answer is to be expected.
net::Task<bool> Forwarding::send_request() {
  fill_pod_head(exchange_, head_);
  const http::RequestHead& request = exchange_.request();
  std::string_view first;
  if (request.body.kind != http::BodyLength::Kind::kNone) {
    auto piece = co_await exchange_.read_body();
    if (!piece) {
      client_failed_ = true;
      co_return false;
    }
    first = *piece;
  }
  const auto sent = co_await connection_->send_head(request.method, request.target, head_.fields,
                                                    request.body, first, options_.deadline);
  if (!sent) co_return true;  // it may have answered all the same: see read_head
  if (request.body.kind == http::BodyLength::Kind::kNone) co_return true;
  const bool whole =
      request.body.kind == http::BodyLength::Kind::kSized && first.size() == request.body.size;
  if (whole || first.empty()) {
    static_cast<void>(co_await connection_->finish_body(options_.deadline));
    co_return true;
  }
  auto shot = net::OneShot<bool>::make(executor_);
  uploading_.emplace(std::move(shot.receiver));
  executor_.spawn(upload(shot.sender));
  co_return true;
}

net::Task<void> Forwarding::upload(net::OneShot<bool>::Sender done) {
  for (;;) {
    const auto piece = co_await exchange_.read_body();
    if (!piece) {
      client_failed_ = true;
      connection_->stream().close();  // wakes who waits for the answer
      break;
    }
    if (piece->empty()) {
      static_cast<void>(co_await connection_->finish_body(options_.deadline));
      break;
    }
    const auto sent = co_await connection_->send_body(*piece, options_.deadline);
    if (!sent) break;  // the answer, or its absence, tells why
  }
  done.set(true);
}

net::Task<void> Forwarding::answer() {
  const TimePoint deadline = std::min(options_.deadline, options_.response_start_deadline);
  const auto head = co_await connection_->read_head(deadline);
  if (!head) {
    if (!client_failed_) co_await explain(head.error());
    co_return;
  }
  http::ResponseHead answer = **head;
  if (!answer.fields.get("x-request-id")) answer.fields.add("x-request-id", head_.request_id);
  const auto begun = co_await exchange_.begin(answer);
  if (!begun) {
    if (!exchange_.begun()) co_await explain(http::HttpError::kMalformed);
    co_return;
  }
  co_await pass_body();
}

net::Task<void> Forwarding::pass_body() {
  for (;;) {
    const TimePoint deadline = options_.idle == Duration::zero()
                                   ? options_.deadline
                                   : earlier(options_.deadline, options_.idle);
    const auto piece = co_await connection_->read_body(deadline);
    if (!piece) co_return;  // cut: the client must not take it for whole
    if (piece->empty()) break;
    const auto written = co_await exchange_.write(*piece);
    if (!written) co_return;
  }
  keep_ = true;
  static_cast<void>(co_await exchange_.finish());
}

// Tells the client why there is no answer.
net::Task<void> Forwarding::explain(http::HttpError error) {
  const std::string& name = options_.function;
  if (error == http::HttpError::kTimeout) {
    co_await refuse(exchange_, 504, fmt::format("function {} did not answer in time", name));
    co_return;
  }
  if (error == http::HttpError::kMalformed || error == http::HttpError::kHeadTooLarge ||
      error == http::HttpError::kUnsupported) {
    co_await refuse(exchange_, 502,
                    fmt::format("function {} gave an answer that is not valid HTTP", name));
    co_return;
  }
  const TimePoint deadline = earlier(options_.deadline, kExitReportTimeout);
  const std::shared_ptr<QueueProxy> pod = slot_.shared_pod();
  const auto exit = co_await throttler_->exit_of(pod, executor_, deadline);
  if (!exit) {
    co_await refuse(exchange_, 502,
                    fmt::format("function {} closed the connection without an answer", name));
  } else if (!exit->was_ready) {
    co_await refuse(exchange_, 503,
                    fmt::format("function {} failed to start: {}", name, exit->message), 1);
  } else {
    const std::string why = exit->message.empty() ? "its pod was stopped" : exit->message;
    co_await refuse(exchange_, 502, fmt::format("function {} failed: {}", name, why));
  }
}

}  // namespace

net::Task<Forwarded> forward(http::Exchange& exchange, PodConnections& connections,
                             std::shared_ptr<Throttler> throttler, Slot slot,
                             ForwardOptions options) {
  Forwarding forwarding(exchange, connections, std::move(throttler), std::move(slot),
                        std::move(options));
  co_return co_await forwarding.run();
}

}  // namespace ebb::serving
