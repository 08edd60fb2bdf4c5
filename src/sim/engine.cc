#include "sim/engine.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "scheduling/scale_target.h"
#include "sim/engine_impl.h"

namespace ebb::sim {
namespace {

// CPU time of this thread: what the simulation costs on a machine that does other
// things, too.
double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / kNsPerSecond;
}

}  // namespace

Engine::Engine(const Trace& trace, const EngineOptions& options)
    : trace_(trace),
      options_(options),
      arrivals_(trace, options.arrivals),
      timeline_(length(), [this] { return cluster_ ? cluster_->nodes() : 0; }),
      live_of_(trace.size(), kNone) {
  report_.by_function.resize(trace.size());
  starts_.resize(trace.size());
  if (on_demand()) kept_.resize(trace.size());
  if (options.policy.eviction) eviction_.emplace(*options.policy.eviction);
  if (options.cluster) {
    ClusterOptions cluster = *options.cluster;
    cluster.begin = options.begin;
    cluster_.emplace(cluster, [this](int64_t at, Cluster::Event event) {
      events_.push(at, {EventKind::kCluster, event.node, static_cast<int64_t>(event.kind)});
    });
    cluster_->start(0);
    next_tick_ = std::chrono::nanoseconds(std::chrono::seconds(1)).count();
  }
}

// --- Time ---

int64_t Engine::length() const {
  const Duration until = options_.arrivals.until;
  return (until > Duration(0) ? std::min(until, trace_.length) : trace_.length).count();
}

void Engine::advance(int64_t until) {
  while (true) {
    const int64_t rest = rest_ends_.empty() ? INT64_MAX : rest_ends_.begin()->first;
    const int64_t event = events_.next_ns();
    if (std::min({event, rest, next_tick_}) > until) break;
    if (rest <= std::min(event, next_tick_)) {
      end_rests();
    } else if (event <= next_tick_) {
      now_ = event;
      ++report_.events;
      handle(events_.pop());
    } else {
      now_ = next_tick_;
      tick();
    }
  }
}

void Engine::handle(const Event& event) {
  switch (event.kind) {
    case EventKind::kEnd:
      return end(event.a, event.value);
    case EventKind::kPodReady:
      return pod_ready(event.a, static_cast<uint32_t>(event.value));
    case EventKind::kCluster:
      cluster_->happen({static_cast<Cluster::Event::Kind>(event.value), event.a}, now_);
      return serve_line();
    case EventKind::kRelief:
      return relieve_crowds();
    case EventKind::kUnload:
      if (pods_[event.a].life == event.value) unload(event.a);
      return;
    case EventKind::kPrewarm:
      return prewarm(event.a, static_cast<uint32_t>(event.value));
  }
}

Report Engine::run() {
  const double began = cpu_seconds();
  if ((options_.policy.bounds.min > 0 || options_.policy.never_rests) && !on_demand()) {
    for (FunctionId f = 0; f < trace_.size(); ++f) {
      Live& live = activate(f);
      live.last_active = -1;
      start_ticking(live);
      scale(live, options_.policy.bounds.min);
    }
  }
  std::vector<Arrival> minute;
  while (arrivals_.next(minute)) {
    if (options_.progress && length() > 0) {
      options_.progress(static_cast<double>(now_) / static_cast<double>(length()));
    }
    for (const Arrival& arrival : minute) {
      if (arrival.at_ns > now_) {
        advance(arrival.at_ns);
        now_ = arrival.at_ns;
      } else {
        advance(now_);
      }
      arrive(arrival);
    }
  }
  finish();
  report_.wall_s = cpu_seconds() - began;
  return std::move(report_);
}

// What is in the system ends, and the trace's time passes.
void Engine::finish() {
  const int64_t end = std::max(length(), now_);
  const int64_t limit = end + options_.drain.count();
  advance(end);
  while (in_system_ > 0) {
    const int64_t next = std::min(events_.next_ns(), next_tick_);
    // What executes ends by itself, however long it takes.
    if (next > limit && waiting_ > 0) break;
    advance(next);
  }
  const int64_t last = std::max(end, now_);
  report_.unfinished = static_cast<uint64_t>(in_system_);
  report_.simulated_s = to_seconds(Duration(last));
  now_ = last;
  report_.peak_pods = std::max(report_.peak_pods, pods_now_);
  for (uint32_t pod = 0; pod < pods_.size(); ++pod) {
    if (pods_[pod].phase != PodState::Phase::kGone) remove(pod);
  }
  if (cluster_) {
    const auto totals = cluster_->totals(last);
    report_.node_s = totals.node_seconds;
    report_.cold_pod_s = totals.cold_pod_seconds;
    report_.nodes_started = totals.nodes_started;
    report_.peak_nodes = totals.peak_nodes;
    if (totals.policy_errors > 0 && report_.policy_errors == 0) {
      report_.first_policy_error = "nodes: " + totals.first_policy_error;
    }
    report_.policy_errors += totals.policy_errors;
  }
  report_.timeline = timeline_.finish();
  report_.policy = options_.policy.name;
  report_.seed = options_.arrivals.seed;
  report_.functions = trace_.size();
  double logs = 0;
  for (const FunctionReport& f : report_.by_function) {
    if (f.calls == 0) continue;
    ++report_.functions_called;
    logs += std::log(f.slowdown(0.99));
  }
  if (report_.functions_called > 0) {
    report_.slowdown_geomean_p99 = std::exp(logs / static_cast<double>(report_.functions_called));
  }
  if (last > 0) {
    report_.mean_starts_per_s =
        static_cast<double>(report_.pods_started) / to_seconds(Duration(last));
  }
}

// --- Requests ---

void Engine::append(RequestList& list, const Request& request) {
  uint32_t id = 0;
  if (free_requests_.empty()) {
    id = static_cast<uint32_t>(requests_.size());
    requests_.push_back(request);
  } else {
    id = free_requests_.back();
    free_requests_.pop_back();
    requests_[id] = request;
  }
  requests_[id].next = kNone;
  (list.empty() ? list.head : requests_[list.tail].next) = id;
  list.tail = id;
}

Request Engine::take(RequestList& list) {
  const uint32_t id = list.head;
  list.head = requests_[id].next;
  free_requests_.push_back(id);
  return requests_[id];
}

void Engine::pass(Live& live) const {
  const auto passed = static_cast<double>(now_ - live.changed_at);
  live.area += live.in_system * passed;
  live.queued_area += (live.waiting + live.loading) * passed;
  live.changed_at = now_;
}

void Engine::count(Live& live, int change) {
  pass(live);
  live.in_system += change;
  live.last_active = now_;
  in_system_ += change;
}

void Engine::arrive(const Arrival& arrival) {
  timeline_.at(now_);
  timeline_.called();
  ++report_.calls;
  ++report_.by_function[arrival.function].calls;
  if (on_demand()) called(arrival);
  Live& live = activate(arrival.function);
  if (live.resting) wake_up(live, now_);  // the tick of this moment has been
  if (!on_demand() && !live.ticking) start_ticking(live);
  count(live, +1);
  ++live.arrivals;
  const Request request{arrival.at_ns, arrival.service_ns, kNone};
  if (live.queue.empty()) {
    if (const uint32_t pod = pick(live); pod != kNone) return bind(live, pod, request);
  }
  append(live.queue, request);
  ++waiting_;
  if (++live.waiting == 1 && live.missing > 0) keep_place(live);
  if (on_demand()) {
    demand(live);
  } else if (live.pods.empty()) {
    wake(live);
  } else if (!live.crowd_told) {
    crowd(live);
  }
}

// As production's Throttler: the first with room (of those that are ready if starts are slow
// and there is one), or the least busy where pods have no limit.
uint32_t Engine::pick(Live& live) {
  const bool slow = starts_[live.function].last >= scheduling::kSlowLoad;
  if (options_.concurrency == 0) {
    const auto rank = [this, slow](uint32_t pod) {
      const PodState& state = pods_[pod];
      return std::pair(slow && state.phase != PodState::Phase::kReady, state.in_flight);
    };
    const auto least =
        std::min_element(live.pods.begin(), live.pods.end(),
                         [&rank](uint32_t a, uint32_t b) { return rank(a) < rank(b); });
    return least == live.pods.end() ? kNone : *least;
  }
  while (live.first_free < live.pods.size() && !has_room(pods_[live.pods[live.first_free]])) {
    ++live.first_free;
  }
  if (!slow || live.ready == 0) {
    return live.first_free < live.pods.size() ? live.pods[live.first_free] : kNone;
  }
  for (size_t i = live.first_free; i < live.pods.size(); ++i) {
    const PodState& state = pods_[live.pods[i]];
    if (state.phase == PodState::Phase::kReady && has_room(state)) return live.pods[i];
  }
  return kNone;
}

void Engine::bind(Live& live, uint32_t pod, const Request& request) {
  PodState& state = pods_[pod];
  ++state.in_flight;
  state.expires_at = -1;
  if (eviction_) used(live, pod);
  if (state.phase == PodState::Phase::kReady) return begin(live, pod, request, false);
  pass(live);
  ++live.loading;
  append(state.bound, request);
}

void Engine::begin(Live& live, uint32_t pod, const Request& request, bool cold) {
  PodState& state = pods_[pod];
  if (state.busy_since < 0) state.busy_since = now_;
  events_.push(now_ + request.service, {EventKind::kEnd, pod, request.service});
  const double wait = to_seconds(Duration(now_ - request.arrived));
  FunctionReport& function = report_.by_function[live.function];
  report_.waits.add(wait);
  timeline_.at(now_);
  timeline_.waited(wait);
  if (cold) {
    ++report_.cold;
    ++function.cold;
    report_.cold_waits.add(wait);
  }
  if (wait <= kLeastWait) {
    report_.slowdowns.add(1);
    function.waits.add(0);
    function.slowdowns.add(0);
    return;
  }
  const double service = std::max(to_seconds(Duration(request.service)), kLeastService);
  const double slowdown = (wait + service) / service;
  report_.slowdowns.add(slowdown);
  function.waits.add(LogBuckets(kLeastWait).of(wait));
  function.slowdowns.add(LogBuckets(1, 1).of(slowdown));
}

void Engine::grant_waiting(Live& live) {
  bool granted = false;
  while (!live.queue.empty()) {
    const uint32_t pod = pick(live);
    if (pod == kNone) break;
    pass(live);
    --live.waiting;
    --waiting_;
    bind(live, pod, take(live.queue));
    granted = true;
  }
  if (!granted || live.missing == 0) return;
  if (on_demand()) forget_missing(live);
  keep_place(live);
  cluster_->set_missing(missing_, now_);
}

void Engine::end(uint32_t pod, int64_t service) {
  PodState& state = pods_[pod];
  Live& live = lives_[state.live];
  ++report_.completed;
  last_end_ = now_;
  count(live, -1);
  ++live.ended;
  live.service += to_seconds(Duration(service));
  if (on_demand()) kept_[live.function].last_end = now_;
  if (--state.in_flight == 0) {
    state.busy_ns += now_ - state.busy_since;
    state.busy_since = -1;
  }
  if (state.phase == PodState::Phase::kDraining) {
    if (state.in_flight > 0) return;
    --live.draining;
    remove(pod);
    release_if_at_rest(live);
    return;
  }
  live.first_free = std::min<size_t>(live.first_free, state.position);
  if (!live.queue.empty()) grant_waiting(live);
  if (on_demand() && pods_[pod].in_flight == 0) idle(live, pod);
}

Report run_engine(const Trace& trace, const EngineOptions& options) {
  return Engine(trace, options).run();
}

}  // namespace ebb::sim
