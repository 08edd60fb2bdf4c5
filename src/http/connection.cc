#include "http/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <optional>

#include "base/base64.h"
#include "base/log.h"
#include "http/chars.h"
#include "http/number.h"
#include "net/executor.h"

namespace ebb::http {

namespace {

// A client that vanished without a word is noticed after two minutes.
void watch_for_death(int fd) {
  const int on = 1;
  const int idle_s = 60;
  const int interval_s = 15;
  const int probes = 4;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

// Without padding (RFC 4648 5).
std::optional<std::string> from_base64url(std::string_view text) {
  std::string usual(text);
  std::ranges::replace(usual, '-', '+');
  std::ranges::replace(usual, '_', '/');
  constexpr size_t kGroup = 4;
  while (usual.size() % kGroup != 0) usual += '=';
  return from_base64(usual);
}

}  // namespace

Connection::Connection(ServerState& server, net::Stream stream)
    : server_(server),
      stream_(std::move(stream)),
      client_(stream_.peer()),
      input_(server.options.head.bytes),
      parser_(server.options.head) {
  server_.opened(*this);
}

Connection::~Connection() { server_.closed(*this); }

void Connection::close_if_idle() {
  // A request that is on its way in is still served.
  if (idle_ && stream_.quiet()) stream_.close();
}

void Connection::cut() {
  const struct ::linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(stream_.native_handle(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  stream_.close();
}

net::Task<void> Connection::run() {
  if (secure()) {
    const bool secured = co_await shake_hands();
    if (!secured) co_return;
    if (server_.options.http2 && stream_.protocol() == "h2") {
      http2_.emplace();
      co_return;
    }
  }
  for (;;) {
    const bool received = co_await read_head();
    if (!received) co_return;
    served_ = true;
    begin_exchange();
    if (auto upgrade = asks_for_http2()) {
      co_await upgrade_to_http2(*std::move(upgrade));
      co_return;
    }
    if (request_.body.kind == BodyLength::Kind::kSized &&
        request_.body.size > server_.options.max_body) {
      const std::string what = body_fault(HttpError::kBodyTooLarge, server_.options.max_body);
      co_await refuse_head(413, what);
      co_return;
    }
    try {
      auto served = server_.handler.serve(*this);
      co_await served;
    } catch (const std::exception& e) {
      log::error("http", "handler failed on {} {}: {}", request_.method, request_.target, e.what());
    } catch (...) {
      log::error("http", "handler failed on {} {}", request_.method, request_.target);
    }
    if (settled()) continue;
    const bool goes_on = co_await settle();
    if (!goes_on) co_return;
  }
}

bool Connection::settled() const {
  return response_ == Response::kFinished && !tunnel_ && !body_error_ && !close_after_ &&
         decoder_.done();
}

net::Task<bool> Connection::shake_hands() {
  const ServerOptions& options = server_.options;
  const auto context = options.tls->current();
  auto accepting =
      net::accept_tls(stream_, *context, server_.executor.now() + options.handshake_timeout);
  const auto secured = co_await accepting;
  if (secured) co_return true;
  const Error& error = secured.error();
  if (error.code == Errc::kCanceled) co_return false;  // by a drain
  if (options.tls_failures != nullptr) ++*options.tls_failures;
  log::debug("http", "{} at {}: {}", client_.to_string(), server_.address.to_string(),
             error.message);
  if (error.code == Errc::kInvalid) {
    co_await refuse(400, "this port speaks TLS: write https:// instead of http://");
  }
  co_return false;
}

net::Task<bool> Connection::read_head() {
  input_.begin_message();
  parser_.reset();
  idle_ = input_.empty();
  received_at_ = server_.executor.turn_time();
  TimePoint deadline =
      received_at_ + (idle_ ? server_.options.idle_timeout : server_.options.head_timeout);
  for (;;) {
    const auto http2 = begins_http2();
    if (http2 == true) {
      http2_.emplace();
      co_return false;
    }
    if (!input_.empty() && http2 == false) {
      const auto size = parser_.request(input_.unread_view(), request_);
      if (!size) {
        request_ = RequestHead();  // may be half read
        co_await refuse_head(status_of(size.error().code), size.error().what);
        co_return false;
      }
      if (*size > 0) {
        input_.consume(*size);
        input_.pin_head();
        co_return true;
      }
    }
    // A new one has drain()'s grace: its first request may be on the way.
    if (idle_ && served_ && server_.draining && stream_.quiet()) co_return false;
    const auto received = co_await stream_.read_some(input_.head_space(), deadline);
    if (!received) {
      if (received.error() == net::IoError::kTimeout && !idle_) {
        request_ = RequestHead();
        co_await refuse_head(408, "the request head took too long");
      }
      co_return false;
    }
    if (*received == 0) co_return false;
    if (idle_) {
      idle_ = false;
      received_at_ = server_.executor.turn_time();
      deadline = received_at_ + server_.options.head_timeout;
    }
    input_.added(*received);
  }
}

std::optional<bool> Connection::begins_http2() const {
  // Over TLS the handshake has said what is spoken.
  if (served_ || !server_.options.http2 || secure()) return false;
  const auto begin = input_.unread_view().substr(0, kH2Preface.size());
  if (!kH2Preface.starts_with(begin)) return false;
  if (begin.size() == kH2Preface.size()) return true;
  return std::nullopt;
}

// RFC 7540 3.2. A body would have to come first, so only requests without one; over TLS
// there is ALPN for it. What is wrong with it is served as HTTP/1.1, as the client expects.
std::optional<UpgradedRequest> Connection::asks_for_http2() const {
  if (!server_.options.http2 || secure() || !request_.upgrade || request_.minor_version == 0 ||
      !decoder_.done() || !request_.fields.has_token("upgrade", "h2c") ||
      request_.fields.count("http2-settings") != 1 ||
      !request_.fields.has_token("connection", "http2-settings") ||
      !request_.target.starts_with('/')) {
    return std::nullopt;
  }
  auto settings = from_base64url(*request_.fields.get("http2-settings"));
  constexpr size_t kEntry = 6;  // bytes
  if (!settings || settings->size() % kEntry != 0) return std::nullopt;
  UpgradedRequest out{.settings = *std::move(settings), .head = {}};
  const HeadLimits& limits = server_.options.head;
  bool added = out.head.add(":method", request_.method, limits) &&
               out.head.add(":path", request_.target, limits) &&
               out.head.add(":authority", request_.authority, limits);
  std::string name;
  for (const Field& field : request_.fields) {
    if (is_hop_by_hop(field.name) || iequals(field.name, "http2-settings") ||
        iequals(field.name, "host") || request_.fields.has_token("connection", field.name)) {
      continue;
    }
    name.assign(field.name);
    std::ranges::transform(name, name.begin(), to_lower);
    added = added && out.head.add(name, field.value, limits);
  }
  if (!added) return std::nullopt;
  return out;
}

net::Task<void> Connection::upgrade_to_http2(UpgradedRequest request) {
  out_ = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
  const auto sent = co_await send({}, {});
  if (!sent) co_return;
  http2_.emplace();
  http2_->upgraded = std::move(request);
}

H2Start Connection::take_http2() {
  watch_for_death(stream_.native_handle());
  http2_->received = input_.unread_view();
  http2_->stream = std::move(stream_);
  return *std::move(http2_);
}

void Connection::begin_exchange() {
  decoder_ = BodyDecoder(request_.body);
  ahead_ = {};
  body_error_.reset();
  body_touched_ = continued_ = close_after_ = false;
  response_ = Response::kNone;
  framing_ = Framing::kNoBody;
  unsent_ = 0;
  send_by_ = kNever;
  out_.clear();
}

net::Task<bool> Connection::settle() {
  if (response_ == Response::kNone) {
    if (close_after_ || body_error_ == HttpError::kIo) {
      stream_.close();
    } else if (!body_error_) {
      co_await refuse(500, "the request was not answered");
    } else {
      const std::string what = body_fault(*body_error_, server_.options.max_body);
      co_await refuse(status_of(*body_error_), what);
    }
    co_return false;
  }
  if (tunnel_) co_return false;
  if (response_ != Response::kFinished) {
    cut();
    co_return false;
  }
  if (body_error_ || continue_due()) {
    co_await linger_and_close(server_.executor.now() + kSkipTime);
    co_return false;
  }
  // Some clients know only from the connection's end that they have the whole answer.
  if (close_after_) stream_.shutdown_write();
  // Closing with bytes unread resets the connection, which may hit the answer.
  const TimePoint skip_end = server_.executor.now() + kSkipTime;
  const bool skipped = co_await skip_body(skip_end);
  if (skipped && !close_after_) co_return true;
  const bool all_read = skipped && input_.empty() && stream_.quiet();
  const bool too_large = decoder_.received() > server_.options.max_body;
  if (!all_read) {
    co_await linger_and_close(too_large ? skip_end : server_.executor.now() + kLingerTime);
  }
  co_return false;
}

net::Task<bool> Connection::skip_body(TimePoint end) {
  while (!decoder_.done()) {
    const auto piece = co_await read_piece(stream_, input_, decoder_, skip_deadline(end));
    if (!piece || decoder_.received() > server_.options.max_body) co_return false;
  }
  co_return true;
}

TimePoint Connection::skip_deadline(TimePoint& end) const {
  const TimePoint now = server_.executor.turn_time();
  if (server_.draining) end = std::min(end, now + kLingerTime);
  return std::min(end, now + kSkipPause);
}

net::Task<void> Connection::linger_and_close(TimePoint end) {
  stream_.shutdown_write();
  for (;;) {
    const auto received =
        co_await stream_.read_some(input_.body_space(InputBuffer::kBodyBlock), skip_deadline(end));
    if (!received || *received == 0) break;
  }
  stream_.close();
}

net::Task<void> Connection::refuse_head(int status, std::string_view what) {
  const std::string id = server_.handler.refused({.status = status,
                                                  .head = request_,
                                                  .client = client_,
                                                  .received_at = received_at_,
                                                  .secure = secure()});
  co_await refuse(status, what, id);
}

net::Task<void> Connection::refuse(int status, std::string_view what, std::string_view request_id) {
  std::string body = fmt::format("{} {}: {}\n", status, reason_phrase(status), what);
  out_ = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n"
      "Connection: close\r\nDate: {}\r\n",
      status, reason_phrase(status), body.size(), server_.date.at(std::time(nullptr)));
  if (!request_id.empty()) out_.append("X-Request-Id: ").append(request_id).append("\r\n");
  out_ += "\r\n";
  if (request_.method == "HEAD") body.clear();
  const auto sent = co_await send(body, {});
  const bool has_body = request_.body.kind != BodyLength::Kind::kNone;
  if (sent) {
    co_await linger_and_close(server_.executor.now() + (has_body ? kSkipTime : kLingerTime));
  }
}

net::Task<HttpResult<void>> Connection::send(std::string_view piece, std::string_view tail) {
  // A small one joins the head: one block costs the kernel less than several.
  if (piece.size() + tail.size() <= kJoined) {
    out_.append(piece).append(tail);
    piece = tail = {};
  }
  const TimePoint deadline =
      std::min(send_by_, server_.executor.turn_time() + server_.options.write_timeout);
  const auto sent = co_await stream_.write_all(out_, piece, tail, deadline);
  out_.clear();
  if (!sent) {
    response_ = Response::kBroken;
    co_return fail(to_http_error(sent.error(), false));
  }
  co_return HttpResult<void>();
}

bool Connection::continue_due() const {
  return request_.expects_continue && !continued_ && !body_touched_ && !decoder_.done();
}

net::Task<HttpResult<std::string_view>> Connection::read_body() {
  using Piece = net::Task<HttpResult<std::string_view>>;
  if (body_error_) return Piece::ready(fail(*body_error_));
  if (!ahead_.empty()) return Piece::ready(std::exchange(ahead_, {}));
  if (decoder_.done()) return Piece::ready(std::string_view());
  return read_more();
}

net::Task<HttpResult<void>> Connection::send_continue() {
  if (!continue_due() || !input_.empty()) co_return HttpResult<void>();
  if (begun()) co_return fail(HttpError::kClosed);
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  continued_ = true;
  body_touched_ = true;
  const auto sent = co_await send(kContinue, {});
  if (!sent) body_error_ = HttpError::kIo;
  co_return sent;
}

net::Task<bool> Connection::body_comes(TimePoint until) {
  if (body_error_ || decoder_.done() || !ahead_.empty()) co_return true;
  const auto continued = co_await send_continue();
  if (!continued) co_return true;
  const auto piece = co_await read_decoded(until);
  if (piece) {
    ahead_ = *piece;
  } else if (piece.error() == HttpError::kTimeout) {
    co_return false;
  } else {
    body_error_ = piece.error();
  }
  co_return true;
}

net::Task<HttpResult<std::string_view>> Connection::read_decoded(TimePoint deadline) {
  body_touched_ = true;
  auto piece = co_await read_piece(stream_, input_, decoder_, deadline);
  if (piece && decoder_.received() > server_.options.max_body) {
    piece = fail(HttpError::kBodyTooLarge);
  }
  co_return piece;
}

void Connection::cancel_read() {
  read_canceled_ = true;
  stream_.cancel_read();
}

net::Task<HttpResult<std::string_view>> Connection::read_more() {
  read_canceled_ = false;
  const auto continued = co_await send_continue();
  if (!continued) co_return fail(continued.error());
  if (read_canceled_) co_return fail(HttpError::kClosed);
  auto piece = co_await read_decoded(server_.executor.now() + server_.options.body_timeout);
  if (!piece && read_canceled_) co_return fail(HttpError::kClosed);
  if (!piece) body_error_ = piece.error();
  co_return piece;
}

bool Connection::append_head(const ResponseHead& head) {
  const bool bodiless = head.status == 204 || head.status == 304;
  FramingField field = FramingField::kOmit;
  uint64_t size = 0;
  switch (head.body.kind) {
    case BodyLength::Kind::kNone:
    case BodyLength::Kind::kSized:
      size = head.body.kind == BodyLength::Kind::kSized ? head.body.size : 0;
      framing_ = Framing::kSized;
      field = FramingField::kContentLength;
      break;
    case BodyLength::Kind::kChunked:
    case BodyLength::Kind::kUntilClose:
      framing_ = request_.minor_version > 0 ? Framing::kChunked : Framing::kUntilClose;
      field = request_.minor_version > 0 ? FramingField::kChunked : FramingField::kOmit;
      break;
  }
  // The answer to HEAD names the length of the body that GET would get, if it is known.
  if (request_.method == "HEAD" && head.body.kind == BodyLength::Kind::kNone) {
    const auto told = content_length(head.fields);
    size = told.value_or(0);
    if (!told) field = FramingField::kOmit;
  }
  // 304 may name the length of what it stands for; 204 has none.
  if (bodiless && (head.status == 204 || size == 0)) field = FramingField::kOmit;
  if (bodiless || request_.method == "HEAD") framing_ = Framing::kNoBody;
  unsent_ = size;
  close_after_ = close_after_ || !request_.keep_alive || server_.draining ||
                 body_error_.has_value() || continue_due() || framing_ == Framing::kUntilClose;

  if (!append_status_line(out_, head.status, head.reason)) return false;
  if (!append_fields(head.fields)) return false;
  append_framing(out_, field, size);
  if (close_after_) {
    out_.append("Connection: close\r\n");
  } else if (request_.minor_version == 0) {
    out_.append("Connection: keep-alive\r\n");
  }
  if (!head.fields.get("date")) {
    out_.append("Date: ").append(server_.date.at(std::time(nullptr))).append("\r\n");
  }
  out_.append("\r\n");
  return true;
}

bool Connection::append_fields(const Fields& fields) {
  const bool has_connection = fields.get("connection").has_value();
  for (const Field& f : fields) {
    if (is_hop_by_hop(f.name) || iequals(f.name, "content-length")) continue;
    if (has_connection && fields.has_token("connection", f.name)) continue;
    if (!append_field(out_, f.name, f.value)) return false;
  }
  return true;
}

bool Connection::append_switch(const ResponseHead& head) {
  if (!append_status_line(out_, 101, head.reason)) return false;
  bool names_protocol = false;
  for (const Field& f : head.fields) {
    const bool upgrade = iequals(f.name, "upgrade");
    names_protocol = names_protocol || upgrade;
    if ((is_hop_by_hop(f.name) && !upgrade) || iequals(f.name, "content-length")) continue;
    if (!append_field(out_, f.name, f.value)) return false;
  }
  out_.append("Connection: Upgrade\r\n\r\n");
  return names_protocol;
}

net::Task<HttpResult<TunnelEnd>> Connection::switch_protocols(const ResponseHead& head) {
  const bool asked = request_.upgrade && request_.minor_version > 0;
  if (begun() || !asked || !decoder_.done() || body_error_) co_return fail(HttpError::kMalformed);
  if (!append_switch(head)) {
    out_.clear();
    co_return fail(HttpError::kMalformed);
  }
  response_ = Response::kFinished;
  tunnel_ = true;
  const auto sent = co_await send({}, {});
  if (!sent) co_return fail(sent.error());
  watch_for_death(stream_.native_handle());
  const TunnelEnd end{.stream = &stream_, .received = input_.unread_view()};
  co_return end;
}

net::Task<HttpResult<void>> Connection::send_interim(const ResponseHead& head) {
  if (begun() || !head.is_interim() || head.status < 100) co_return fail(HttpError::kMalformed);
  if (request_.minor_version == 0) co_return HttpResult<void>();
  if (!append_status_line(out_, head.status, head.reason) || !append_fields(head.fields)) {
    out_.clear();
    co_return fail(HttpError::kMalformed);
  }
  out_.append("\r\n");
  auto sending = send({}, {});
  co_return co_await sending;
}

net::Task<HttpResult<void>> Connection::begin(const ResponseHead& head) {
  using Done = net::Task<HttpResult<void>>;
  if (begun() || head.status < 200 || head.status > 999) {
    return Done::ready(fail(HttpError::kMalformed));
  }
  if (!append_head(head)) {
    out_.clear();
    return Done::ready(fail(HttpError::kMalformed));
  }
  response_ = Response::kBegun;
  return Done::ready(HttpResult<void>());
}

net::Task<HttpResult<void>> Connection::write(std::string_view piece) {
  using Done = net::Task<HttpResult<void>>;
  if (response_ != Response::kBegun) return Done::ready(fail(HttpError::kMalformed));
  std::string_view tail;
  switch (framing_) {
    case Framing::kNoBody:
      piece = {};
      break;
    case Framing::kUntilClose:
      break;
    case Framing::kSized:
      if (piece.size() > unsent_) {
        response_ = Response::kBroken;
        return Done::ready(fail(HttpError::kMalformed));
      }
      unsent_ -= piece.size();
      break;
    case Framing::kChunked:
      if (piece.empty()) break;  // an empty chunk would end the body
      append_hex(out_, piece.size());
      out_.append("\r\n");
      tail = "\r\n";
      break;
  }
  if (out_.empty() && piece.empty()) return Done::ready(HttpResult<void>());
  return send(piece, tail);
}

net::Task<HttpResult<void>> Connection::finish(const Fields& trailers) {
  using Done = net::Task<HttpResult<void>>;
  if (response_ != Response::kBegun) return Done::ready(fail(HttpError::kMalformed));
  if (framing_ == Framing::kSized && unsent_ > 0) {
    response_ = Response::kBroken;
    return Done::ready(fail(HttpError::kTruncated));
  }
  if (framing_ == Framing::kChunked) {
    out_.append("0\r\n");
    if (trailers.size() > 0 && request_.fields.has_token("te", "trailers")) {
      for (const Field& field : trailers) {
        static_cast<void>(append_field(out_, field.name, field.value));
      }
    }
    out_.append("\r\n");
  }
  if (!out_.empty()) return finish_sending();
  response_ = Response::kFinished;
  return Done::ready(HttpResult<void>());
}

net::Task<HttpResult<void>> Connection::finish_sending() {
  const auto sent = co_await send({}, {});
  if (sent) response_ = Response::kFinished;
  co_return sent;
}

}  // namespace ebb::http
