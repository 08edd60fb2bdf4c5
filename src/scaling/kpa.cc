#include "scaling/kpa.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "scaling/knative_capacity.h"

namespace ebb::scaling {

namespace {

constexpr double kDefaultConcurrency = 100;
constexpr double kDefaultRequests = 200;
constexpr double kDefaultUtilization = 0.7;
constexpr double kMinTarget = 0.01;

MetricKind other(MetricKind kind) {
  return kind == MetricKind::kConcurrency ? MetricKind::kRequests : MetricKind::kConcurrency;
}

}  // namespace

void KpaSettings::set_target(const TargetWish& wish) {
  const double limit = wish.container_concurrency;
  if (metric == MetricKind::kRequests) {
    total = wish.target.value_or(kDefaultRequests);
  } else if (limit > 0) {
    total = std::min(wish.target.value_or(limit), limit);
  } else {
    total = wish.target.value_or(kDefaultConcurrency);
  }
  target = std::max(kMinTarget, total * wish.utilization.value_or(kDefaultUtilization));
}

Duration KpaSettings::panic_window() const {
  // Whole nanoseconds first, then a half second upwards, as in Knative.
  const double exact = static_cast<double>(stable_window.count()) * panic_window_percentage / 100;
  const Duration half = std::chrono::milliseconds(500);
  const Duration rounded = Duration(static_cast<int64_t>(exact)) + half;
  return std::max(std::chrono::seconds(1), std::chrono::floor<std::chrono::seconds>(rounded));
}

// What one window asks for, before and after the rates.
struct Kpa::Wish {
  double unbounded = 0;
  double pods = 0;
  const char* limit = "";  // why the two differ, for the reason line
};

Kpa::Kpa(const KpaSettings& settings, int ready_at_creation, TimePoint now)
    : settings_(settings),
      load_{Window(settings.stable_window, settings.weighting),
            Window(settings.panic_window(), settings.weighting)},
      panic_pods_(ready_at_creation) {
  if (settings.scale_down_delay > Duration(0)) {
    delay_.emplace(settings.scale_down_delay, kDecisionPeriod);
  }
  if (settings.switchable_metric) other_ = load_;
  if (ready_at_creation > 1) panic_since_ = now;
}

void Kpa::update(const KpaSettings& settings, TimePoint now) {
  const MetricKind metric = settings_.metric;
  settings_ = settings;
  if (!other_) {
    settings_.metric = metric;
  } else if (settings.metric != metric) {
    std::swap(load_, *other_);
  }
  for (Load* load : {&load_, other_ ? &*other_ : nullptr}) {
    if (load == nullptr) continue;
    load->stable.resize(settings.stable_window, now);
    load->panic.resize(settings.panic_window(), now);
  }
}

void Kpa::observe(const Metric& metric) {
  // What spans more is as many zeros.
  const bool long_one = metric.period >= std::chrono::seconds(2);
  const auto record = [&](Load& load, MetricKind kind) {
    const double value = load_of(metric, kind);
    for (Window* window : {&load.stable, &load.panic}) {
      if (long_one && value == 0) {
        window->pass(metric.at);
      } else {
        window->record(metric.at, value);
      }
    }
  };
  record(load_, settings_.metric);
  if (other_) record(*other_, other(settings_.metric));
}

Kpa::Wish Kpa::wish(double average, const Situation& situation) const {
  const double pods = std::max(1, situation.ready);
  const double most = std::ceil(settings_.max_scale_up_rate * pods);
  const double least = situation.reachable ? std::floor(pods / settings_.max_scale_down_rate) : 0.0;
  Wish wish;
  wish.unbounded = std::ceil(average / settings_.target);
  wish.pods = std::min(std::max(wish.unbounded, least), most);
  if (wish.pods < wish.unbounded) wish.limit = ", held by the scale-up rate";
  if (wish.pods > wish.unbounded) wish.limit = ", held by the scale-down rate";
  if (settings_.activation_scale > 1 && wish.unbounded > 0 &&
      settings_.activation_scale > wish.pods) {
    wish.pods = settings_.activation_scale;
    wish.limit = ", raised to the activation scale";
  }
  return wish;
}

void Kpa::update_panic(double wanted, const Situation& situation) {
  const double threshold = settings_.panic_threshold_percentage / 100;
  if (wanted / std::max(1, situation.ready) >= threshold) {
    panic_since_ = situation.now;
  } else if (panic_since_ && *panic_since_ + settings_.stable_window < situation.now) {
    panic_since_.reset();
    panic_pods_ = 0;
  }
}

Decision Kpa::decide(const Situation& situation) {
  Decision decision;
  // Without a burst limit all traffic passes the activator, whose silence is knowledge.
  if (settings_.target_burst_capacity >= 0 && load_.stable.empty(situation.now)) {
    if (situation.explain) {
      decision.reason = "no metrics in the stable window: the last amount stays";
    }
    return decision;
  }
  decision.valid = true;
  decision.stable = load_.stable.average(situation.now);
  decision.panic_value = load_.panic.average(situation.now);

  const Wish stable = wish(decision.stable, situation);
  const Wish panic = wish(decision.panic_value, situation);
  update_panic(panic.unbounded, situation);

  decision.panic = panic_since_.has_value();
  if (decision.panic) {
    const double wanted = std::max(stable.pods, panic.pods);
    panic_pods_ = std::max(panic_pods_, to_pods(wanted));
    decision.desired = panic_pods_;
    if (situation.explain) {
      const bool by_panic = panic.pods >= stable.pods;
      decision.reason =
          fmt::format("panic: {} {:.1f} / target {:.1f} -> {}{}", by_panic ? "burst" : "stable",
                      by_panic ? decision.panic_value : decision.stable, settings_.target,
                      to_pods(wanted), by_panic ? panic.limit : stable.limit);
      if (panic_pods_ > to_pods(wanted)) {
        decision.reason += fmt::format(", kept at {} until the panic ends", panic_pods_);
      }
    }
  } else {
    decision.desired = to_pods(stable.pods);
    if (situation.explain) {
      decision.reason = fmt::format("stable {:.1f} / target {:.1f} -> {}{}", decision.stable,
                                    settings_.target, decision.desired, stable.limit);
    }
  }

  if (delay_ && situation.reachable) {
    delay_->record(situation.now, decision.desired);
    if (delay_->max() > decision.desired) {
      decision.desired = delay_->max();
      if (situation.explain) {
        decision.reason += fmt::format(", kept at {} by the scale-down delay", decision.desired);
      }
    }
  }
  decision.excess_burst_capacity = excess_burst_capacity(
      {settings_.total, settings_.target_burst_capacity}, situation.ready, decision.panic_value);
  return decision;
}

std::unique_ptr<Policy> make_kpa(const KpaSettings& settings, int ready_at_creation,
                                 TimePoint now) {
  return std::make_unique<Kpa>(settings, ready_at_creation, now);
}

}  // namespace ebb::scaling
