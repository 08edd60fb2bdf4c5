#include "serving/upload.h"

namespace ebb::serving {

net::Task<void> Upload::finish(http::ClientExchange& connection) {
  const http::Fields trailers = passed_on(request_.exchange().trailers());
  const auto finished = co_await connection.finish_body(trailers, deadline_);
  complete_ = finished.has_value();
}

void Upload::begin(http::ClientExchange& connection) {
  net::Executor& executor = request_.exchange().executor();
  auto shot = net::OneShot<bool>::make(executor);
  running_.emplace(std::move(shot.receiver));
  executor.spawn(run(connection, shot.sender));
}

net::Task<void> Upload::run(http::ClientExchange& connection, net::OneShot<bool>::Sender done) {
  http::Exchange& exchange = request_.exchange();
  // The next piece takes its place.
  if (!request_.first().empty()) request_.body_passed_on();
  while (!ending_) {
    pods_turn_.reset();
    const auto piece = co_await exchange.read_body();
    pods_turn_ = exchange.executor().now();
    if (!piece) {
      // kClosed: by end().
      if (piece.error() != http::HttpError::kClosed) client_failed(piece.error());
      connection.close();
      break;
    }
    request_.record().bytes_in += piece->size();
    request_.body_passed_on();  // its end, too
    if (piece->empty()) {
      co_await finish(connection);
      pods_turn_ = exchange.executor().now();
      break;
    }
    const auto sent = co_await connection.send_body(*piece, deadline_);
    if (!sent) break;  // the answer, or its absence, tells why
  }
  done.set(true);
}

net::Task<void> Upload::end() {
  if (!running_) co_return;
  ending_ = true;
  request_.exchange().cancel_read();
  auto ending = running_->wait(kNever);
  static_cast<void>(co_await ending);
  running_.reset();
}

}  // namespace ebb::serving
