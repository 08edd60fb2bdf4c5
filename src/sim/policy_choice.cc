#include "sim/policy_choice.h"

#include <algorithm>

#include "scaling/keep_alive.h"
#include "sim/policy_makers.h"
#include "sim/policy_reader.h"

namespace ebb::sim {
namespace {

constexpr double kMany = 1e6;

Result<PolicyChoice> make_kpa_choice(const PolicySettings& settings) {
  PolicyReader read(settings);
  scaling::KpaSettings kpa;
  scaling::Bounds bounds;
  if (const auto metric = read.word("metric")) {
    if (*metric == "rps") {
      kpa.metric = scaling::MetricKind::kRequests;
    } else if (*metric != "concurrency") {
      read.note("metric must be concurrency or rps");
    }
  }
  scaling::TargetWish wish;
  read.number("container-concurrency", wish.container_concurrency, 0, 1000);
  double target = 0;
  read.number("target", target, 0.01, kMany);
  if (target > 0) wish.target = target;
  double utilization = 0;
  read.number("target-utilization-percentage", utilization, 1, 100);
  if (utilization > 0) wish.utilization = utilization / 100;
  kpa.set_target(wish);
  read.time("window", kpa.stable_window, std::chrono::seconds(6), std::chrono::hours(1));
  read.number("panic-window-percentage", kpa.panic_window_percentage, 1, 100);
  read.number("panic-threshold-percentage", kpa.panic_threshold_percentage, 110, 1000);
  read.number("max-scale-up-rate", kpa.max_scale_up_rate, 1.01, kMany);
  read.number("max-scale-down-rate", kpa.max_scale_down_rate, 1.01, kMany);
  read.number("activation-scale", kpa.activation_scale, 1, kMany);
  read.time("scale-down-delay", kpa.scale_down_delay, Duration(0), std::chrono::hours(1));
  read_bounds(read, bounds);
  Duration retention{};
  read.time("scale-to-zero-pod-retention-period", retention);
  if (auto ok = read.end(); !ok) return fail(ok.error());
  PolicyChoice choice = kpa_choice(kpa, bounds);
  choice.retention = retention;
  return choice;
}

// Nothing is ever decided: the bounds hold.
class Fixed final : public scaling::Policy {
 public:
  explicit Fixed(int pods) : pods_(pods) {}
  void observe(const scaling::Metric& /*metric*/) override {}
  [[nodiscard]] scaling::Decision decide(const scaling::Situation& /*situation*/) override {
    scaling::Decision decision;
    decision.valid = true;
    decision.desired = pods_;
    return decision;
  }

 private:
  int pods_;
};

Result<PolicyChoice> make_pods_choice(const PolicySettings& settings) {
  PolicyReader read(settings);
  int pods = 1;
  read.number("pods", pods, 1, kMany);
  if (auto ok = read.end(); !ok) return fail(ok.error());
  PolicyChoice choice;
  choice.name = "pods";
  choice.make = [pods](int, TimePoint) { return std::make_unique<Fixed>(pods); };
  choice.bounds = {.min = pods, .max = pods};
  choice.burst = BurstRule::kNone;
  return choice;
}

Result<PolicyChoice> make_keep_alive_choice(const PolicySettings& settings) {
  PolicyReader read(settings);
  Duration keep = std::chrono::minutes(10);
  read.time("keep", keep);
  if (auto ok = read.end(); !ok) return fail(ok.error());
  PolicyChoice choice;
  choice.name = "keep-alive";
  choice.keep_alive = [keep](const Function&) {
    return std::make_unique<scaling::FixedKeepAlive>(keep);
  };
  return choice;
}

Result<PolicyChoice> make_hybrid_choice(const PolicySettings& settings) {
  PolicyReader read(settings);
  scaling::HybridSettings hybrid;
  read.time("range", hybrid.range, std::chrono::minutes(1), std::chrono::hours(24 * 7));
  read.time("fallback", hybrid.fallback);
  read.number("min-samples", hybrid.min_samples, 1, kMany);
  if (auto ok = read.end(); !ok) return fail(ok.error());
  PolicyChoice choice;
  choice.name = "hybrid";
  choice.keep_alive = [hybrid](const Function&) {
    return std::make_unique<scaling::HybridHistogram>(hybrid);
  };
  return choice;
}

}  // namespace

PolicyChoice kpa_choice(const scaling::KpaSettings& settings, const scaling::Bounds& bounds) {
  PolicyChoice choice;
  choice.name = "kpa";
  choice.make = [settings](int ready, TimePoint now) {
    return scaling::make_kpa(settings, ready, now);
  };
  choice.bounds = bounds;
  choice.stable_window = settings.stable_window;
  choice.activation_scale = settings.activation_scale;
  choice.burst = settings.metric == scaling::MetricKind::kConcurrency ? BurstRule::kLoadOverTarget
                                                                      : BurstRule::kNone;
  choice.burst_target = settings.target;
  choice.max_scale_up_rate = settings.max_scale_up_rate;
  // Averages of nothing but zeros fall; a delay or an activation scale would keep pods.
  const bool plain = settings.scale_down_delay == Duration(0) && settings.activation_scale <= 1 &&
                     settings.weighting == scaling::Window::Weighting::kLinear;
  if (plain) {
    choice.idle =
        IdlePromise{.window = settings.stable_window,
                    .sample_gap = std::max<Duration>(
                        std::chrono::seconds(1), settings.panic_window() - std::chrono::seconds(1)),
                    .target = settings.target,
                    .panic_threshold = settings.panic_threshold_percentage / 100};
  }
  return choice;
}

Result<PolicySettings> parse_settings(std::string_view text) {
  PolicySettings out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return fail(Errc::kInvalid, "\"{}\" is no setting: NAME=VALUE, more of them after a comma",
                  part);
    }
    if (!out.emplace(part.substr(0, equals), part.substr(equals + 1)).second) {
      return fail(Errc::kInvalid, "the setting {} comes twice", part.substr(0, equals));
    }
  }
  return out;
}

PolicyWish parse_wish(std::string_view text) {
  PolicyWish out{.label = std::string(text)};
  const size_t comma = std::min(text.find(','), text.size());
  const std::string_view name = text.substr(0, comma);
  out.settings = std::string(text.substr(std::min(comma + 1, text.size())));
  const auto with = [&out](std::string setting) {
    if (!out.settings.empty()) setting += ',';
    out.settings.insert(0, setting);
  };
  const size_t colon = name.find(':');
  const std::string value(colon == std::string_view::npos ? "" : name.substr(colon + 1));
  out.name = std::string(name.substr(0, colon));
  if (name.ends_with(".lua")) {
    out.name = "lua";
    with(fmt::format("file={}", name));
  } else if (out.name == "fixed") {
    out.name = "keep-alive";
    if (!value.empty()) with("keep=" + value);
  } else if (out.name == "hybrid" && !value.empty()) {
    with("range=" + value);
  } else {
    out.name = std::string(name);
  }
  return out;
}

PolicyTable::PolicyTable() {
  add("kpa", make_kpa_choice);
  add("adaptive", make_adaptive_choice);
  add("average", make_average_choice);
  add("hpa", make_hpa_choice);
  add("lua", make_lua_choice);
  add("pods", make_pods_choice);
  add("keep-alive", make_keep_alive_choice);
  add("hybrid", make_hybrid_choice);
}

std::vector<std::string> PolicyTable::names() const {
  std::vector<std::string> out;
  out.reserve(makers_.size());
  for (const auto& [name, maker] : makers_) out.push_back(name);
  return out;
}

Result<PolicyChoice> PolicyTable::make(std::string_view name,
                                       const PolicySettings& settings) const {
  const auto found = makers_.find(name);
  if (found == makers_.end()) {
    std::string known;
    for (const auto& other : names()) known += (known.empty() ? "" : ", ") + other;
    return fail(Errc::kNotFound, "no policy \"{}\"; there are: {}", name, known);
  }
  auto choice = found->second(settings);
  if (!choice) return fail(Errc::kInvalid, "policy {}: {}", name, choice.error().message);
  return choice;
}

}  // namespace ebb::sim
