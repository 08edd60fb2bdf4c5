#include "scaling/adaptive.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "scaling/average.h"
#include "scaling/erlang.h"

namespace ebb::scaling {

namespace {

constexpr Duration kSecond = std::chrono::seconds(1);

// After so long without a metric, what was seen before says nothing about now.
Duration silence_of(Duration window) { return std::max(window, Duration(10 * kSecond)); }

// What a rise is seen in, and what the steady load is: the wish is kept for a whole
// window anyway.
Duration brief_of(Duration window) { return std::max(kSecond, window / 10); }
Duration calm_of(Duration window) { return std::max(kSecond, window / 3); }

}  // namespace

Adaptive::Adaptive(const AdaptiveSettings& settings)
    : settings_(settings),
      brief_(brief_of(settings.window)),
      slow_(calm_of(settings.window)),
      fast_(brief_),
      ends_(settings.window),
      peak_(settings.window),
      idle_time_(settings.window) {}

void Adaptive::observe(const Metric& metric) {
  if (!is_sound(metric)) return;
  // The first sample after a rest spans a part of a second: what it saw is no rate.
  const double part = std::clamp(to_seconds(metric.period), 0.0, 1.0);
  const Duration span = std::max(metric.period, kSecond);
  const double concurrency = part * std::max(0.0, load_of(metric, MetricKind::kConcurrency));
  const double requests = part * std::max(0.0, load_of(metric, MetricKind::kRequests));
  const double queued = std::clamp(part * sane(metric.queued), 0.0, concurrency);
  const double inside = concurrency - queued;
  const double ended = part * std::max(0.0, sane(metric.ended));
  const double service = part * std::max(0.0, sane(metric.service_seconds));
  if (last_metric_ && metric.at - (span - kSecond) - *last_metric_ > silence_of(settings_.window)) {
    slow_ = Load(calm_of(settings_.window));
    fast_ = Load(brief_);
  }
  for (Load* load : {&slow_, &fast_}) load->record(metric.at, {inside, queued, requests}, span);
  calls_ = std::max({calls_ + requests * to_seconds(span), ended, concurrency});
  ends_.record(metric.at, {ended > 0 ? service : 0, ended}, span);
  last_metric_ = std::max(last_metric_.value_or(metric.at), metric.at);
  if (concurrency > 0 || requests > 0 || ended > 0) note_activity(metric.at);
}

void Adaptive::note_activity(TimePoint at) {
  if (last_active_ && at <= *last_active_) return;
  if (last_active_) {
    // Back soon after the pods went: the next time they stay until it comes. Back much
    // later: nobody would have waited for that.
    const Duration gap = at - *last_active_;
    const Duration most = settings_.window * kMostIdle;
    if (gap > idle_time_) {
      idle_time_ = gap <= most ? std::min(gap + gap / 4, most) : settings_.window;
    }
  }
  last_active_ = at;
}

double Adaptive::service() const {
  const double ended = ends_.value(kEnded);
  if (!(ended > 0)) return to_seconds(settings_.assumed_service);
  return std::max(ends_.value(kServed) / ended, 1e-6);
}

double Adaptive::offered(const Load& load) const {
  // Full pods hide load that waits; arrivals see it, once a service time is known. But no
  // more than is there (Little: all in the system is what arrives in a service time and a
  // wait): a few arrivals in a second, each of minutes, are not minutes of such arrivals.
  const double inside = load.value(kInside);
  const double arriving = ends_.value(kEnded) > 0 ? load.value(kArrivals) * service() : 0;
  const double offered = std::max(inside, std::min(arriving, inside + load.value(kQueued)));
  // The first call begins what is looked at: n calls are n - 1 gaps, and one is no rate.
  return calls_ > 1 ? offered * (calls_ - 1) / calls_ : 0;
}

// The part of a brief average that is not chance: a sum of requests in the system over
// T seconds of which each stays S varies by 2 S / T of its mean.
double Adaptive::significant(double load) const {
  constexpr double kDeviations = 2;
  const double share = std::min(1.0, 2 * service() / to_seconds(brief_));
  return std::max(0.0, load - kDeviations * std::sqrt(load * share));
}

double Adaptive::slots_of(const Situation& situation) const {
  return situation.pod_concurrency > 0 ? situation.pod_concurrency : settings_.target;
}

double Adaptive::budget() const {
  return std::max(to_seconds(settings_.wait), settings_.patience * service());
}

Adaptive::Wish Adaptive::steady(double load, const Situation& situation) const {
  const double slots = slots_of(situation);
  const double wait = budget();
  const bool quick = situation.start_time > Duration(0) && to_seconds(situation.start_time) <= wait;
  // Below one slot a pod would be a fraction of a server: then pods are the servers.
  // Beyond kMostSlots the answer hardly changes, and is found one slot at a time.
  constexpr int kMostSlots = 1000;
  const int step = std::clamp(to_pods(slots), 1, kMostSlots);
  const double servers = load * step / slots;
  if (quick) return {pods_for(load, slots), false};
  const int needed = servers_for({.load = servers,
                                  .service = service(),
                                  .wait = wait,
                                  .share = settings_.share,
                                  .step = step});
  return {static_cast<int>((static_cast<int64_t>(needed) + step - 1) / step), true};
}

int Adaptive::now_needed(const Situation& situation) const {
  const double slots = slots_of(situation);
  const double seconds = service();
  const double start = to_seconds(situation.start_time);
  const double inside = std::max(0, situation.in_flight);
  const double ready = std::max(0, situation.ready) * slots;
  const int held = pods_for(inside, slots);
  // Taken by free slots, or by busy ones before a start is over.
  const double free = std::max(0.0, ready - inside);
  const double freed = std::min(ready, inside) * start / seconds;
  const double left = situation.waiting - free - freed;
  if (!(left > 0)) return held;
  // Pods that are not ready yet, those on the way included: once they are, what is left
  // is to be served within `wait`, or within as much again as it waited for the start.
  const double until = std::max(budget(), start);
  const int fresh = pods_for(left * std::min(1.0, seconds / until), slots);
  return std::max(held, to_pods(static_cast<double>(std::max(0, situation.ready)) + fresh));
}

Decision Adaptive::decide(const Situation& situation) {
  Decision decision;
  const TimePoint now = situation.now;
  if (busy(situation)) note_activity(now);
  const Duration silence = silence_of(settings_.window);
  if (!busy(situation) && (!last_metric_ || now - *last_metric_ > silence)) {
    if (situation.explain) {
      decision.reason = "no metrics in the window: the last amount stays";
    }
    return decision;
  }
  decision.valid = true;
  // What was seen before a rest says nothing about now.
  const bool fresh = last_metric_ && now - *last_metric_ <= silence;
  const double slow = fresh ? offered(slow_) : 0;
  const double fast = fresh ? offered(fast_) : 0;
  decision.stable = slow;
  decision.panic_value = fast;
  const double slots = slots_of(situation);
  decision.excess_burst_capacity = to_pods(
      std::floor(std::max(0, situation.ready) * slots - situation.in_flight - situation.waiting));
  // As long as somebody measured it: silence is not known to be rest.
  const TimePoint known = last_metric_ && !busy(situation) ? std::min(now, *last_metric_) : now;
  if (!last_active_ || known - *last_active_ >= idle_time_) {
    peak_ = MovingPeak(settings_.window);  // a new life begins with what it needs
    calls_ = 0;
    if (situation.explain) {
      decision.reason = fmt::format("no request for {:.0f} s", to_seconds(idle_time_));
    }
    return decision;
  }

  const double rising = significant(fast);
  const double load = std::max(slow, rising);
  const auto [calm, spare] = steady(load, situation);
  const int urgent = now_needed(situation);
  const int wish = std::max({1, calm, urgent});
  decision.panic = urgent > calm || rising > slow;
  wish_ = wish;
  peak_.record(now, wish);
  decision.desired = peak_.value();
  if (!situation.explain) return decision;
  if (urgent > calm) {
    decision.reason = fmt::format("{} in pods and {} waiting now -> {}", situation.in_flight,
                                  situation.waiting, urgent);
  } else {
    const std::string aim = spare ? fmt::format("at most {:g} % wait over {:.3g} ms",
                                                settings_.share * 100, budget() * 1000)
                                  : fmt::format("none to spare, a start takes {:.0f} ms",
                                                to_seconds(situation.start_time) * 1000);
    decision.reason = fmt::format("{} load {:.2f}, {:.0f} a pod, {} -> {}",
                                  rising > slow ? "rising" : "steady", load, slots, aim, wish);
  }
  if (decision.desired > wish) {
    decision.reason += fmt::format(", kept at {} for the window", decision.desired);
  }
  return decision;
}

}  // namespace ebb::scaling
