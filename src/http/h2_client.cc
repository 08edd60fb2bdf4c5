#include "http/h2_client.h"

#include <nghttp2/nghttp2.h>

#include "http/chars.h"
#include "http/number.h"
#include "net/executor.h"

namespace ebb::http {
namespace {

bool is_only_of_http1(std::string_view name) {
  return is_hop_by_hop(name) || iequals(name, "host") || iequals(name, "content-length") ||
         iequals(name, "http2-settings");
}

}  // namespace

std::shared_ptr<H2Session> open_h2_client(net::Executor& executor, net::Stream stream) {
  auto session = std::make_shared<H2Session>(executor, std::move(stream), H2Session::Role::kClient,
                                             H2Options());
  auto running = H2Session::run(session, "");
  executor.spawn(std::move(running));
  return session;
}

net::Task<HttpResult<void>> H2ClientExchange::send_head(std::string_view method,
                                                        std::string_view target,
                                                        const Fields& fields, BodyLength body,
                                                        std::string_view first_body,
                                                        TimePoint deadline) {
  if (stream_ || !is_token(method) || !is_target(target)) co_return fail(HttpError::kMalformed);
  const bool more = body.kind != BodyLength::Kind::kNone;
  sized_ = body.kind == BodyLength::Kind::kSized;
  end_rides_ = sized_ && !body.trailers;
  unsent_ = sized_ ? body.size : 0;
  const std::string length = std::to_string(unsent_);
  std::vector<Field> all{{":method", method},
                         {":scheme", "http"},
                         {":authority", fields.get("host").value_or("")},
                         {":path", target}};
  all.reserve(all.size() + fields.size() + 2);
  for (const Field& field : fields) {
    if (!is_only_of_http1(field.name)) all.push_back({field.name, trim(field.value)});
  }
  if (sized_) all.push_back({"content-length", length});
  all.push_back({"te", "trailers"});  // gRPC servers ask for it
  stream_ = session_->submit_request(all, more);
  if (!stream_) co_return fail(session_->has_room() ? HttpError::kMalformed : HttpError::kIo);
  if (!more) {
    session_->flush();
    co_return HttpResult<void>();
  }
  if (first_body.empty()) {
    session_->flush();
    co_return HttpResult<void>();
  }
  auto sent = co_await send_body(first_body, deadline);
  co_return sent;
}

net::Task<HttpResult<void>> H2ClientExchange::send_body(std::string_view piece,
                                                        TimePoint deadline) {
  using Done = net::Task<HttpResult<void>>;
  if (!stream_ || (sized_ && piece.size() > unsent_)) {
    return Done::ready(fail(HttpError::kMalformed));
  }
  if (piece.empty()) return Done::ready(HttpResult<void>());
  if (sized_) unsent_ -= piece.size();
  return stream_->write(piece, end_rides_ && unsent_ == 0, nullptr, deadline);
}

net::Task<HttpResult<void>> H2ClientExchange::finish_body(const Fields& trailers,
                                                          TimePoint deadline) {
  using Done = net::Task<HttpResult<void>>;
  if (!stream_) return Done::ready(fail(HttpError::kMalformed));
  if (stream_->sent_all()) return Done::ready(HttpResult<void>());
  if (unsent_ > 0) return Done::ready(fail(HttpError::kTruncated));
  return stream_->write({}, true, &trailers, deadline);
}

net::Task<HttpResult<ResponseHead*>> H2ClientExchange::next_head(TimePoint deadline) {
  if (!stream_) co_return fail(HttpError::kIo);
  const auto came = co_await stream_->wait_for_head(deadline);
  if (!came) co_return fail(came.error());
  const bool interim = stream_->take_interim(interim_);
  const H2Fields& fields = interim ? interim_ : stream_->head();
  const auto status = to_number<int>(fields.get(":status"));
  head_ = ResponseHead();
  head_.status = status.value_or(0);
  // HTTP/2 has no 101 (RFC 9113 8.6).
  if (head_.status < 100 || head_.status > 999 || head_.is_interim() != interim) {
    co_return fail(HttpError::kMalformed);
  }
  fields.view(head_.fields);
  if (interim || stream_->only_head()) {
    head_.body = BodyLength::none();
  } else if (const auto size = content_length(head_.fields)) {
    head_.body = BodyLength::sized(*size, stream_->may_have_trailers());
  } else {
    head_.body = BodyLength::chunked();
  }
  co_return &head_;
}

net::Task<HttpResult<std::string_view>> H2ClientExchange::read_body(TimePoint deadline) {
  if (!stream_) co_return fail(HttpError::kMalformed);
  const auto piece = co_await stream_->read(deadline);
  if (piece && piece->empty() && trailers_.size() == 0) stream_->trailers().view(trailers_);
  co_return piece;
}

void H2ClientExchange::close() {
  if (stream_) stream_->reset(NGHTTP2_CANCEL);
}

}  // namespace ebb::http
