#include "serving/forwarder.h"

#include <algorithm>

#include "http/uri.h"
#include "net/listener.h"
#include "serving/error_answer.h"
#include "serving/pod_failure.h"
#include "serving/upgrade.h"
#include "serving/upload.h"

namespace ebb::serving {
namespace {

// A Unix socket connects at once or not at all; this bounds a full backlog.
constexpr Duration kConnectTimeout = std::chrono::seconds(5);
// So long, so often, it is tried where descriptors lack.
constexpr Duration kShortageTime = std::chrono::seconds(1);
constexpr Duration kShortagePause = std::chrono::milliseconds(20);
// How long the Local Controller may take to say why a pod broke its connection. A pod that
// lives says nothing: its caller waits for so long.
constexpr Duration kExitReportTimeout = std::chrono::seconds(1);
// And how long before the request is sent again: a pod that has ended would be given it, and
// break it, once more. One that lives has closed an idle connection just then, seldom.
constexpr Duration kSoonReported = std::chrono::milliseconds(50);
// What every server takes with its first read: of a request no larger than this, a pod
// that closed without having read all of it has read nothing.
constexpr size_t kOneRead = 4096;
// How long the first piece of a body is waited for: with it a request can be sent again. Then
// the pod gets the head alone, which it may answer.
constexpr Duration kFirstPiece = std::chrono::milliseconds(20);
// How often an answer that is under way looks whether its client is there.
constexpr Duration kClientLook = std::chrono::seconds(1);
// How often a request that waits for its answer looks, where that can be known.
constexpr Duration kClientLeaves = std::chrono::milliseconds(100);

TimePoint earlier(TimePoint deadline, Duration from_now) {
  return std::min(deadline, std::chrono::steady_clock::now() + from_now);
}

// One request on its way to one pod.
struct Forwarding final {
  void take_connection();
  net::Task<std::optional<Forwarded>> connect();
  net::Task<Forwarded> not_connected(net::IoError error);
  net::Task<bool> first_piece();
  net::Task<void> send_rest();
  net::Task<Forwarded> answer();
  net::Task<http::HttpResult<http::ResponseHead*>> pass_interim(http::ResponseHead* head,
                                                                TimePoint deadline);
  net::Task<Forwarded> no_answer(http::HttpError error);
  [[nodiscard]] TimePoint silent_since() const;
  [[nodiscard]] bool had_time() const;
  void watch_silence();
  void note_silence();
  net::Task<std::optional<Cut>> pass_body();
  [[nodiscard]] Cut cut_by_pod(http::HttpError error) const;
  [[nodiscard]] Cut cut_by_client(http::HttpError error) const;
  void tell_author(Cut why);
  net::Task<void> switch_protocols(const http::ResponseHead* head);
  net::Task<Forwarded> after_break();
  net::Task<bool> may_replay();
  net::Task<void> ask_for_exit(Duration patience);
  // The head goes alone, as nothing of the body has come.
  [[nodiscard]] bool only_head() const { return !request.whole() && request.first().empty(); }
  // Of so small a request a pod has read all or nothing.
  [[nodiscard]] bool can_be_unread() const {
    return (request.whole() || only_head()) && request.wire_size() <= kOneRead;
  }
  [[nodiscard]] LateAnswer lateness() const;
  net::Task<void> explain(http::HttpError error);
  net::Task<void> tell(PodFailure failure);
  net::Task<void> tell_of_bad_answer(http::HttpError error);
  net::Task<void> tell_of_break();
  net::Task<void> explain_client_error();
  void note_client_error();

  OutgoingRequest& request;
  PodConnections& connections;
  const std::shared_ptr<Throttler>& throttler;
  Slot slot;
  const ForwardOptions& options;
  http::Exchange& exchange = request.exchange();
  RequestRecord& record = request.record();
  net::Executor& executor = exchange.executor();
  std::unique_ptr<http::ClientExchange> connection = nullptr;
  Upload upload{request, options.deadline};
  bool reused = false;        // the connection has carried requests before
  bool head_sent = false;     // or it began to be
  bool keep = false;          // and ended well with this one
  Duration asked_for_exit{};  // how long, so far
  std::optional<scheduling::PodExit> exit = std::nullopt;
  TimePoint heard_at{};   // when the pod was asked, or gave a head before the answer's
  net::Timer look{};      // for the client's leaving
  net::Timer quiet{};     // for the pod's silence before it answers
  TimePoint able_at{};    // when it had its code and all of the request, as far as is known
  bool silent = false;    // it was for too long
  bool left = false;      // the client, as `look` has found
  bool sending = false;   // a piece of the answer is on its way to the client
  uint64_t seen_out = 0;  // of the answer's body, when `look` looked last
};

void Forwarding::take_connection() {
  // A second sending takes no chances with connections of the same kind.
  const bool may_break = can_be_unread() || (request.whole() && request.idempotent());
  // What soon cannot be sent again has a connection of its own; of HTTP/2 all share.
  const bool may_share = slot.pod().h2c() || !only_head();
  if (options.may_replay && may_share) connection = connections.take(slot.pod(), may_break);
  reused = connection != nullptr;
}

// What became of the request, if there is no connection.
net::Task<std::optional<Forwarded>> Forwarding::connect() {
  const TimePoint deadline = earlier(options.deadline, kConnectTimeout);
  const TimePoint patience = earlier(deadline, kShortageTime);
  for (;;) {
    auto stream = co_await net::connect(executor, slot.pod().address(), deadline);
    if (stream) {
      connection = connections.open(slot.shared_pod(), std::move(*stream));
      co_return std::nullopt;
    }
    if (stream.error() != net::IoError::kExhausted || executor.now() >= patience) {
      co_return co_await not_connected(stream.error());
    }
    connections.close_idle();
    auto pause = executor.sleep_until(executor.now() + kShortagePause);
    co_await pause;
  }
}

net::Task<Forwarded> Forwarding::not_connected(net::IoError error) {
  if (error == net::IoError::kExhausted) {  // which says nothing of the pod
    ErrorAnswer shortage = short_of_descriptors();
    co_await refuse(exchange, record, std::move(shortage));
    co_return Forwarded::kAnswered;
  }
  if (error == net::IoError::kTimeout && executor.now() >= options.deadline) {
    co_await explain(http::HttpError::kTimeout);
    co_return Forwarded::kAnswered;
  }
  throttler->pod_unreachable(slot.pod());
  // Its node may have gone, and others of its pods be no better.
  co_await ask_for_exit(kSoonReported);
  co_return Forwarded::kUnreached;
}

// What of the body goes with the head. False if the client failed to send it.
net::Task<bool> Forwarding::first_piece() {
  bool comes = !exchange.body_may_wait();
  if (comes) comes = co_await exchange.body_comes(earlier(options.deadline, kFirstPiece));
  if (!comes) {
    request.skip_first();
    co_return true;
  }
  const auto begun = co_await request.read_first();
  if (!begun) upload.client_failed(begun.error());
  co_return begun.has_value();
}

// Sends what did not go with the head.
net::Task<void> Forwarding::send_rest() {
  // HTTP/2 may have trailers behind the last byte that was announced, which a pod of HTTP/1.1
  // could not be told.
  const bool incomplete = slot.pod().h2c() && request.head().body.trailers && !exchange.body_read();
  if (request.whole() && !incomplete) {
    co_await upload.finish(*connection);
  } else {
    upload.begin(*connection);
  }
}

// For the log, whatever the client was told.
void Forwarding::note_client_error() {
  if (!upload.client_error()) return;
  if (!record.refused) record.refused = Refusal::kClientFailed;
  if (record.status == 0) record.status = http::status_of(*upload.client_error());
}

// Nobody is told if the client has gone.
net::Task<void> Forwarding::explain_client_error() {
  const http::HttpError error = *upload.client_error();
  ErrorAnswer answer{.why = Refusal::kClientFailed,
                     .status = http::status_of(error),
                     .text = http::body_fault(error, options.max_body)};
  if (answer.text.empty() || exchange.begun()) return net::Task<void>::ready();
  return refuse(exchange, record, std::move(answer));
}

net::Task<Forwarded> Forwarding::answer() {
  heard_at = executor.turn_time();
  const TimePoint deadline = std::min(options.deadline, heard_at + options.response_start);
  // Of HTTP/1.1 it is not known for sure: there the pod's answer is waited for.
  look.fire = [this] {
    left = exchange.client_left();
    if (left) return connection->close();
    executor.arm(look, executor.now() + kClientLeaves);
  };
  if (exchange.tells_of_leaving()) executor.arm(look, heard_at + kClientLeaves);
  if (options.idle != Duration::zero()) watch_silence();
  auto head = co_await connection->next_head(deadline);
  if (head && (*head)->is_interim()) head = co_await pass_interim(*head, deadline);
  look.disarm();
  quiet.disarm();
  if (!head) co_return co_await no_answer(silent ? http::HttpError::kTimeout : head.error());
  record.first_byte_at = executor.now();
  slot.pod().answered();
  if ((*head)->status == 101) {
    co_await switch_protocols(*head);
    co_return Forwarded::kAnswered;
  }
  http::ResponseHead& answer = **head;
  std::string timing;
  const bool timed = options.timing == ServerTiming::kAll ||
                     (options.timing == ServerTiming::kCold && record.cold);
  if (timed) {
    timing = server_timing(record);
    answer.fields.add("server-timing", timing);
  }
  if (!answer.fields.get("x-request-id")) answer.fields.add("x-request-id", record.id);
  const auto begun = co_await exchange.begin(answer);
  if (!begun) {
    if (!exchange.begun()) co_await tell_of_bad_answer(http::HttpError::kMalformed);
    co_return Forwarded::kAnswered;
  }
  record.status = answer.status;
  exchange.send_by(options.deadline);
  record.cut = co_await pass_body();
  look.disarm();
  co_return Forwarded::kAnswered;
}

// Passes on what comes before the answer's head, such as early hints (RFC 9110 15.2), and
// returns that. 100 it leaves out: that the body may come has been said.
net::Task<http::HttpResult<http::ResponseHead*>> Forwarding::pass_interim(http::ResponseHead* head,
                                                                          TimePoint deadline) {
  for (;;) {
    if (head->status != 100) {
      // What the client takes its time for is not the pod's silence.
      quiet.disarm();
      const TimePoint begun = executor.now();
      exchange.send_by(options.deadline);
      const auto sent = co_await exchange.send_interim(*head);
      exchange.send_by(kNever);  // an answer of ours may come later than that
      left = left || (!sent && sent.error() != http::HttpError::kMalformed);
      if (!sent && left) co_return fail(sent.error());
      deadline = std::min(options.deadline, deadline + (executor.now() - begun));
    }
    heard_at = executor.now();
    if (heard_at >= options.deadline) co_return fail(http::HttpError::kTimeout);
    if (options.idle != Duration::zero()) watch_silence();
    const auto next = co_await connection->next_head(deadline);
    if (!next || !(*next)->is_interim()) co_return next;
    head = *next;
  }
}

net::Task<Forwarded> Forwarding::no_answer(http::HttpError error) {
  if (upload.client_error()) {
    co_await explain_client_error();
    co_return Forwarded::kAnswered;
  }
  if (left) {
    note_client_left(exchange, record);
    co_return Forwarded::kAnswered;
  }
  const bool broken = error == http::HttpError::kClosed || error == http::HttpError::kIo;
  // At the deadline the sending of the body may have ended first, and the stream with it.
  if ((broken || error == http::HttpError::kTruncated) && executor.now() >= options.deadline) {
    error = http::HttpError::kTimeout;
  }
  if (error == http::HttpError::kTimeout) {
    note_silence();
  } else if (broken) {
    const auto outcome = co_await after_break();
    if (outcome != Forwarded::kAnswered) co_return outcome;
    if (upload.client_error()) {
      co_await explain_client_error();
      co_return Forwarded::kAnswered;
    }
  }
  co_await explain(error);
  co_return Forwarded::kAnswered;
}

// While it is the pod's turn.
TimePoint Forwarding::silent_since() const { return std::max(heard_at, *upload.pods_turn()); }

// It had a good part of the time that went by: the rest went by in the queue, or while the
// client sent its body.
bool Forwarding::had_time() const {
  const Duration bound = std::min(options.response_start, options.timeout);
  return silent ||
         (head_sent && upload.pods_turn() && executor.now() - silent_since() >= bound / 2);
}

// A pod is silent once it has loaded its code and got all of the request.
void Forwarding::watch_silence() {
  const TimePoint now = executor.turn_time();
  const bool able = upload.done() && !slot.pod().starting();
  if (able && able_at == TimePoint()) {
    // It may have answered somebody before it is known when it had loaded.
    const auto load = slot.pod().load();
    able_at = load ? load->at : now;
  }
  const TimePoint since = able ? std::max(silent_since(), able_at) : now;
  if (now >= since + options.idle) {
    silent = true;
    connection->close();
    return;
  }
  quiet.fire = [this] { watch_silence(); };
  executor.arm(quiet, since + options.idle);
}

// No sign of a hang is the silence of a pod that still loads its code or has not got all of
// the request, or that had little of its time since the rest went by in the queue.
void Forwarding::note_silence() {
  if (had_time() && !slot.pod().starting()) throttler->pod_silent(slot.pod());
}

// Where nothing more of a begun answer came.
Cut Forwarding::cut_by_pod(http::HttpError error) const {
  if (exchange.was_cut()) return Cut::kShutdown;
  // The upload, or `look`, has closed the pod's connection.
  if (left || (upload.client_error() && exchange.client_left())) return Cut::kClientLeft;
  if (upload.client_error()) return Cut::kClientFailed;
  const bool late = executor.now() >= options.deadline;
  switch (error) {
    case http::HttpError::kTimeout:
      return late ? Cut::kTimeout : Cut::kIdleTimeout;
    case http::HttpError::kMalformed:
    case http::HttpError::kUnsupported:
    case http::HttpError::kHeadTooLarge:  // trailers
      return Cut::kBadAnswer;
    default:  // at the deadline the sending of the body may have ended the stream first
      return late ? Cut::kTimeout : Cut::kPodFailed;
  }
}

void Forwarding::tell_author(Cut why) {
  if (why == Cut::kTimeout && record.waited >= options.timeout / 2) return;  // for a pod
  const auto event =
      cut_answer(options.function, why, why == Cut::kTimeout ? options.timeout : options.idle);
  if (event) throttler->pod_misbehaved(slot.pod(), event->reason, event->text);
}

// Where the client took nothing more.
Cut Forwarding::cut_by_client(http::HttpError error) const {
  switch (error) {
    case http::HttpError::kTimeout:
      return Cut::kSlowClient;
    case http::HttpError::kMalformed:  // more than the length that was announced, or less
    case http::HttpError::kTruncated:
      return Cut::kBadAnswer;
    default:
      return exchange.was_cut() ? Cut::kShutdown : Cut::kClientLeft;
  }
}

// Why it did not come to its end, if so: then the client must not take it for whole.
net::Task<std::optional<Cut>> Forwarding::pass_body() {
  // A function that is silent, such as a stream of events, learns nothing of a client that
  // leaves, and would keep its slot. While something is sent, sending tells: of a client
  // that takes its time, too.
  seen_out = record.bytes_out;
  look.fire = [this] {
    left = !sending && record.bytes_out == seen_out && exchange.client_left();
    if (left) return connection->close();
    seen_out = record.bytes_out;
    executor.arm(look, executor.now() + kClientLook);
  };
  executor.arm(look, executor.turn_time() + kClientLook);
  for (;;) {
    const TimePoint deadline = options.idle == Duration::zero()
                                   ? options.deadline
                                   : earlier(options.deadline, options.idle);
    const auto piece = co_await connection->read_body(deadline);
    if (!piece) {
      const Cut why = cut_by_pod(piece.error());
      tell_author(why);
      co_return why;
    }
    if (piece->empty()) break;
    record.bytes_out += piece->size();
    sending = true;
    const auto written = co_await exchange.write(*piece);
    if (!written) co_return cut_by_client(written.error());
    sending = false;
  }
  look.disarm();
  keep = true;
  const http::Fields trailers = passed_on(connection->trailers());
  const auto finished = co_await exchange.finish(trailers);
  if (!finished) co_return cut_by_client(finished.error());
  co_return std::nullopt;
}

// From here on the connection belongs to the function and its client.
net::Task<void> Forwarding::switch_protocols(const http::ResponseHead* head) {
  http::ResponseHead answer = *head;
  if (!answer.fields.get("x-request-id")) answer.fields.add("x-request-id", record.id);
  http::HttpResult<http::TunnelEnd> client = fail(http::HttpError::kMalformed);
  if (request.upgrade()) client = co_await exchange.switch_protocols(answer);
  if (!client) {
    if (!exchange.begun()) co_await tell_of_bad_answer(http::HttpError::kMalformed);
    co_return;
  }
  record.status = 101;
  record.upgraded = true;
  const bool pod_ended =
      co_await pass_upgraded(*client, connection->tunnel_end(), slot.pod(), options, record);
  if (!pod_ended || (record.cut && *record.cut != Cut::kClientLeft)) co_return;
  // As one that dies does. Its client does not wait for this.
  record.ended_at = executor.now();
  client->stream->close();
  connection->close();
  auto pod = slot.shared_pod();
  slot.release();
  auto exiting = throttler->exit_of(std::move(pod), executor, executor.now() + kExitReportTimeout);
  exit = co_await exiting;
  if (exit && exit->reason != "Stopped") record.cut = Cut::kPodFailed;
}

// The connection broke. kAnswered: its client has to be told.
net::Task<Forwarded> Forwarding::after_break() {
  if (connection->response_begun()) co_return Forwarded::kAnswered;
  // More may have been passed on until now; a pod that ended only its side still takes it.
  connection->close();
  co_await upload.end();
  if (connection->only_stream_ended()) asked_for_exit = kExitReportTimeout;  // its pod lives
  if (upload.client_error() || !request.replayable()) co_return Forwarded::kAnswered;
  if (options.may_replay) {
    const bool again = co_await may_replay();
    if (again) co_return Forwarded::kReplay;
  }
  co_await ask_for_exit(kExitReportTimeout);
  // A node that goes takes pods along that were only loading: as if they had not been there.
  if (exit && !exit->was_ready && scheduling::is_blameless(*exit)) co_return Forwarded::kUnreached;
  co_return Forwarded::kAnswered;
}

// No byte of an answer had come. The request is sent once more if none of it reached the
// function's code, or if that does no harm.
net::Task<bool> Forwarding::may_replay() {
  co_await ask_for_exit(kSoonReported);
  // HTTP/2 says so of each request.
  if (slot.pod().h2c() && connection->was_reset()) co_return true;
  if (connection->only_stream_ended()) co_return false;  // that was its answer
  bool unread = connection->was_reset() && can_be_unread();
  if (!reused) {
    // It was no idle connection that the pod closed just then. A pod that lives would
    // only do it again.
    co_await ask_for_exit(kExitReportTimeout);
    if (!exit) co_return false;
    unread = unread || !exit->was_ready;
  }
  if (unread) co_return true;
  if (!request.idempotent()) co_return false;
  const bool allowed = throttler->may_retry();
  record.retry_denied = !allowed;
  co_return allowed;
}

// Why the pod broke its connection, if it has ended.
net::Task<void> Forwarding::ask_for_exit(Duration patience) {
  if (exit || asked_for_exit >= patience) co_return;
  const TimePoint deadline = earlier(options.deadline, patience - asked_for_exit);
  asked_for_exit = patience;
  auto pod = slot.shared_pod();
  auto exiting = throttler->exit_of(std::move(pod), executor, deadline);
  exit = co_await exiting;
}

net::Task<void> Forwarding::tell(PodFailure failure) {
  if (failure.event != nullptr) {
    throttler->pod_misbehaved(slot.pod(), failure.event, failure.answer.text);
  }
  return refuse(exchange, record, std::move(failure.answer));
}

net::Task<void> Forwarding::tell_of_bad_answer(http::HttpError error) {
  return tell(bad_answer(options.function, error));
}

// Which bound was reached.
LateAnswer Forwarding::lateness() const {
  LateAnswer how{.was_pods_turn = head_sent && (upload.done() || had_time())};
  if (executor.now() >= options.deadline) {
    how.allowed = options.timeout;
    if (record.waited >= options.timeout / 2) how.waited_for_pod = record.waited;
  } else if (silent) {
    how.bound = LateAnswer::Bound::kSilence;
    how.allowed = options.idle;
  } else {
    how.bound = LateAnswer::Bound::kFirstByte;
    how.allowed = options.response_start;
  }
  return how;
}

net::Task<void> Forwarding::tell_of_break() {
  co_await ask_for_exit(kExitReportTimeout);
  PodFailure failure = connection->only_stream_ended() ? reset_request(options.function)
                                                       : broken_connection(options.function, exit);
  co_await tell(std::move(failure));
}

// Tells the client why there is no answer.
net::Task<void> Forwarding::explain(http::HttpError error) {
  switch (error) {
    case http::HttpError::kTimeout:
      return tell(late_answer(options.function, lateness()));
    case http::HttpError::kHeadTooLarge:
    case http::HttpError::kMalformed:
    case http::HttpError::kUnsupported:
    case http::HttpError::kVersion:
      return tell_of_bad_answer(error);
    default:
      return tell_of_break();
  }
}

}  // namespace

net::Task<Forwarded> forward(OutgoingRequest& request, PodConnections& connections,
                             const std::shared_ptr<Throttler>& throttler, Slot slot,
                             const ForwardOptions& options) {
  Forwarding the{.request = request,
                 .connections = connections,
                 .throttler = throttler,
                 .slot = std::move(slot),
                 .options = options};
  if (request.has_unread_body()) {
    const bool ready = co_await the.first_piece();
    if (!ready) {
      the.slot.give_back_unused();
      co_await the.explain_client_error();
      the.note_client_error();
      co_return Forwarded::kAnswered;
    }
  }
  the.take_connection();
  if (!the.connection) {
    const auto failed = co_await the.connect();
    if (failed) {
      the.slot.give_back_unused();
      co_return *failed;
    }
  }
  // If it fails, there may be an answer all the same: next_head tells.
  const http::RequestHead& head = request.head();
  std::string_view target = head.target;
  std::string rewritten;  // what a client says to a proxy
  if (!target.starts_with('/')) target = rewritten = http::origin_form(target);
  the.head_sent = true;
  ++the.record.sendings;
  const auto sent = co_await the.connection->send_head(
      head.method, target, request.fields(), head.body, request.first(), options.deadline);
  if (sent && head.body.kind != http::BodyLength::Kind::kNone) co_await the.send_rest();
  const auto outcome = co_await the.answer();
  if (the.upload.begun()) {
    // A pod that has answered needs no more of the body, nor does its client wait for that.
    the.keep = the.keep && the.upload.complete();
    if (!the.keep) {
      the.connection->close();
      the.slot.release();
    }
    co_await the.upload.end();
  }
  the.note_client_error();
  if (the.keep && the.connection->reusable()) {
    connections.put(the.slot.shared_pod(), std::move(the.connection));
  }
  co_return outcome;
}

}  // namespace ebb::serving
