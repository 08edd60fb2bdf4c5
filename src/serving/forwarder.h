// Passes one request to the pod that it holds a slot of, and the answer back.
// Bodies stream both ways with back-pressure and at bounded memory.
//
//   const auto outcome = co_await forward(exchange, connections, throttler, std::move(slot),
//   options); if (outcome == Forwarded::kUnreached) ...   // nothing reached the pod: try another
#pragma once

#include "base/clock.h"
#include "http/server.h"
#include "net/task.h"
#include "serving/pod_connections.h"
#include "serving/throttler.h"

namespace ebb::serving {

struct ForwardOptions {
  std::string function;  // "hello", for messages
  TimePoint deadline;    // of the whole request
  TimePoint response_start_deadline;
  Duration idle{};  // longest silence inside the answer; 0: none
};

enum class Forwarded {
  kAnswered,   // by the pod or by an error answer
  kUnreached,  // the pod's socket refused: no byte of the request has left, none was
               // answered
};

// `slot` is held until the answer has been sent.
[[nodiscard]] net::Task<Forwarded> forward(http::Exchange& exchange, PodConnections& connections,
                                           std::shared_ptr<Throttler> throttler, Slot slot,
                                           ForwardOptions options);

}  // namespace ebb::serving
