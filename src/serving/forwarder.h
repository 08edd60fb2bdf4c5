// Passes one request to the pod that it holds a slot of, and the answer back.
// Bodies stream both ways with back-pressure and at bounded memory.
//
//   OutgoingRequest request(exchange, record);
//   const auto outcome = co_await forward(request, connections, throttler, std::move(slot),
//                                         options);
//   if (outcome == Forwarded::kUnreached) ...   // nothing reached its code: try another
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/server.h"
#include "net/task.h"
#include "serving/metrics.h"
#include "serving/outgoing_request.h"
#include "serving/pod_connections.h"
#include "serving/throttler.h"

namespace ebb::serving {

enum class ServerTiming {
  kOff,
  kCold,  // on answers that waited for a pod's start
  kAll,
};

struct ForwardOptions {
  std::string_view function;  // "hello", for messages
  TimePoint deadline;         // of the whole request
  Duration timeout{};         // which that came from
  Duration response_start{};  // the pod's time for the first byte
  Duration idle{};            // longest silence of the pod; 0: none
  uint64_t max_body = 0;      // that the server takes, for messages
  Duration tunnel_grace{};    // for an upgraded connection whose pod drains
  bool may_replay = true;     // it was not sent a second time yet
  ServerTiming timing = ServerTiming::kCold;
  GatewayCounters* counters = nullptr;
};

enum class Forwarded {
  kAnswered,   // by the pod or by an error answer
  kUnreached,  // the pod's socket refused, or it ended with its node while it was loading
  kReplay,     // the connection broke, and the request may be sent again
};

// `slot` is held until the answer has been sent. The rest must outlive the task.
[[nodiscard]] net::Task<Forwarded> forward(OutgoingRequest& request, PodConnections& connections,
                                           const std::shared_ptr<Throttler>& throttler, Slot slot,
                                           const ForwardOptions& options);

}  // namespace ebb::serving
