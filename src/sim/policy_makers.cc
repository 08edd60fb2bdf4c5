#include "sim/policy_makers.h"

#include <cmath>

#include "base/file.h"
#include "scaling/adaptive.h"
#include "scaling/average.h"
#include "scaling/hpa_policy.h"
#include "scaling/lua_policy.h"
#include "sim/policy_reader.h"

namespace ebb::sim {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr double kMany = 1e6;

scaling::MetricKind read_metric(PolicyReader& read) {
  const auto metric = read.word("metric");
  if (!metric || *metric == "concurrency") return scaling::MetricKind::kConcurrency;
  if (*metric != "rps") {
    read.note(fmt::format("metric must be concurrency or rps, not \"{}\"", *metric));
  }
  return scaling::MetricKind::kRequests;
}

}  // namespace

Result<PolicyChoice> make_adaptive_choice(const PolicySettings& settings) {
  PolicyReader read(settings);
  PolicyChoice choice;
  choice.name = "adaptive";
  scaling::AdaptiveSettings adaptive;
  read.time("window", adaptive.window, seconds(1), hours(1));
  read.time("wait", adaptive.wait, Duration(0), hours(1));
  read.number("patience", adaptive.patience, 0, 1000);
  read.number("share", adaptive.share, 1e-6, 0.999999);
  read.number("target", adaptive.target, 0.01, kMany);
  read_bounds(read, choice.bounds);
  if (auto ok = read.end(); !ok) return fail(ok.error());
  choice.make = [adaptive](int, TimePoint) {
    return std::make_unique<scaling::Adaptive>(adaptive);
  };
  choice.stable_window = adaptive.window;
  choice.memory = adaptive.window * scaling::Adaptive::kMostIdle;
  choice.idle = IdlePromise{.window = adaptive.window,
                            .sample_gap = seconds(1),
                            .target = 1,
                            .panic_threshold = 0,  // never: a panic is not foreseen
                            .idle_time = [](const scaling::Policy& policy) {
                              return static_cast<const scaling::Adaptive&>(policy).idle_time();
                            }};
  return choice;
}

Result<PolicyChoice> make_average_choice(const PolicySettings& settings) {
  PolicyReader read(settings);
  PolicyChoice choice;
  choice.name = "average";
  scaling::AverageSettings average{.target = 0.7};
  average.metric = read_metric(read);
  read.number("target", average.target, 0.01, kMany);
  read.time("window", average.window, seconds(1), hours(1));
  read_bounds(read, choice.bounds);
  if (auto ok = read.end(); !ok) return fail(ok.error());
  choice.make = [average](int, TimePoint) { return std::make_unique<scaling::Average>(average); };
  choice.stable_window = average.window;
  return choice;
}

Result<PolicyChoice> make_hpa_choice(const PolicySettings& settings) {
  PolicyReader read(settings);
  PolicyChoice choice;
  choice.name = "hpa";
  const bool rps = read_metric(read) == scaling::MetricKind::kRequests;
  double target = 0.7;
  Duration zero_after = seconds(300);
  read.number("target", target, 0.001, kMany);
  read.time("zero-after", zero_after, seconds(1), hours(24));
  choice.bounds.max = 1000;  // an HPA must have one
  read_bounds(read, choice.bounds);
  if (choice.bounds.max < 1) read.note("max-scale must be 1 to 1000000, not 0");
  if (auto ok = read.end(); !ok) return fail(ok.error());
  scaling::HpaPolicySettings hpa;
  hpa.spec.min = std::max(1, choice.bounds.min);
  hpa.spec.max = choice.bounds.max;
  hpa.spec.metrics = {{.source = scaling::HpaMetricSpec::Source::kExternal,
                       .name = rps ? "rps" : "concurrency",
                       .type = scaling::HpaMetricSpec::Type::kAverageValue,
                       .target = std::llround(target * 1000)}};
  hpa.zero_after = zero_after;
  if (auto ok = scaling::validate(hpa.spec); !ok) return fail(ok.error());
  choice.make = [hpa](int, TimePoint now) {
    return std::make_unique<scaling::HpaPolicy>(hpa, now);
  };
  choice.stable_window = zero_after;
  choice.burst = BurstRule::kNone;  // it decides every 15 s
  return choice;
}

Result<PolicyChoice> make_lua_choice(const PolicySettings& settings) {
  PolicyReader read(settings);
  PolicyChoice choice;
  choice.name = "lua";
  const std::string file = read.word("file").value_or("");
  read.time("window", choice.stable_window, seconds(1), hours(1));
  read_bounds(read, choice.bounds);
  if (file.empty()) read.note("file must be the path of a Lua file");
  if (auto ok = read.end(); !ok) return fail(ok.error());
  const auto source = read_file(file, scaling::LuaLimits().source);
  if (!source) return fail(source.error());
  if (const auto policy = scaling::LuaPolicy::compile(*source); !policy) {
    return fail(Errc::kInvalid, "{}: {}", file, policy.error().message);
  }
  choice.make = [text = *source](int, TimePoint) -> std::unique_ptr<scaling::Policy> {
    // It compiled before.
    return std::make_unique<scaling::LuaPolicy>(*scaling::LuaPolicy::compile(text));
  };
  return choice;
}

}  // namespace ebb::sim
