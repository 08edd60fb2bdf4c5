#include "sim/policy_choice.h"

#include <algorithm>
#include <tuple>

#include "api/policy_annotations.h"
#include "scaling/keep_alive.h"
#include "sim/annotated_policy.h"
#include "sim/policy_reader.h"

namespace ebb::sim {
namespace {

constexpr double kMany = 1e6;

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

Result<PolicyChoice> make_pods_choice(const PolicySettings& settings, int /*concurrency*/) {
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

Result<PolicyChoice> make_keep_alive_choice(const PolicySettings& settings, int /*concurrency*/) {
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

Result<PolicyChoice> make_hybrid_choice(const PolicySettings& settings, int /*concurrency*/) {
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

Result<PolicyChoice> make_greedy_dual_choice(const PolicySettings& settings, int /*concurrency*/) {
  PolicyReader read(settings);
  constexpr Duration kForEver = std::chrono::hours(24 * 1000);  // longer than any trace
  Duration keep = kForEver;
  read.time("keep", keep);
  const std::string name = read.word("rule").value_or("greedy-dual");
  const auto rule = scaling::eviction_rule(name);
  if (!rule) read.note("rule must be greedy-dual, frequency, size, landlord or lru");
  if (auto ok = read.end(); !ok) return fail(ok.error());
  PolicyChoice choice;
  choice.name = "greedy-dual";
  choice.keep_alive = [keep](const Function&) {
    return std::make_unique<scaling::FixedKeepAlive>(keep);
  };
  choice.eviction = rule;
  return choice;
}

}  // namespace

Result<PolicySettings> parse_settings(std::string_view text) {
  PolicySettings out;
  auto last = out.end();
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = part.find('=');
    // The comma was one of the value before: "0 8 * * mon,fri".
    if (equals == std::string_view::npos && last != out.end()) {
      last->second += fmt::format(",{}", part);
      continue;
    }
    if (equals == std::string_view::npos || equals == 0) {
      return fail(Errc::kInvalid, "\"{}\" is no setting: NAME=VALUE, more of them after a comma",
                  part);
    }
    bool fresh = false;
    std::tie(last, fresh) = out.emplace(part.substr(0, equals), part.substr(equals + 1));
    if (!fresh) {
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
  const auto annotated = [this](const char* name, std::string_view policy_class) {
    add(name, [name, policy_class](const PolicySettings& settings, int concurrency) {
      auto choice = annotated_choice(policy_class, settings, concurrency);
      if (choice) choice->name = name;
      return choice;
    });
  };
  annotated("kpa", api::kKpaClass);
  annotated("hpa", api::kHpaClass);
  annotated("adaptive", api::kAdaptiveClass);
  annotated("average", api::kAverageClass);
  add("lua", lua_choice);
  add("pods", make_pods_choice);
  add("keep-alive", make_keep_alive_choice);
  add("hybrid", make_hybrid_choice);
  add("greedy-dual", make_greedy_dual_choice);
}

std::vector<std::string> PolicyTable::names() const {
  std::vector<std::string> out;
  out.reserve(makers_.size());
  for (const auto& [name, maker] : makers_) out.push_back(name);
  return out;
}

Result<PolicyChoice> PolicyTable::make(std::string_view name, const PolicySettings& settings,
                                       int concurrency) const {
  const auto found = makers_.find(name);
  if (found == makers_.end()) {
    // As they are named: see parse_wish.
    static const std::map<std::string, std::string> kNamed{{"keep-alive", "fixed:TIME"},
                                                           {"lua", "FILE.lua"}};
    std::string known;
    for (const auto& other : names()) {
      const auto named = kNamed.find(other);
      known += (known.empty() ? "" : ", ") + (named != kNamed.end() ? named->second : other);
    }
    return fail(Errc::kNotFound, "no policy \"{}\"; there are: {}", name, known);
  }
  auto choice = found->second(settings, concurrency);
  if (!choice) return fail(Errc::kInvalid, "policy {}: {}", name, choice.error().message);
  return choice;
}

}  // namespace ebb::sim
