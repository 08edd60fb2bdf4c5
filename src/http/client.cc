#include "http/client.h"

#include <optional>
#include <string>

#include "http/chars.h"
#include "http/head_parser.h"
#include "http/head_writer.h"
#include "http/input.h"

namespace ebb::http {

struct ClientConnection::Impl {
  Impl(net::Stream s, HeadLimits limits)
      : stream(std::move(s)), input(limits.bytes, InputBuffer::kBodyBlock), parser(limits) {}

  enum class Request : uint8_t { kNone, kBody, kSent };
  enum class Response : uint8_t { kNone, kHead, kDone };

  void begin_exchange(std::string_view method, BodyLength length);
  [[nodiscard]] bool append_head(std::string_view method, std::string_view target,
                                 const Fields& fields);
  [[nodiscard]] net::Task<HttpResult<void>> send(std::string_view piece, TimePoint deadline);
  [[nodiscard]] net::Task<HttpResult<std::string_view>> read_more(TimePoint deadline);
  [[nodiscard]] bool reusable() const;
  // Ends the connection's usefulness.
  [[nodiscard]] tl::unexpected<HttpError> give_up(HttpError error) {
    failed = true;
    return fail(error);
  }
  [[nodiscard]] tl::unexpected<HttpError> give_up(net::IoError error) {
    reset = reset || error == net::IoError::kClosed;
    return give_up(to_http_error(error, response_begun));
  }

  net::Stream stream;
  InputBuffer input;
  HeadParser parser;
  ResponseHead head;
  BodyDecoder decoder;
  Request request = Request::kSent;  // before the first request: as after one
  Response response = Response::kDone;
  BodyLength body;             // of the request; kNone, kSized or kChunked
  uint64_t unsent = 0;         // kSized: announced and not yet written
  std::string out;             // the head, and the framing of a chunk
  int interim = 0;             // heads of the answer so far
  bool given_interim = false;  // the last of them is still in use
  bool to_head = false;
  bool response_begun = false;
  bool failed = false;
  bool reset = false;  // an operation failed because the peer closed
};

void ClientConnection::Impl::begin_exchange(std::string_view method, BodyLength length) {
  // Without a body the head is all there is to send.
  request = length.kind == BodyLength::Kind::kNone ? Request::kSent : Request::kBody;
  response = Response::kNone;
  body = length.kind == BodyLength::Kind::kUntilClose ? BodyLength::chunked() : length;
  unsent = body.kind == BodyLength::Kind::kSized ? body.size : 0;
  to_head = method == "HEAD";
  response_begun = false;
  interim = 0;
  given_interim = false;
  decoder = BodyDecoder();
  input.begin_message();
  parser.reset();
  out.clear();
}

bool ClientConnection::Impl::append_head(std::string_view method, std::string_view target,
                                         const Fields& fields) {
  if (!is_token(method) || !is_target(target)) return false;
  out.append(method).append(" ").append(target).append(" HTTP/1.1\r\n");
  for (const Field& field : fields) {
    if (iequals(field.name, "content-length") || iequals(field.name, "transfer-encoding")) continue;
    if (!append_field(out, field.name, field.value)) return false;
  }
  // A method that usually has a body says so if it has none (RFC 9110 8.6).
  const bool expects_body = method == "POST" || method == "PUT" || method == "PATCH";
  if (body.kind == BodyLength::Kind::kChunked) {
    append_framing(out, FramingField::kChunked, 0);
  } else if (body.kind == BodyLength::Kind::kSized || expects_body) {
    append_framing(out, FramingField::kContentLength, unsent);
  }
  out.append("\r\n");
  return true;
}

net::Task<HttpResult<void>> ClientConnection::Impl::send(std::string_view piece,
                                                         TimePoint deadline) {
  std::string_view tail;
  if (body.kind != BodyLength::Kind::kChunked) {
    if (piece.size() > unsent) co_return give_up(HttpError::kMalformed);
    unsent -= piece.size();
  } else if (!piece.empty()) {  // an empty chunk would end the body
    append_hex(out, piece.size());
    out.append("\r\n");
    tail = "\r\n";
  }
  if (out.empty() && piece.empty()) co_return HttpResult<void>();
  const auto sent = co_await stream.write_all(out, piece, tail, deadline);
  out.clear();
  if (!sent) co_return give_up(sent.error());
  co_return HttpResult<void>();
}

net::Task<HttpResult<std::string_view>> ClientConnection::Impl::read_more(TimePoint deadline) {
  const auto piece = co_await read_piece(stream, input, decoder, deadline);
  if (!piece) co_return give_up(piece.error());
  if (decoder.done()) response = Response::kDone;
  co_return piece;
}

bool ClientConnection::Impl::reusable() const {
  return !failed && request == Request::kSent && response == Response::kDone && head.keep_alive &&
         input.empty();
}

ClientConnection::ClientConnection(net::Stream stream, HeadLimits limits)
    : impl_(std::make_unique<Impl>(std::move(stream), limits)) {}
ClientConnection::ClientConnection(ClientConnection&&) noexcept = default;
ClientConnection& ClientConnection::operator=(ClientConnection&&) noexcept = default;
ClientConnection::~ClientConnection() = default;

net::Task<HttpResult<void>> ClientConnection::send_head(std::string_view method,
                                                        std::string_view target,
                                                        const Fields& fields, BodyLength body,
                                                        std::string_view first_body,
                                                        TimePoint deadline) {
  using Done = net::Task<HttpResult<void>>;
  Impl& c = *impl_;
  if (!c.reusable()) return Done::ready(fail(HttpError::kMalformed));
  c.begin_exchange(method, body);
  if (!c.append_head(method, target, fields)) {
    c.response = Impl::Response::kDone;  // none will come: nothing was asked
    return Done::ready(c.give_up(HttpError::kMalformed));
  }
  return c.send(first_body, deadline);
}

net::Task<HttpResult<void>> ClientConnection::send_body(std::string_view piece,
                                                        TimePoint deadline) {
  Impl& c = *impl_;
  if (c.failed || c.request != Impl::Request::kBody) co_return fail(HttpError::kMalformed);
  co_return co_await c.send(piece, deadline);
}

net::Task<HttpResult<void>> ClientConnection::finish_body(const Fields& trailers,
                                                          TimePoint deadline) {
  Impl& c = *impl_;
  if (c.failed) co_return fail(HttpError::kMalformed);
  if (c.request == Impl::Request::kSent) co_return HttpResult<void>();
  if (c.unsent > 0) co_return c.give_up(HttpError::kTruncated);
  if (c.body.kind == BodyLength::Kind::kChunked) {
    c.out = "0\r\n";
    for (const Field& field : trailers) {
      if (!append_field(c.out, field.name, field.value)) co_return c.give_up(HttpError::kMalformed);
    }
    c.out += "\r\n";
    const auto sent = co_await c.stream.write_all(c.out, deadline);
    c.out.clear();
    if (!sent) co_return c.give_up(sent.error());
  }
  c.request = Impl::Request::kSent;
  co_return HttpResult<void>();
}

net::Task<HttpResult<ResponseHead*>> ClientConnection::next_head(TimePoint deadline) {
  Impl& c = *impl_;
  if (c.response != Impl::Response::kNone) co_return fail(HttpError::kMalformed);
  if (std::exchange(c.given_interim, false)) {
    c.input.begin_message();
    c.parser.reset();
  }
  for (;;) {
    const auto size = c.parser.response(c.input.unread_view(), c.to_head, c.head);
    if (!size) co_return c.give_up(size.error().code);
    if (*size > 0) {
      c.input.consume(*size);
      if (c.head.is_interim()) {
        if (++c.interim > kMaxInterim) co_return c.give_up(HttpError::kMalformed);
        c.given_interim = true;
        co_return &c.head;
      }
      c.input.pin_head();
      c.decoder = BodyDecoder(c.head.body);
      c.response = c.decoder.done() ? Impl::Response::kDone : Impl::Response::kHead;
      co_return &c.head;
    }
    const auto received = co_await c.stream.read_some(c.input.head_space(), deadline);
    if (!received) co_return c.give_up(received.error());
    if (*received == 0) {
      co_return c.give_up(c.response_begun ? HttpError::kTruncated : HttpError::kClosed);
    }
    c.response_begun = true;
    c.input.added(*received);
  }
}

net::Task<HttpResult<std::string_view>> ClientConnection::read_body(TimePoint deadline) {
  using Piece = net::Task<HttpResult<std::string_view>>;
  Impl& c = *impl_;
  if (c.response == Impl::Response::kDone) return Piece::ready(std::string_view());
  if (c.response != Impl::Response::kHead) return Piece::ready(fail(HttpError::kMalformed));
  if (c.input.empty()) return c.read_more(deadline);
  // A small body has come with its head.
  const auto step = c.decoder.decode(c.input.unread());
  if (!step) return Piece::ready(c.give_up(step.error().code));
  c.input.consume(step->consumed);
  if (c.decoder.done()) c.response = Impl::Response::kDone;
  if (step->data.empty()) return read_body(deadline);
  return Piece::ready(step->data);
}

const Fields& ClientConnection::trailers() const { return impl_->decoder.trailers(); }
bool ClientConnection::reusable() const { return impl_->reusable(); }
bool ClientConnection::response_begun() const { return impl_->response_begun; }
bool ClientConnection::was_reset() const { return impl_->reset; }
TunnelEnd ClientConnection::tunnel_end() {
  return {.stream = &impl_->stream, .received = impl_->input.unread_view()};
}
net::Stream& ClientConnection::stream() { return impl_->stream; }

std::unique_ptr<ClientConnection> ConnectionPool::take(bool may_break) {
  while (!idle_.empty()) {
    auto last = std::move(idle_.back().connection);
    idle_.pop_back();
    const bool known = may_break && last->stream().quiet_so_far();
    last->stream().unwatch();
    if (known || last->stream().quiet()) return last;
  }
  return nullptr;
}

void ConnectionPool::put(std::unique_ptr<ClientConnection> connection, TimePoint now) {
  if (!connection || !connection->reusable() || max_idle_ == 0) return;
  if (idle_.size() == max_idle_) idle_.pop_front();
  connection->stream().watch();
  idle_.push_back({std::move(connection), now});
}

void ConnectionPool::sweep(TimePoint before) {
  std::erase_if(idle_, [before](const Idle& idle) {
    const net::Stream& stream = idle.connection->stream();
    return idle.since < before || (!stream.quiet_so_far() && !stream.quiet());
  });
}

}  // namespace ebb::http
