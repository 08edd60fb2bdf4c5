// What the engine knows of requests, pods and functions. Internal to sim/engine*.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "control/idle_times.h"
#include "scaling/keep_alive.h"
#include "scaling/policy.h"
#include "scaling/start_times.h"
#include "sim/trace.h"

namespace ebb::sim {

inline constexpr uint32_t kNone = UINT32_MAX;

// One that waits; of those that run only the end is known, as an event.
struct Request {
  int64_t arrived = 0;
  int64_t service = 0;
  uint32_t next = kNone;
};

// Requests linked through Request::next, oldest first.
struct RequestList {
  uint32_t head = kNone;
  uint32_t tail = kNone;
  [[nodiscard]] bool empty() const { return head == kNone; }
};

struct PodState {
  enum class Phase : uint8_t { kGone, kStarting, kReady, kDraining };
  Phase phase = Phase::kGone;
  uint32_t live = kNone;         // its function's Live
  uint32_t cluster_pod = kNone;  // where it is
  uint32_t position = 0;         // in Live::pods
  uint32_t life = 0;             // of this slot; tells whether a timer is out of date
  int in_flight = 0;
  int64_t given_at = 0;
  int64_t busy_since = 0;
  int64_t busy_ns = 0;
  int64_t unload_at = 0;         // on demand, while it is idle
  int64_t timer_at = INT64_MAX;  // of the event that looks at that; one for many uses
  int64_t expires_at = -1;       // on demand: of a pod that was loaded ahead and not used
  RequestList bound;             // came while it starts
};

// A function where something happens.
struct Live {
  FunctionId function = 0;
  std::unique_ptr<scaling::Policy> policy;
  std::unique_ptr<control::IdleTimes> idle;  // null: the last pod goes after a fixed time
  std::vector<uint32_t> pods;  // that take requests, in the order in which they are filled
  size_t first_free = 0;       // pods before it are full
  RequestList queue;
  int waiting = 0;
  int ready = 0;
  int draining = 0;
  int in_system = 0;
  int loading = 0;  // of those: in pods that are not ready yet
  int want = 0;
  scaling::PendingStarts starting;
  bool ticking = false;  // is sampled and decided for
  bool resting = false;  // see IdlePromise
  bool crowd_told = false;
  int missing = 0;          // pods that it waits for
  uint32_t generation = 0;  // of this slot; tells whether a timer is out of date
  // Since the last sample.
  double area = 0;         // request-ns
  double queued_area = 0;  // likewise, of those without a slot, or whose pod loads
  double service = 0;      // s
  int64_t changed_at = 0;
  int64_t sampled_at = 0;
  int64_t last_active = 0;
  int64_t last_load_at = 0;  // of the last sample that was not zero
  uint32_t arrivals = 0;
  uint32_t ended = 0;
  int64_t panic_since = 0;  // of the last decision: when load outran the pods last
  bool panic = false;       // of the last decision
  bool panic_ends = false;  // load does not outrun the pods any more
  bool calm = false;        // the last decision was for at most one pod, without panic
};

// Of a pod that may go for others.
struct Worth {
  double use_clock = 0;        // of the EvictionOrder when it was used last
  std::optional<double> rank;  // while it is idle
};

// What is known of a function's starts, also at rest.
struct Starts {
  Duration mean{};  // from the wish for a pod, see scaling::smoothed_start
  Duration last{};  // of a pod by itself
};

// On demand: what stays of a function while it has no pod.
struct Kept {
  std::unique_ptr<scaling::KeepAlive> policy;
  int64_t last_end = 0;
  uint32_t calls = 0;
  uint32_t uses = 0;  // of its pods, since it last had none
};

}  // namespace ebb::sim
