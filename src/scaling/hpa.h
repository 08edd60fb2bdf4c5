// The algorithm of the Kubernetes HorizontalPodAutoscaler (autoscaling/v2): average
// use of resources or custom metrics over a target, with `behavior`.
//
// Source: kubernetes pkg/controller/podautoscaler (replica_calculator.go,
// horizontal.go), 1.20 with what later versions added: tolerance per direction, no
// scale-down while some metric is unknown, stabilization that never turns a rise
// into a fall. Integer division where Kubernetes has it. All amounts are int64 in
// thousandths of the metric's unit (CPU: millicores; 1 GiB of memory: 2^30 * 1000).
// Time is passed in. Not thread-safe.
//
//   Hpa hpa({.max = 10, .metrics = {{.target = 80}}});   // CPU at 80 % of the request
//   HpaResult result = hpa.decide(input);
//   if (result.valid) scale(result.desired);
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace ebb::scaling {

// --- What a user declares ---

struct HpaMetricSpec {
  enum class Source { kResource, kContainerResource, kPods, kObject, kExternal };
  enum class Type {
    kUtilization,   // percent of the request; kResource and kContainerResource only
    kAverageValue,  // thousandths, per pod
    kValue,         // thousandths, in all; kObject and kExternal only
  };
  Source source = Source::kResource;
  std::string name = "cpu";
  std::string container{};  // kContainerResource
  Type type = Type::kUtilization;
  int64_t target = 80;
};

// One direction of `behavior`.
struct HpaRules {
  enum class Unit { kPods, kPercent };
  enum class Select { kMax, kMin, kDisabled };
  struct Rate {
    Unit unit = Unit::kPercent;
    int value = 100;
    Duration period = std::chrono::seconds(15);
  };
  Duration window{};  // stabilization
  Select select = Select::kMax;
  std::vector<Rate> rates;
  std::optional<double> tolerance{};  // unset: HpaSpec::tolerance
};

struct HpaBehavior {
  HpaRules up{.window = Duration(0),
              .rates = {{HpaRules::Unit::kPods, 4}, {HpaRules::Unit::kPercent, 100}},
              .tolerance = {}};
  HpaRules down{.window = std::chrono::seconds(300),
                .rates = {{HpaRules::Unit::kPercent, 100}},
                .tolerance = {}};
};

struct HpaSpec {
  int min = 1;
  int max = 1;
  std::vector<HpaMetricSpec> metrics{HpaMetricSpec{}};
  std::optional<HpaBehavior> behavior{};  // unset: at most max(2 x current, 4), and 300 s down
  double tolerance = 0.1;
  Duration downscale_stabilization = std::chrono::seconds(300);  // without `behavior`
  Duration cpu_initialization = std::chrono::seconds(300);
  Duration initial_readiness = std::chrono::seconds(30);
};

// kInvalid with what is wrong: bounds, targets, periods over 1800 s, windows over
// 3600 s, a minimum of 0 without an Object or External metric.
[[nodiscard]] Result<void> validate(const HpaSpec& spec);

// --- What was seen ---

struct HpaContainer {
  std::string name;
  int64_t cpu_request = 0;     // 0: none
  int64_t memory_request = 0;  // 0: none
};

struct HpaPod {
  bool deleted = false;
  enum class Phase { kPending, kRunning, kFailed } phase = Phase::kRunning;
  std::optional<bool> ready = true;  // unset: the pod has no Ready condition
  TimePoint ready_changed{};
  std::optional<TimePoint> started = TimePoint{};
  std::vector<HpaContainer> containers{};
};

// What one metric of the spec read, in the spec's order.
struct HpaReading {
  struct Sample {
    size_t pod = 0;     // index into HpaInput::pods
    int64_t value = 0;  // of all containers, or of the named one
    TimePoint at{};
    Duration window{};
  };
  std::string error{};            // why there is none
  int64_t total = 0;              // kObject, kExternal
  std::vector<Sample> samples{};  // the others: at most one for each pod
};

struct HpaInput {
  TimePoint now{};
  int current = 0;             // replicas wanted at present
  std::vector<HpaPod> pods{};  // that the selector finds
  std::vector<HpaReading> readings{};
};

// --- What it decides ---

struct HpaCondition {
  bool status = true;
  std::string reason{};
};

struct HpaResult {
  bool valid = false;  // false: the replicas stay
  int desired = 0;
  int proposed = 0;  // by the metrics, before limits
  std::string text;  // for a person
  HpaCondition able_to_scale{};
  HpaCondition scaling_active{};
  HpaCondition scaling_limited{false, ""};
};

class Hpa final {
 public:
  // How often Kubernetes decides; rates without `behavior` are per decision.
  static constexpr Duration kDecidePeriod = std::chrono::seconds(15);

  // The spec is taken as valid.
  explicit Hpa(HpaSpec spec) : spec_(std::move(spec)) {}

  // Counts the change it decides as made. The replicas of the first call count as a
  // recommendation, so that a restart does not scale down.
  [[nodiscard]] HpaResult decide(const HpaInput& input);

  // A change of the replicas that someone else made.
  void record_change(TimePoint at, int change);

  [[nodiscard]] const HpaSpec& spec() const { return spec_; }

 private:
  struct Timed {
    TimePoint at;
    int value;
  };
  void normalize(const HpaInput& input, HpaResult& result);
  [[nodiscard]] int stabilized(const HpaInput& input, int desired, HpaResult& result);
  [[nodiscard]] int limited(const HpaInput& input, int desired, HpaResult& result) const;
  [[nodiscard]] int rate_limit(const HpaRules& rules, int current, TimePoint now, int sign) const;
  [[nodiscard]] int changed_within(TimePoint now, Duration period, int sign) const;

  HpaSpec spec_;
  std::deque<Timed> recommendations_;
  std::deque<Timed> changes_;  // up: above zero
};

}  // namespace ebb::scaling
