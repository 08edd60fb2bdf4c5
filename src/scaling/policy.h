// The scaling model: metric -> decision -> amount. Pure: no I/O, no clock of its
// own, so that production, tests and the simulator run the very same code.
//
// A Policy is fed Metrics as they are seen, is asked for a Decision, and the
// Decision becomes an Amount within the Bounds. One policy object per scaled
// thing (a revision; later a node pool). Not thread-safe.
//
//   auto policy = make_kpa(settings, ready, now);            // scaling/kpa.h
//   policy->observe({.at = now, .concurrency = 12});
//   Decision d = policy->decide({.now = now, .ready = 1});
//   Amount a = amount(d, bounds);
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace ebb::scaling {

// What a load is counted in.
enum class MetricKind {
  kConcurrency,  // requests in the system
  kRequests,     // requests that arrive in a second
};

// What one pod used at the time of a Metric. Only policies that look at resources (hpa, lua)
// get it.
struct PodUsage {
  uint64_t pod = 0;         // any number that stays with the pod
  double cpu_millis = 0;    // thousandths of a core
  double memory_bytes = 0;  // in use
  bool ready = true;
  TimePoint started{};
  TimePoint ready_changed{};  // when `ready` last became what it is
  TimePoint sampled{};        // when the sample ended
  Duration window{};          // what it spans
};

// How much of the nodes under the pods is in use and where they are short. Parts, 0 to 1.
struct NodeLoad {
  double cpu = 0;     // of all their cores together: in use
  double memory = 0;  // likewise: what nobody could have any more
  // Of the time: somebody was held up for want of it (the kernel's pressure stall
  // information), on the node where that is worst. Unset: no kernel tells.
  std::optional<double> cpu_pressure{};
  std::optional<double> memory_pressure{};
  std::optional<double> io_pressure{};
};

// A number that somebody else told, such as the length of a queue.
struct OutsideNumber {
  std::string name;
  double value = 0;
  std::string error{};  // why there is none; "": there is one
};

// What was seen in one sampling period (1 s). Values of one second add up.
struct Metric {
  TimePoint at{};
  Duration period = std::chrono::seconds(1);  // that it spans; less after a rest
  double concurrency = 0;                     // time-weighted average of requests in the system
  double proxied_concurrency = 0;             // the part already counted elsewhere
  double requests = 0;                        // arrivals in the period
  double proxied_requests = 0;
  double queued = 0;             // the part of `concurrency` that waited: for a slot, or for
                                 // its pod to load
  double ended = 0;              // requests that a pod answered in the period
  double service_seconds = 0;    // the time that those spent inside pods, summed
  std::vector<PodUsage> pods{};  // empty: nobody measured
  std::vector<OutsideNumber> outside{};
  std::shared_ptr<const NodeLoad> nodes{};  // null: nobody measured
};

// A number from outside: 0 if it is not a number, or beyond a thousand million, where a
// sum would lose the small ones.
[[nodiscard]] double sane(double value);

// The metric's load of a kind, without what another hop already counted; sane.
[[nodiscard]] double load_of(const Metric& metric, MetricKind kind);

// Whether all its numbers are some. One that is not is no metric: whoever gets it does as if
// nobody had measured, and keeps the amount once that has lasted. (Of Knative's kpa they
// are 0.)
[[nodiscard]] bool is_sound(const Metric& metric);

// nullptr if nobody told it.
[[nodiscard]] const OutsideNumber* outside_number(std::span<const OutsideNumber> told,
                                                  std::string_view name);

// What a policy may look at besides its metrics.
struct Situation {
  TimePoint now{};
  int ready = 0;            // pods that serve
  int starting = 0;         // pods on the way
  bool reachable = true;    // some route sends traffic here
  int in_flight = 0;        // requests inside pods at this moment
  int waiting = 0;          // requests held for want of a slot at this moment
  int pod_concurrency = 0;  // requests that one pod takes at a time; 0: no limit
  Duration start_time{};    // from the wish for a pod until it is ready, as measured; 0: unknown
  WallTime wall{};          // 1970: not known
  // False: nobody will read Decision::reason, which may then be empty; nothing else differs.
  // To make the text costs several times what the decision does.
  bool explain = true;
};

// What the policy wishes, and why.
struct Decision {
  bool valid = false;             // false: nothing known; keep the last amount
  int desired = 0;                // pods, before bounds
  bool panic = false;             // short-window mode is on
  int excess_burst_capacity = 0;  // requests that could come on top without waiting
  double stable = 0;              // the average over the stable window, in the metric's unit
  double panic_value = 0;         // over the panic window
  // One line for a person: "stable 14.2 / target 7.0 -> 3". See Situation::explain.
  std::string reason;
  std::string error{};  // what a user must mend in a policy of theirs; "": nothing
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual void observe(const Metric& metric) = 0;
  [[nodiscard]] virtual Decision decide(const Situation& situation) = 0;
};

// A wish as a count: not a number is 0, and what no machine has is the largest int.
[[nodiscard]] int to_pods(double pods);

// Whether someone is served or waits at this moment: then there is at least one pod.
[[nodiscard]] inline bool busy(const Situation& situation) {
  return situation.in_flight > 0 || situation.waiting > 0;
}

// What a user allows.
struct Bounds {
  int min = 0;
  int max = 0;  // 0: unlimited
};

// The decision within the bounds. An unreachable revision ignores its minimum. The
// decision must be valid: an invalid one means that the last amount stays.
[[nodiscard]] int amount(const Decision& decision, const Bounds& bounds, bool reachable);

}  // namespace ebb::scaling
