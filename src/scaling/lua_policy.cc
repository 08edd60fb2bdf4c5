#include "scaling/lua_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "scaling/average.h"
#include "scaling/lua_sandbox.h"

namespace ebb::scaling {

namespace {

constexpr Duration kStableWindow = std::chrono::seconds(60);
constexpr Duration kPanicWindow = std::chrono::seconds(6);

// An answer as pods: part of a pod is a pod.
int pods_of(double desired) {
  return std::clamp(pods_for(std::min(desired, 2.0 * LuaPolicy::kMostPods), 1), 0,
                    LuaPolicy::kMostPods);
}

using Number = LuaSandbox::Call::Number;

Number number_if(const char* name, std::optional<double> value) {
  return value ? Number{name, sane(*value)} : Number{};
}

// Of the mean pod among those that were measured.
std::optional<double> mean(std::span<const PodUsage> pods, double PodUsage::* use) {
  if (pods.empty()) return std::nullopt;
  double sum = 0;
  for (const auto& pod : pods) sum += pod.*use;
  return sum / static_cast<double>(pods.size());
}

std::array<Number, 7> use_of(const Metric& metric) {
  constexpr double kMillis = 1000;
  auto cores = mean(metric.pods, &PodUsage::cpu_millis);
  if (cores) *cores /= kMillis;
  const auto of_nodes = [&](auto NodeLoad::* part) -> std::optional<double> {
    if (!metric.nodes) return std::nullopt;
    return metric.nodes.get()->*part;
  };
  return {number_if("cpu", cores),
          number_if("memory", mean(metric.pods, &PodUsage::memory_bytes)),
          number_if("node_cpu", of_nodes(&NodeLoad::cpu)),
          number_if("node_memory", of_nodes(&NodeLoad::memory)),
          number_if("cpu_pressure", of_nodes(&NodeLoad::cpu_pressure)),
          number_if("memory_pressure", of_nodes(&NodeLoad::memory_pressure)),
          number_if("io_pressure", of_nodes(&NodeLoad::io_pressure))};
}

}  // namespace

LuaPolicy::LuaPolicy(std::string source, const LuaLimits& limits,
                     std::unique_ptr<LuaSandbox> sandbox)
    : source_(std::move(source)),
      limits_(limits),
      sandbox_(std::move(sandbox)),
      stable_(kStableWindow),
      panic_(kPanicWindow),
      requests_(kStableWindow) {}

LuaPolicy::LuaPolicy(LuaPolicy&&) noexcept = default;
LuaPolicy& LuaPolicy::operator=(LuaPolicy&&) noexcept = default;
LuaPolicy::~LuaPolicy() = default;

Result<LuaPolicy> LuaPolicy::compile(std::string_view source, const LuaLimits& limits) {
  if (source.size() > limits.source) {
    return fail(Errc::kInvalid, "the policy is longer than {} KiB", limits.source / 1024);
  }
  std::string text(source);
  auto sandbox = LuaSandbox::open(text, limits);
  if (!sandbox) return fail(sandbox.error());
  return LuaPolicy(std::move(text), limits, std::move(*sandbox));
}

void LuaPolicy::take_history(const LuaPolicy& before) {
  newest_ = before.newest_;
  stable_ = before.stable_;
  panic_ = before.panic_;
  requests_ = before.requests_;
  begin_ = before.begin_;
  desired_ = before.desired_;
}

void LuaPolicy::observe(const Metric& metric) {
  if (!is_sound(metric)) return;
  newest_ = metric;
  const double load = load_of(metric, MetricKind::kConcurrency);
  stable_.record(metric.at, metric.period, load);
  panic_.record(metric.at, metric.period, load);
  requests_.record(metric.at, metric.period, load_of(metric, MetricKind::kRequests));
}

Decision LuaPolicy::decide(const Situation& situation) {
  const TimePoint now = situation.now;
  if (!begin_) begin_ = now;
  Decision decision;
  decision.stable = stable_.mean();
  decision.panic_value = panic_.mean();
  const int running = situation.ready + situation.starting;
  if (newest_.at != TimePoint() && panic_.stale(now)) {
    if (situation.explain) decision.reason = "no metrics for 6 s: the last amount stays";
    if (busy(situation) && running < 1) {
      decision.valid = true;
      decision.desired = 1;
    }
    return decision;
  }
  LuaSandbox::Call call;
  call.metric = {{{"concurrency", load_of(newest_, MetricKind::kConcurrency)},
                  {"requests", load_of(newest_, MetricKind::kRequests)},
                  {"queued", sane(newest_.queued)},
                  {"ended", sane(newest_.ended)},
                  {"service_seconds", sane(newest_.service_seconds)},
                  {"stable", decision.stable},
                  {"panic", decision.panic_value},
                  {"rps", requests_.mean()}}};
  call.use = use_of(newest_);
  call.state = {{{"now", to_seconds(now - *begin_)},
                 {"wall", to_seconds(situation.wall.time_since_epoch())},
                 {"ready", static_cast<double>(situation.ready)},
                 {"starting", static_cast<double>(situation.starting)},
                 {"in_flight", static_cast<double>(situation.in_flight)},
                 {"waiting", static_cast<double>(situation.waiting)},
                 {"pod_concurrency", static_cast<double>(situation.pod_concurrency)},
                 {"start_time", to_seconds(situation.start_time)},
                 {"desired", static_cast<double>(desired_)}}};
  call.outside = newest_.outside;
  call.reachable = situation.reachable;

  std::string message = "it could not be run again";
  auto failure = LuaSandbox::Failure::kError;
  if (sandbox_) failure = sandbox_->call(call, message);
  if (failure == LuaSandbox::Failure::kLimit || !sandbox_) {
    // Stopped half way: what it kept is of no use any more.
    auto fresh = LuaSandbox::open(source_, limits_);
    sandbox_ = fresh ? std::move(*fresh) : nullptr;
  }
  if (failure != LuaSandbox::Failure::kNone) {
    decision.error = std::move(message);
    if (situation.explain) {
      decision.reason = "the policy failed, the last amount stays: " + decision.error;
    }
  } else if (!call.answered) {
    if (situation.explain) decision.reason = "the policy says nothing: the last amount stays";
  } else {
    decision.valid = true;
    decision.desired = desired_ = pods_of(call.desired);
    if (situation.explain) {
      decision.reason = call.reason[0] != 0 ? std::string(call.reason.data())
                                            : fmt::format("the policy says {}", decision.desired);
    }
  }
  if (busy(situation) && (decision.valid ? decision.desired < 1 : running < 1)) {
    decision.valid = true;
    decision.desired = 1;
    if (situation.explain) decision.reason += ", raised to 1: a request is in the system";
  }
  return decision;
}

Result<std::string> check_lua_policy(std::string_view source) {
  struct Case {
    const char* name;
    double load;
    Situation situation;
  };
  constexpr int kSlots = 10;
  const TimePoint begin{std::chrono::hours(1)};
  const std::array<Case, 5> cases{{
      {"at rest, none there", 0, {}},
      {"none there, 1 waits", 0, {.waiting = 1}},
      {"1 there, idle", 0, {.ready = 1}},
      {"1 there, 1 slot in use", 1, {.ready = 1, .in_flight = 1}},
      {"10 there, 100 slots in use, 400 wait",
       500,
       {.ready = 10, .in_flight = 100, .waiting = 400}},
  }};
  std::string report = fmt::format("pods or nodes with {} slots each:\n", kSlots);
  for (const Case& c : cases) {
    auto policy = LuaPolicy::compile(source);  // each begins anew
    if (!policy) return fail(policy.error());
    constexpr int kSeconds = 60;
    for (int second = 1; second <= kSeconds; ++second) {
      policy->observe({.at = begin + std::chrono::seconds(second),
                       .concurrency = c.load,
                       .requests = 10 * c.load,
                       .queued = std::max(0.0, c.load - 100),
                       .ended = 10 * c.load,
                       .service_seconds = c.load});
    }
    Situation situation = c.situation;
    situation.now = begin + std::chrono::seconds(kSeconds);
    situation.pod_concurrency = kSlots;
    const Decision decision = policy->decide(situation);
    if (!decision.error.empty()) {
      return fail(Errc::kInvalid, "{}: {}", c.name, decision.error);
    }
    report += fmt::format("{}: {} ({})\n", c.name,
                          decision.valid ? std::to_string(decision.desired) : "as it was",
                          decision.reason);
  }
  return report;
}

}  // namespace ebb::scaling
