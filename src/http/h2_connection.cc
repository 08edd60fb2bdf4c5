#include "http/h2_connection.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <ctime>
#include <exception>

#include "base/log.h"
#include "http/chars.h"
#include "http/grpc.h"
#include "http/number.h"
#include "http/uri.h"
#include "net/executor.h"

namespace ebb::http {
namespace {

H2Options options_of(const ServerOptions& server) {
  return {.head = server.head,
          .idle_timeout = server.idle_timeout,
          .head_timeout = server.head_timeout,
          .write_timeout = server.write_timeout};
}

}  // namespace

// One stream as a handler sees it.
class H2Exchange final : public Exchange {
 public:
  H2Exchange(H2Connection& connection, H2Stream& stream)
      : connection_(connection),
        stream_(stream),
        options_(connection.server().options),
        received_at_(connection.server().executor.turn_time()) {}

  // What is wrong with the head, and its status; fills request() where nothing is.
  struct Fault {
    int status = 400;
    const char* what = "";
  };
  [[nodiscard]] std::optional<Fault> read_head(const H2Fields& head);
  // Brings it to its end after the handler returned.
  [[nodiscard]] net::Task<void> settle();
  // A short answer that says what is wrong, for a request that the handler does not answer,
  // or never gets.
  [[nodiscard]] net::Task<void> refuse(int status, std::string what, std::string id = {});
  [[nodiscard]] net::Task<void> refuse_head(int status, std::string what);

  [[nodiscard]] const RequestHead& request() const override { return request_; }
  [[nodiscard]] TimePoint received_at() const override { return received_at_; }
  [[nodiscard]] const net::Address& client() const override { return connection_.client(); }
  [[nodiscard]] bool secure() const override { return options_.tls != nullptr; }
  [[nodiscard]] bool client_left() const override { return stream_.broken(); }
  [[nodiscard]] bool was_cut() const override { return connection_.server().cutting; }
  [[nodiscard]] size_t held_bytes() const override {
    // Of a body that is on its way, what may come.
    const size_t body = stream_.ended() ? stream_.unread() : H2Options().stream_window;
    return sizeof(*this) + sizeof(stream_) + stream_.head().bytes() + body;
  }
  [[nodiscard]] net::Executor& executor() const override { return connection_.server().executor; }
  [[nodiscard]] net::Task<HttpResult<std::string_view>> read_body() override;
  [[nodiscard]] bool body_read() const override { return body_ended_ || stream_.only_head(); }
  [[nodiscard]] bool tells_of_leaving() const override { return true; }
  [[nodiscard]] bool body_may_wait() const override {
    return request_.body.kind == BodyLength::Kind::kChunked && !stream_.ended() &&
           stream_.unread() == 0;
  }
  [[nodiscard]] net::Task<bool> body_comes(TimePoint until) override;
  void cancel_read() override { stream_.cancel_read(); }
  [[nodiscard]] const Fields& trailers() const override { return trailers_; }
  [[nodiscard]] net::Task<HttpResult<void>> send_interim(const ResponseHead& head) override;
  [[nodiscard]] net::Task<HttpResult<void>> begin(const ResponseHead& head) override;
  [[nodiscard]] net::Task<HttpResult<void>> write(std::string_view piece) override;
  [[nodiscard]] net::Task<HttpResult<void>> finish(const Fields& trailers) override;
  [[nodiscard]] net::Task<HttpResult<TunnelEnd>> switch_protocols(
      const ResponseHead& /*head*/) override {
    return net::Task<HttpResult<TunnelEnd>>::ready(fail(HttpError::kMalformed));
  }
  [[nodiscard]] bool begun() const override { return answer_ != Answer::kNone; }
  // One stream says nothing of the others: it alone ends.
  void close_after() override { close_after_ = true; }
  void send_by(TimePoint deadline) override { send_by_ = deadline; }

 private:
  [[nodiscard]] bool continue_if_due();
  enum class Answer : uint8_t { kNone, kBegun, kFinished, kBroken };

  [[nodiscard]] net::Task<HttpResult<void>> send(std::string_view piece, bool last,
                                                 const Fields* trailers);
  [[nodiscard]] static std::optional<Fields> passed_fields(const Fields& fields);

  H2Connection& connection_;
  H2Stream& stream_;
  const ServerOptions& options_;
  const TimePoint received_at_;
  RequestHead request_;
  std::string cookies_;  // joined: HTTP/1.1 has one field of them
  Fields trailers_;
  TimePoint send_by_ = kNever;
  std::optional<HttpError> body_error_;
  uint64_t received_ = 0;
  uint64_t unsent_ = 0;  // of a body of known size
  bool sized_ = false;
  bool end_rides_ = false;  // on the last piece, as no trailers follow
  bool continued_ = false;
  bool close_after_ = false;
  bool body_ended_ = false;
  bool no_body_ = false;  // of the answer: its head is all
  Answer answer_ = Answer::kNone;
};

std::optional<H2Exchange::Fault> H2Exchange::read_head(const H2Fields& head) {
  request_.method = head.get(":method");
  request_.target = head.get(":path");
  request_.authority = head.get(":authority");
  head.view(request_.fields);
  if (stream_.head_too_large()) return Fault{431, "the head is too large"};
  if (request_.method == "CONNECT") return Fault{501, "CONNECT is not spoken"};
  if (!is_token(request_.method)) return Fault{400, "bad method"};
  const auto target = split_target(request_.target);
  const std::string_view scheme = head.get(":scheme");
  if (scheme != "http" && scheme != "https" && !scheme.empty()) return Fault{400, "bad scheme"};
  if (!target || !target->authority.empty() ||
      (request_.target == "*" && request_.method != "OPTIONS")) {
    return Fault{400, "bad path"};
  }
  const auto host = request_.fields.get("host");
  if (request_.authority.empty()) request_.authority = host.value_or("");
  if (!is_authority(request_.authority)) return Fault{400, "bad authority"};
  if (host && !iequals(*host, request_.authority)) return Fault{400, "Host is not :authority"};
  size_t crumbs = 0;
  Fields others;
  for (const Field& field : request_.fields) {
    if (!is_token(field.name) || !is_field_value(field.value)) return Fault{400, "bad field"};
    if (field.name != "cookie") {
      others.add(field.name, field.value);
    } else {
      cookies_.append(crumbs++ > 0 ? "; " : "").append(field.value);
    }
  }
  if (crumbs > 1) {  // RFC 9113 8.2.3
    others.add("cookie", cookies_);
    request_.fields = others;
  }
  request_.expects_continue = request_.fields.has_token("expect", "100-continue");
  if (stream_.only_head()) {
    request_.body = BodyLength::none();
  } else if (const auto size = content_length(request_.fields)) {
    request_.body = BodyLength::sized(*size, stream_.may_have_trailers());
  } else {
    request_.body = BodyLength::chunked();
  }
  return std::nullopt;
}

// False: it is too late for that.
bool H2Exchange::continue_if_due() {
  const bool waits = request_.expects_continue && !continued_ && !stream_.ended();
  if (!waits || stream_.unread() > 0) return true;
  if (begun()) return false;
  continued_ = true;
  return connection_.session().submit_interim(stream_, 100, {});
}

net::Task<bool> H2Exchange::body_comes(TimePoint until) {
  if (body_error_ || !continue_if_due()) return net::Task<bool>::ready(true);
  return stream_.comes(until);
}

net::Task<HttpResult<std::string_view>> H2Exchange::read_body() {
  if (body_error_) co_return fail(*body_error_);
  if (!continue_if_due()) co_return fail(HttpError::kClosed);
  // A stream of messages rests as long as it likes, within the request's own time.
  const bool stream = request_.body.kind == BodyLength::Kind::kChunked;
  const TimePoint deadline = stream ? kNever : executor().now() + options_.body_timeout;
  auto piece = co_await stream_.read(deadline);
  if (piece) {
    received_ += piece->size();
    if (stream_.all_read() && !std::exchange(body_ended_, true)) {
      stream_.trailers().view(trailers_);
      // Known by now; where there are none, the end need not wait for them elsewhere.
      request_.body.trailers = request_.body.trailers && trailers_.size() > 0;
    }
    if (received_ > options_.max_body) piece = fail(HttpError::kBodyTooLarge);
  }
  if (!piece && piece.error() != HttpError::kClosed) body_error_ = piece.error();
  co_return piece;
}

// Lower case and without what concerns one connection; nullopt if one may not stand there.
std::optional<Fields> H2Exchange::passed_fields(const Fields& fields) {
  Fields out;
  out.reserve(fields.size() + 2);
  const bool has_connection = fields.get("connection").has_value();
  for (const Field& field : fields) {
    if (is_hop_by_hop(field.name) && !iequals(field.name, "trailer")) continue;
    if (iequals(field.name, "content-length")) continue;
    if (has_connection && fields.has_token("connection", field.name)) continue;
    if (!is_token(field.name) || !is_field_value(field.value)) return std::nullopt;
    out.add(field.name, field.value);
  }
  return out;
}

net::Task<HttpResult<void>> H2Exchange::send_interim(const ResponseHead& head) {
  using Done = net::Task<HttpResult<void>>;
  const auto fields = passed_fields(head.fields);
  if (begun() || !head.is_interim() || head.status < 100 || !fields) {
    return Done::ready(fail(HttpError::kMalformed));
  }
  // A client that takes nothing gets none of them, rather than that they are held for it.
  const size_t most_queued = 2 * H2Options().max_streams;
  H2Session& session = connection_.session();
  const bool sent =
      session.queued() > most_queued || session.submit_interim(stream_, head.status, *fields);
  return Done::ready(sent ? HttpResult<void>() : fail(HttpError::kMalformed));
}

net::Task<HttpResult<void>> H2Exchange::begin(const ResponseHead& head) {
  using Done = net::Task<HttpResult<void>>;
  if (begun() || head.status < 200 || head.status > 999) {
    return Done::ready(fail(HttpError::kMalformed));
  }
  const bool bodiless = head.status == 204 || head.status == 304;
  const bool to_head = request_.method == "HEAD";
  const bool known =
      head.body.kind == BodyLength::Kind::kNone || head.body.kind == BodyLength::Kind::kSized;
  uint64_t size = head.body.kind == BodyLength::Kind::kSized ? head.body.size : 0;
  std::string length = known ? std::to_string(size) : std::string();
  if (to_head && head.body.kind == BodyLength::Kind::kNone) {
    length = head.fields.get("content-length").value_or("");
  }
  if (bodiless && (head.status == 204 || size == 0)) length.clear();
  no_body_ = bodiless || to_head;
  // Trailers may follow an answer without a body.
  const bool more = !no_body_ && (!known || size > 0 || head.body.trailers);
  // gRPC ends such an answer in its head; a length would say otherwise to it.
  if (head.fields.get("grpc-status")) length.clear();
  auto fields = passed_fields(head.fields);
  if (fields && !fields->get("date")) {
    fields->add("date", connection_.server().date.at(std::time(nullptr)));
  }
  if (fields && !length.empty()) fields->add("content-length", length);
  if (!fields || !connection_.session().submit_answer(stream_, head.status, *fields, more)) {
    return Done::ready(fail(HttpError::kMalformed));
  }
  sized_ = known;
  end_rides_ = known && !head.body.trailers;
  unsent_ = size;
  no_body_ = no_body_ || !more;
  answer_ = Answer::kBegun;
  return Done::ready(HttpResult<void>());
}

net::Task<HttpResult<void>> H2Exchange::send(std::string_view piece, bool last,
                                             const Fields* trailers) {
  const TimePoint deadline = std::min(send_by_, executor().turn_time() + options_.write_timeout);
  const auto sent = co_await stream_.write(piece, last, trailers, deadline);
  if (!sent) {
    answer_ = Answer::kBroken;
    co_return fail(sent.error());
  }
  if (last) answer_ = Answer::kFinished;
  co_return HttpResult<void>();
}

net::Task<HttpResult<void>> H2Exchange::write(std::string_view piece) {
  using Done = net::Task<HttpResult<void>>;
  if (answer_ == Answer::kFinished && piece.empty()) return Done::ready(HttpResult<void>());
  if (answer_ != Answer::kBegun) return Done::ready(fail(HttpError::kMalformed));
  if (no_body_ || piece.empty()) {
    connection_.session().flush();
    return Done::ready(HttpResult<void>());
  }
  if (!sized_) return send(piece, false, nullptr);
  if (piece.size() > unsent_) {
    answer_ = Answer::kBroken;
    return Done::ready(fail(HttpError::kMalformed));
  }
  unsent_ -= piece.size();
  return send(piece, end_rides_ && unsent_ == 0, nullptr);
}

net::Task<HttpResult<void>> H2Exchange::finish(const Fields& trailers) {
  using Done = net::Task<HttpResult<void>>;
  if (answer_ == Answer::kFinished) return Done::ready(HttpResult<void>());
  if (answer_ != Answer::kBegun) return Done::ready(fail(HttpError::kMalformed));
  if (no_body_) {
    connection_.session().flush();
    answer_ = Answer::kFinished;
    return Done::ready(HttpResult<void>());
  }
  if (sized_ && unsent_ > 0) {
    answer_ = Answer::kBroken;
    return Done::ready(fail(HttpError::kTruncated));
  }
  return send({}, true, &trailers);
}

net::Task<void> H2Exchange::refuse(int status, std::string what, std::string id) {
  Fields extra;
  if (!id.empty()) extra.add("x-request-id", id);
  if (is_grpc(request_)) {
    static_cast<void>(co_await respond_grpc(*this, status, what, extra));
    co_return;
  }
  const std::string text = fmt::format("{} {}: {}\n", status, reason_phrase(status), what);
  static_cast<void>(co_await respond(status, "text/plain; charset=utf-8", text, &extra));
}

net::Task<void> H2Exchange::refuse_head(int status, std::string what) {
  // What could not be read is not shown.
  static const RequestHead kNone;
  const RequestHead& head = status == 413 ? std::as_const(request_) : kNone;
  std::string id = connection_.server().handler.refused({.status = status,
                                                         .head = head,
                                                         .client = connection_.client(),
                                                         .received_at = received_at_,
                                                         .secure = secure()});
  return refuse(status, std::move(what), std::move(id));
}

net::Task<void> H2Exchange::settle() {
  if (answer_ == Answer::kFinished || stream_.broken()) co_return;
  if (begun() || close_after_ || body_error_ == HttpError::kIo) {
    stream_.reset(begun() ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL);
    co_return;
  }
  const int status = body_error_ ? status_of(*body_error_) : 500;
  std::string what =
      body_error_ ? body_fault(*body_error_, options_.max_body) : "the request was not answered";
  co_await refuse(status, std::move(what));
}

// --- H2Connection ---

H2Connection::H2Connection(std::shared_ptr<ServerState> server, net::Stream stream)
    : server_(std::move(server)), client_(stream.peer()) {
  session_ = std::make_shared<H2Session>(server_->executor, std::move(stream),
                                         H2Session::Role::kServer, options_of(server_->options),
                                         [this](std::unique_ptr<H2Stream> arrived) {
                                           auto serving = serve(self_.lock(), std::move(arrived));
                                           server_->executor.spawn(std::move(serving));
                                         });
  server_->opened(*this);
}

H2Connection::~H2Connection() { server_->closed(*this); }

net::Task<void> H2Connection::run(std::shared_ptr<H2Connection> self, H2Start start) {
  self->self_ = self;
  self->upgraded_ = std::move(start.upgraded);
  if (self->upgraded_) {
    const bool is_head = self->upgraded_->head.get(":method") == "HEAD";
    if (!self->session_->upgrade(self->upgraded_->settings, is_head)) co_return;
  }
  if (self->server_->draining) self->session_->drain();
  auto running = H2Session::run(self->session_, start.received);
  co_await running;
}

net::Task<void> H2Connection::serve(std::shared_ptr<H2Connection> self,
                                    std::unique_ptr<H2Stream> arrived) {
  const auto stream = std::move(arrived);  // ends before what it belongs to
  H2Exchange exchange(*self, *stream);
  // Of an upgrade it came in another form.
  const bool first = self->upgraded_ && stream->id() == 1;
  const auto fault = exchange.read_head(first ? self->upgraded_->head : stream->head());
  const ServerOptions& options = self->server_->options;
  if (fault) {
    co_await exchange.refuse_head(fault->status, fault->what);
    co_return;
  }
  if (exchange.request().body.kind == BodyLength::Kind::kSized &&
      exchange.request().body.size > options.max_body) {
    co_await exchange.refuse_head(413, body_fault(HttpError::kBodyTooLarge, options.max_body));
    co_return;
  }
  const RequestHead& head = exchange.request();
  try {
    auto served = self->server_->handler.serve(exchange);
    co_await served;
  } catch (const std::exception& e) {
    log::error("http", "handler failed on {} {}: {}", head.method, head.target, e.what());
  } catch (...) {
    log::error("http", "handler failed on {} {}", head.method, head.target);
  }
  co_await exchange.settle();
}

}  // namespace ebb::http
