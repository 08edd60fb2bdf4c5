#include "serving/forwarder.h"

#include <algorithm>

#include "net/listener.h"
#include "net/one_shot.h"
#include "serving/refusal.h"

namespace ebb::serving {
namespace {

// A Unix socket connects at once or not at all; this bounds a full backlog.
constexpr Duration kConnectTimeout = std::chrono::seconds(5);
// How long the Local Controller may take to say why a pod broke its connection.
constexpr Duration kExitReportTimeout = std::chrono::seconds(2);
// What every server takes with its first read: of a request no larger than this, a pod
// that closed without having read all of it has read nothing.
constexpr size_t kOneRead = 4096;
// How often an upgraded connection looks whether its pod drains.
constexpr Duration kDrainLook = std::chrono::seconds(1);

TimePoint earlier(TimePoint deadline, Duration from_now) {
  return std::min(deadline, std::chrono::steady_clock::now() + from_now);
}

// One request on its way to one pod.
class Forwarding final {
 public:
  Forwarding(OutgoingRequest& request, PodConnections& connections,
             const std::shared_ptr<Throttler>& throttler, Slot slot, const ForwardOptions& options)
      : request_(request),
        exchange_(request.exchange()),
        record_(request.record()),
        connections_(connections),
        executor_(exchange_.executor()),
        throttler_(throttler),
        slot_(std::move(slot)),
        options_(options) {}

  net::Task<Forwarded> run();

 private:
  net::Task<bool> connect();
  net::Task<void> send_request();
  net::Task<void> upload(net::OneShot<bool>::Sender done);
  net::Task<Forwarded> answer();
  void note_silence(TimePoint asked_at);
  net::Task<void> pass_body();
  net::Task<void> tunnel(const http::ResponseHead* head);
  net::Task<bool> may_replay();
  // Of so small a request a pod has read all or nothing.
  [[nodiscard]] bool can_be_unread() const {
    return request_.whole() && request_.wire_size() <= kOneRead;
  }
  net::Task<void> explain(http::HttpError error);
  net::Task<void> answer_error(int status, const char* why, std::string text,
                               int retry_after_s = 0);
  void client_failed(http::HttpError error);

  OutgoingRequest& request_;
  http::Exchange& exchange_;
  RequestRecord& record_;
  PodConnections& connections_;
  net::Executor& executor_;
  const std::shared_ptr<Throttler>& throttler_;
  Slot slot_;
  const ForwardOptions& options_;
  std::unique_ptr<http::ClientConnection> connection_;
  bool reused_ = false;         // the connection has carried requests before
  bool client_failed_ = false;  // while its body was read: the server answers for it
  bool keep_ = false;           // the connection ended well
  std::optional<scheduling::PodExit> exit_;
  std::optional<net::OneShot<bool>::Receiver> uploading_;
  bool uploaded_ = false;  // all of what is uploading
};

net::Task<Forwarded> Forwarding::run() {
  const auto begun = co_await request_.read_first();
  if (!begun) {
    client_failed(begun.error());
    co_return Forwarded::kAnswered;
  }
  const bool connected = co_await connect();
  if (!connected) co_return Forwarded::kUnreached;
  co_await send_request();
  const auto outcome = co_await answer();
  if (uploading_) {
    if (!keep_) {
      connection_->stream().close();
      slot_.release();
    }
    // The body's sender uses our state: it ends when the client's next piece comes,
    // at the latest at the server's body timeout.
    auto uploaded = uploading_->wait(kNever);
    static_cast<void>(co_await uploaded);
  }
  if (keep_ && connection_->reusable()) {
    connections_.put(slot_.shared_pod(), std::move(connection_));
  }
  co_return outcome;
}

net::Task<bool> Forwarding::connect() {
  // A second sending takes no chances with connections of the same kind.
  const bool may_break = can_be_unread() || (request_.whole() && request_.idempotent());
  if (options_.may_replay) connection_ = connections_.take(slot_.pod(), may_break);
  reused_ = connection_ != nullptr;
  if (reused_) co_return true;
  const TimePoint deadline = earlier(options_.deadline, kConnectTimeout);
  auto stream = co_await net::connect(executor_, slot_.pod().address(), deadline);
  if (!stream) {
    throttler_->pod_unreachable(slot_.pod());
    co_return false;
  }
  connection_ = std::make_unique<http::ClientConnection>(std::move(*stream));
  co_return true;
}

// If it fails, there may be an answer all the same: see read_head.
net::Task<void> Forwarding::send_request() {
  const http::RequestHead& head = request_.head();
  const auto sent = co_await connection_->send_head(head.method, head.target, request_.fields(),
                                                    head.body, request_.first(), options_.deadline);
  if (!sent || head.body.kind == http::BodyLength::Kind::kNone) co_return;
  if (request_.whole()) {
    static_cast<void>(co_await connection_->finish_body(options_.deadline));
    co_return;
  }
  auto shot = net::OneShot<bool>::make(executor_);
  uploading_.emplace(std::move(shot.receiver));
  executor_.spawn(upload(shot.sender));
}

net::Task<void> Forwarding::upload(net::OneShot<bool>::Sender done) {
  for (;;) {
    request_.body_passed_on();
    const auto piece = co_await exchange_.read_body();
    if (!piece) {
      client_failed(piece.error());
      connection_->stream().close();  // wakes who waits for the answer
      break;
    }
    record_.bytes_in += piece->size();
    if (piece->empty()) {
      const auto finished = co_await connection_->finish_body(options_.deadline);
      uploaded_ = finished.has_value();
      break;
    }
    const auto sent = co_await connection_->send_body(*piece, options_.deadline);
    if (!sent) break;  // the answer, or its absence, tells why
  }
  done.set(true);
}

// The server answers for a client that failed to send its body.
void Forwarding::client_failed(http::HttpError error) {
  client_failed_ = true;
  record_.refused = "client_failed";
  if (record_.status == 0) record_.status = http::status_of(error);
}

net::Task<Forwarded> Forwarding::answer() {
  const TimePoint asked_at = executor_.now();
  const TimePoint deadline = earlier(options_.deadline, options_.response_start);
  const auto head = co_await connection_->read_head(deadline);
  if (!head) {
    if (client_failed_) co_return Forwarded::kAnswered;
    if (head.error() == http::HttpError::kTimeout) note_silence(asked_at);
    const bool broken =
        head.error() == http::HttpError::kClosed || head.error() == http::HttpError::kIo;
    if (broken) {
      const bool again = co_await may_replay();
      if (again) co_return Forwarded::kReplay;
    }
    co_await explain(head.error());
    co_return Forwarded::kAnswered;
  }
  record_.first_byte_at = executor_.now();
  slot_.pod().answered();
  if ((*head)->status == 101) {
    co_await tunnel(*head);
    co_return Forwarded::kAnswered;
  }
  http::ResponseHead& answer = **head;
  std::string timing;
  const bool timed = options_.timing == ServerTiming::kAll ||
                     (options_.timing == ServerTiming::kCold && record_.cold);
  if (timed) {
    timing = server_timing(record_);
    answer.fields.add("server-timing", timing);
  }
  if (!answer.fields.get("x-request-id")) answer.fields.add("x-request-id", record_.id);
  const auto begun = co_await exchange_.begin(answer);
  if (!begun) {
    if (!exchange_.begun()) co_await explain(http::HttpError::kMalformed);
    co_return Forwarded::kAnswered;
  }
  record_.status = answer.status;
  record_.cut = true;  // until it has ended well
  co_await pass_body();
  co_return Forwarded::kAnswered;
}

// No sign of a hang is the silence of a pod that still loads its code or has not got all of
// the request, or that had little of its time since the rest went by in the queue.
void Forwarding::note_silence(TimePoint asked_at) {
  const bool sent = !uploading_ || uploaded_;
  const bool had_time = executor_.now() - asked_at >= options_.response_start / 2;
  if (sent && had_time && !slot_.pod().starting()) throttler_->pod_silent(slot_.pod());
}

net::Task<void> Forwarding::pass_body() {
  for (;;) {
    const TimePoint deadline = options_.idle == Duration::zero()
                                   ? options_.deadline
                                   : earlier(options_.deadline, options_.idle);
    const auto piece = co_await connection_->read_body(deadline);
    if (!piece) co_return;  // cut: the client must not take it for whole
    if (piece->empty()) break;
    record_.bytes_out += piece->size();
    const auto written = co_await exchange_.write(*piece);
    if (!written) co_return;
  }
  keep_ = true;
  const auto finished = co_await exchange_.finish();
  record_.cut = !finished;
}

// From here on the connection belongs to the function and its client. Neither the
// request's timeout nor the one for the first byte counts any more, only the idle one;
// the slot is held all the while. When its pod drains, the connection may last for as
// long as a request might have.
net::Task<void> Forwarding::tunnel(const http::ResponseHead* head) {
  if (!request_.upgrade()) {
    co_await explain(http::HttpError::kMalformed);
    co_return;
  }
  http::ResponseHead answer = *head;
  if (!answer.fields.get("x-request-id")) answer.fields.add("x-request-id", record_.id);
  const auto client = co_await exchange_.switch_protocols(answer);
  if (!client) {
    if (!exchange_.begun()) co_await explain(http::HttpError::kMalformed);
    co_return;
  }
  record_.status = 101;
  record_.upgraded = true;
  http::Tunnel tunnel(*client, connection_->tunnel_end(), options_.idle);
  TimePoint drained_by = kNever;
  net::Timer look;
  look.fire = [&] {
    const TimePoint now = executor_.now();
    if (drained_by == kNever && slot_.pod().draining()) drained_by = now + options_.tunnel_grace;
    if (now >= drained_by) {
      tunnel.cut();
    } else {
      executor_.arm(look, std::min(drained_by, now + kDrainLook));
    }
  };
  executor_.arm(look, executor_.now() + kDrainLook);
  if (options_.counters != nullptr) options_.counters->upgraded.add();
  co_await tunnel.run();
  if (options_.counters != nullptr) options_.counters->upgraded.subtract();
  record_.bytes_in += tunnel.to_server();
  record_.bytes_out += tunnel.to_client();
}

// The connection broke before any byte of an answer. The request is sent once more if
// none of it reached the function's code, or if that does no harm.
net::Task<bool> Forwarding::may_replay() {
  if (connection_->response_begun() || !request_.replayable() || !options_.may_replay) {
    co_return false;
  }
  bool unread = connection_->was_reset() && can_be_unread();
  if (!reused_) {
    // It was no idle connection that the pod closed just then. A pod that lives would
    // only do it again.
    const TimePoint deadline = earlier(options_.deadline, kExitReportTimeout);
    auto pod = slot_.shared_pod();
    auto exiting = throttler_->exit_of(std::move(pod), executor_, deadline);
    exit_ = co_await exiting;
    if (!exit_) co_return false;
    unread = unread || !exit_->was_ready;
  }
  if (unread) co_return true;
  co_return request_.idempotent() && throttler_->may_retry();
}

net::Task<void> Forwarding::answer_error(int status, const char* why, std::string text,
                                         int retry_after_s) {
  record_.status = status;
  record_.refused = why;
  co_await refuse(exchange_, record_, status, std::move(text), retry_after_s);
}

// Tells the client why there is no answer.
net::Task<void> Forwarding::explain(http::HttpError error) {
  const std::string_view name = options_.function;
  if (error == http::HttpError::kTimeout) {
    co_await answer_error(504, "timeout", fmt::format("function {} did not answer in time", name));
    co_return;
  }
  if (error == http::HttpError::kMalformed || error == http::HttpError::kHeadTooLarge ||
      error == http::HttpError::kUnsupported || error == http::HttpError::kVersion) {
    co_await answer_error(502, "bad_answer",
                          fmt::format("function {} gave an answer that is not valid HTTP", name));
    co_return;
  }
  if (!exit_) {
    const TimePoint deadline = earlier(options_.deadline, kExitReportTimeout);
    auto pod = slot_.shared_pod();
    auto exiting = throttler_->exit_of(std::move(pod), executor_, deadline);
    exit_ = co_await exiting;
  }
  if (!exit_) {
    co_await answer_error(502, "pod_failed",
                          fmt::format("function {} closed the connection without an answer", name));
  } else if (!exit_->was_ready) {
    co_await answer_error(503, "start_failed",
                          fmt::format("function {} failed to start: {}", name, exit_->message), 1);
  } else {
    const std::string why = exit_->message.empty() ? "its pod was stopped" : exit_->message;
    co_await answer_error(502, "pod_failed", fmt::format("function {} failed: {}", name, why));
  }
}

}  // namespace

net::Task<Forwarded> forward(OutgoingRequest& request, PodConnections& connections,
                             const std::shared_ptr<Throttler>& throttler, Slot slot,
                             const ForwardOptions& options) {
  Forwarding forwarding(request, connections, throttler, std::move(slot), options);
  co_return co_await forwarding.run();
}

}  // namespace ebb::serving
