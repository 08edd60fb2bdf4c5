// What of a request's body did not go with its head, on its way to the pod beside the answer.
//
// Belongs to the executor of the request, and is used by one coroutine.
//
//   Upload upload(request, deadline);
//   upload.begin(connection);
//   ... reads the answer ...
//   co_await upload.end();   // due before it, or the connection, goes
#pragma once

#include <optional>

#include "base/clock.h"
#include "http/client_exchange.h"
#include "net/one_shot.h"
#include "net/task.h"
#include "serving/outgoing_request.h"

namespace ebb::serving {

class Upload final {
 public:
  Upload(OutgoingRequest& request, TimePoint deadline) : request_(request), deadline_(deadline) {}
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  // Ends what the head began, if that was all of the request.
  [[nodiscard]] net::Task<void> finish(http::ClientExchange& connection);
  // Passes on all that comes from the client, until end(). If the client fails, the connection
  // is closed: that wakes who waits for the answer.
  void begin(http::ClientExchange& connection);
  [[nodiscard]] net::Task<void> end();
  [[nodiscard]] bool begun() const { return running_.has_value(); }

  // The pod was given all of the body.
  [[nodiscard]] bool complete() const { return complete_; }
  // Nothing of it is still to be given.
  [[nodiscard]] bool done() const { return !begun() || complete_; }
  // Since when it is the pod that has to go on: it was given all of the request, or does not
  // take a piece that has come. {}: since the head was sent. nullopt while the client is
  // waited for.
  [[nodiscard]] std::optional<TimePoint> pods_turn() const { return pods_turn_; }

  // The client failed to send its body.
  void client_failed(http::HttpError error) { client_error_ = error; }
  [[nodiscard]] std::optional<http::HttpError> client_error() const { return client_error_; }

 private:
  [[nodiscard]] net::Task<void> run(http::ClientExchange& connection,
                                    net::OneShot<bool>::Sender done);

  OutgoingRequest& request_;
  const TimePoint deadline_;
  std::optional<net::OneShot<bool>::Receiver> running_ = std::nullopt;
  bool ending_ = false;
  bool complete_ = false;
  std::optional<TimePoint> pods_turn_ = TimePoint();
  std::optional<http::HttpError> client_error_ = std::nullopt;
};

}  // namespace ebb::serving
