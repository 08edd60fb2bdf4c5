// What happened to one request: filled along its path, then counted (metrics.h) and
// logged (access_log.h).
//
// A value; belongs to the executor that serves the request.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "net/block_cache.h"
#include "serving/cut.h"
#include "serving/queue_proxy.h"
#include "serving/refusal.h"
#include "serving/routing_table.h"

namespace ebb::serving {

// The parts of a cold start, in their order.
enum class Phase {
  kQueue,      // from the request's first byte until a pod was asked for; also the wait
               // for room in pods that there are
  kSchedule,   // until a pod was given to the revision
  kPod,        // until it began to load the code
  kCode,       // until the code was loaded
  kFirstByte,  // until the answer began
};
inline constexpr size_t kPhases = 5;
inline constexpr std::array<std::string_view, kPhases> kPhaseNames = {"queue", "schedule", "pod",
                                                                      "code", "first_byte"};

// The status that nginx logs where nobody waited for an answer.
inline constexpr int kClientLeftStatus = 499;

struct RequestRecord {
  // --- What was asked ---
  TimePoint received_at{};
  net::RecycledString id;
  std::shared_ptr<const Route> route;  // shared: with the routing table; null: no such host
  const Backend* backend = nullptr;    // of that route; null: it had none
  bool secure = false;                 // came over TLS

  // --- How it went ---
  std::shared_ptr<QueueProxy> pod;  // shared: outlives the pod; the last one that was tried
  TimePoint asked_at{};             // when it began to wait for that one; {}: it got it at once
  TimePoint granted_at{};           // when it got its slot there; {}: it never had one
  TimePoint first_byte_at{};        // of the answer; {}: the pod gave none
  TimePoint ended_at{};
  bool no_pods = false;       // when it began to wait for that one
  Duration waited{};          // for slots, in all; without the time in a pod that it was lost with
  bool cold = false;          // it waited for a pod's start
  int sendings = 0;           // to pods, one after another
  bool retry_denied = false;  // it might have been sent again, but for the budget
  int status = 0;             // of the answer, or kClientLeftStatus
  uint64_t bytes_in = 0;      // of the bodies, without framing
  uint64_t bytes_out = 0;
  bool upgraded = false;
  std::optional<Cut> cut = std::nullopt;          // why the answer was begun and not finished
  std::optional<Refusal> refused = std::nullopt;  // why the gateway answered itself

  [[nodiscard]] int retries() const { return std::max(0, sendings - 1); }
};

// How long each phase of a cold start took. `code` is known from the Local Controller,
// whose word may come after the answer has begun: until then pod, code and first_byte
// cannot be told apart, and `whole_start` has all three.
struct ColdStart {
  std::array<Duration, kPhases> phases{};
  bool split = false;
  Duration whole_start{};
};
// Of a request that was cold and has an answer.
[[nodiscard]] ColdStart cold_start_of(const RequestRecord& record);

// The value of a Server-Timing field (W3C), in ms: "queue;dur=0.021, ..., total;dur=1.904".
[[nodiscard]] std::string server_timing(const RequestRecord& record);

}  // namespace ebb::serving
