#include "apiserver/blob_endpoint.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apiserver/send.h"

namespace ebb::apiserver {
namespace {

Response refusal_of(const Error& error) { return failure(http_code_of(error.code), error.message); }

Response too_large() {
  return failure(413,
                 fmt::format("a code package has at most {} MiB", BlobEndpoint::kMaxBytes >> 20));
}

}  // namespace

net::Task<void> BlobEndpoint::serve(http::Exchange& exchange, std::string digest) {
  const std::string_view method = exchange.request().method;
  if (!store::is_blob_digest(digest)) {
    Response refusal = failure(400, "a package is named \"sha256:\" and 64 lower-case hex digits");
    co_await send(exchange, refusal);
  } else if (method == "PUT") {
    co_await put(exchange, std::move(digest));
  } else if (method == "GET") {
    co_await get(exchange, std::move(digest));
  } else if (method == "HEAD") {
    co_await head(exchange, std::move(digest));
  } else {
    Response refusal = failure(405, "only PUT, GET and HEAD are possible here");
    co_await send(exchange, refusal);
  }
}

net::Task<void> BlobEndpoint::put(http::Exchange& exchange, std::string digest) {
  const http::BodyLength length = exchange.request().body;
  bool announced = length.kind == http::BodyLength::Kind::kSized;
  if (announced && length.size > kMaxBytes) {
    Response refusal = too_large();
    co_await send(exchange, refusal);
    co_return;
  }
  auto writer = co_await blobs_.create(digest);
  if (!writer) {
    Response refusal = refusal_of(writer.error());
    co_await send(exchange, refusal);
    co_return;
  }
  uint64_t total = 0;
  std::string buffer;
  Result<void> stored;
  for (bool ended = false; !ended && stored;) {
    auto piece = co_await exchange.read_body();
    if (!piece) co_return;  // the server answers, if anybody is still there
    ended = piece->empty();
    total += piece->size();
    if (total > kMaxBytes) {
      Response refusal = too_large();
      co_await send(exchange, refusal);
      co_return;
    }
    buffer.append(*piece);
    if (buffer.size() < kWritePiece && !ended) continue;
    std::string full = std::exchange(buffer, {});
    stored = co_await (*writer)->write(std::move(full));
  }
  if (stored) stored = co_await (*writer)->commit();
  Response response;
  if (stored) {
    response.code = 201;
    response.body["digest"] = digest;
    response.body["size"] = total;
  } else {
    response = refusal_of(stored.error());
  }
  co_await send(exchange, response);
}

net::Task<void> BlobEndpoint::get(http::Exchange& exchange, std::string digest) {
  auto reader = co_await blobs_.open(std::move(digest));
  if (!reader) {
    Response refusal = refusal_of(reader.error());
    co_await send(exchange, refusal);
    co_return;
  }
  http::ResponseHead response;
  response.fields.add("Content-Type", "application/x-tar");
  response.body = http::BodyLength::sized((*reader)->size());
  auto sent = co_await exchange.begin(response);
  while (sent) {
    auto piece = co_await (*reader)->read();
    if (!piece) co_return;  // cut: the client sees that it is not whole
    if (piece->empty()) break;
    sent = co_await exchange.write(*piece);
  }
  if (sent) (void)co_await exchange.finish();
}

net::Task<void> BlobEndpoint::head(http::Exchange& exchange, std::string digest) {
  auto found = co_await blobs_.find(digest);
  if (!found || !*found) {
    Response refusal = found ? failure(404, digest + " is not stored") : refusal_of(found.error());
    co_await send(exchange, refusal);
    co_return;
  }
  http::ResponseHead response;
  response.fields.add("Content-Type", "application/x-tar");
  response.body = http::BodyLength::sized((*found)->size);
  auto sent = co_await exchange.begin(response);
  if (sent) (void)co_await exchange.finish();
}

}  // namespace ebb::apiserver
