// The parts of Exchange that follow from its virtual functions, and what belongs to no version.
#include "http/server.h"

namespace ebb::http {

net::Task<HttpResult<std::string>> Exchange::read_all(size_t limit) {
  std::string body;
  const BodyLength length = request().body;
  if (length.kind == BodyLength::Kind::kSized) {
    if (length.size > limit) co_return fail(HttpError::kBodyTooLarge);
    body.reserve(std::min<size_t>(length.size, 64 * 1024));  // not more on a mere announcement
  }
  for (;;) {
    const auto piece = co_await read_body();
    if (!piece) co_return fail(piece.error());
    if (piece->empty()) co_return body;
    if (piece->size() > limit - body.size()) co_return fail(HttpError::kBodyTooLarge);
    body.append(*piece);
  }
}

net::Task<HttpResult<void>> Exchange::finish() {
  static const Fields kNone;
  return finish(kNone);
}

net::Task<HttpResult<void>> Exchange::respond(int status, std::string_view content_type,
                                              std::string_view body, const Fields* extra) {
  ResponseHead head;
  head.status = status;
  head.body = BodyLength::sized(body.size());
  if (extra != nullptr) head.fields = *extra;
  if (!content_type.empty()) head.fields.add("Content-Type", content_type);
  auto done = co_await begin(head);
  if (done && !body.empty()) done = co_await write(body);
  if (done) done = co_await finish();
  co_return done;
}

std::string body_fault(HttpError error, uint64_t max_body) {
  switch (error) {
    case HttpError::kTimeout:
      return "the request's body did not come on in time";
    case HttpError::kBodyTooLarge:
      return fmt::format("the request's body is larger than {} bytes", max_body);
    case HttpError::kHeadTooLarge:
      return "the trailers behind the request's body are too large";
    case HttpError::kTruncated:  // a client that ended only its side reads it
      return "the request's body ended early";
    case HttpError::kClosed:
    case HttpError::kIo:
      return "";
    case HttpError::kMalformed:
    case HttpError::kUnsupported:
    case HttpError::kVersion:
      break;
  }
  return "the request's body is not valid HTTP";
}

}  // namespace ebb::http
