#include "sim/policy_choice.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "scaling/keep_alive.h"
#include "sim/start_time.h"

namespace ebb::sim {
namespace {

// Takes settings one by one, and knows at the end which nobody asked for.
class Reader {
 public:
  explicit Reader(const PolicySettings& settings) : settings_(settings) {}

  template <class Number>
  void number(const char* name, Number& out, double least, double most) {
    const std::string* text = find(name);
    if (text == nullptr) return;
    double value = 0;
    const char* end = text->data() + text->size();
    const auto [at, code] = std::from_chars(text->data(), end, value);
    if (code != std::errc() || at != end || !(value >= least) || value > most) {
      note(fmt::format("{} must be a number from {} to {}, not \"{}\"", name, least, most, *text));
      return;
    }
    out = static_cast<Number>(value);
  }

  void time(const char* name, Duration& out) {
    const std::string* text = find(name);
    if (text == nullptr) return;
    const auto value = parse_duration(*text);
    if (value) {
      out = *value;
    } else {
      note(fmt::format("{}: {}", name, value.error().message));
    }
  }

  std::optional<std::string> word(const char* name) {
    const std::string* text = find(name);
    return text == nullptr ? std::nullopt : std::optional(*text);
  }

  void note(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
  }

  [[nodiscard]] Result<void> end() const {
    if (!problem_.empty()) return fail(Errc::kInvalid, "{}", problem_);
    for (const auto& [name, value] : settings_) {
      if (asked_.contains(name)) continue;
      std::string known;
      for (const auto& other : asked_) known += (known.empty() ? "" : ", ") + other;
      return fail(Errc::kInvalid, "no setting \"{}\" here; there are: {}", name, known);
    }
    return {};
  }

 private:
  const std::string* find(const char* name) {
    asked_.insert(name);
    const auto found = settings_.find(std::string_view(name));
    return found == settings_.end() ? nullptr : &found->second;
  }

  const PolicySettings& settings_;
  std::set<std::string> asked_;
  std::string problem_;
};

constexpr double kMany = 1e6;

Result<PolicyChoice> make_kpa_choice(const PolicySettings& settings) {
  Reader read(settings);
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
  read.time("window", kpa.stable_window);
  read.number("panic-window-percentage", kpa.panic_window_percentage, 1, 100);
  read.number("panic-threshold-percentage", kpa.panic_threshold_percentage, 110, 1000);
  read.number("max-scale-up-rate", kpa.max_scale_up_rate, 1.01, kMany);
  read.number("max-scale-down-rate", kpa.max_scale_down_rate, 1.01, kMany);
  read.number("activation-scale", kpa.activation_scale, 1, kMany);
  read.time("scale-down-delay", kpa.scale_down_delay);
  read.number("min-scale", bounds.min, 0, kMany);
  read.number("max-scale", bounds.max, 0, kMany);
  Duration retention{};
  read.time("scale-to-zero-pod-retention-period", retention);
  if (kpa.stable_window < std::chrono::seconds(6)) read.note("window must be 6s at least");
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

Result<PolicyChoice> make_fixed_choice(const PolicySettings& settings) {
  Reader read(settings);
  int pods = 1;
  read.number("pods", pods, 1, kMany);
  if (auto ok = read.end(); !ok) return fail(ok.error());
  PolicyChoice choice;
  choice.name = "fixed";
  choice.make = [pods](int, TimePoint) { return std::make_unique<Fixed>(pods); };
  choice.bounds = {.min = pods, .max = pods};
  choice.burst = BurstRule::kNone;
  return choice;
}

Result<PolicyChoice> make_keep_alive_choice(const PolicySettings& settings) {
  Reader read(settings);
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
  Reader read(settings);
  scaling::HybridSettings hybrid;
  read.time("range", hybrid.range);
  read.time("fallback", hybrid.fallback);
  read.number("min-samples", hybrid.min_samples, 1, kMany);
  if (hybrid.range < std::chrono::minutes(1)) read.note("range must be 1m at least");
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

PolicyTable::PolicyTable() {
  add("kpa", make_kpa_choice);
  add("fixed", make_fixed_choice);
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
