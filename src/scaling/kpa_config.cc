#include "scaling/kpa_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include "api/duration.h"
#include "base/quote.h"

namespace ebb::scaling {

namespace {

using std::chrono::seconds;

constexpr std::string_view kPrefix = "autoscaling.knative.dev/";
constexpr double kMinTarget = 0.01;
constexpr Duration kMinWindow = seconds(6);
constexpr Duration kMaxWindow = std::chrono::hours(1);

using Values = std::map<std::string, std::string>;
using Violations = std::vector<std::string>;

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if constexpr (std::is_floating_point_v<Number>) {
    if (!std::isfinite(value)) return std::nullopt;
  }
  return value;
}

// Looks values up under their name and reports what is wrong with them.
class Reader {
 public:
  Reader(const Values& values, std::string_view prefix, Violations& violations)
      : values_(values), prefix_(prefix), violations_(violations) {}

  // "window", or its old spelling such as "panicWindowPercentage".
  [[nodiscard]] const std::string* find(std::string_view name) {
    name_ = std::string(prefix_) + std::string(name);
    auto found = values_.find(name_);
    if (found == values_.end() && !prefix_.empty()) found = values_.find(legacy(name));
    return found == values_.end() ? nullptr : &found->second;
  }
  void report(std::string_view why) { violations_.push_back(fmt::format("{}: {}", name_, why)); }

  template <class Number>
  bool number(std::string_view name, Number& out) {
    const auto* text = find(name);
    if (text == nullptr) return false;
    const auto value = parse_number<Number>(*text);
    if (!value) {
      report(fmt::format("{} is not a number", in_quotes(*text)));
      return false;
    }
    out = *value;
    return true;
  }
  // As above; reports a value outside of [least, most].
  template <class Number>
  bool within(std::string_view name, Number least, Number most, Number& out) {
    if (!number(name, out)) return false;
    if (out < least || out > most) {
      report(fmt::format("{} must be in [{}, {}]", out, least, most));
    }
    return true;
  }
  enum class Precision { kAny, kSeconds };
  void duration(std::string_view name, Duration least, Duration most, Precision precision,
                Duration& out) {
    const auto* text = find(name);
    if (text == nullptr) return;
    const auto value = api::parse_duration(*text);
    if (!value) {
      report(value.error().message);
      return;
    }
    out = *value;
    if (out < least || out > most) {
      report(fmt::format("{} must be in [{}, {}]", *text, api::format_duration(least),
                         api::format_duration(most)));
    }
    if (precision == Precision::kSeconds && out % seconds(1) != Duration(0)) {
      report(fmt::format("{} must be whole seconds", *text));
    }
  }
  void boolean(std::string_view name, bool& out) {
    const auto* text = find(name);
    if (text == nullptr) return;
    constexpr std::string_view kTrue = " 1 t T true TRUE True ";
    constexpr std::string_view kFalse = " 0 f F false FALSE False ";
    const std::string word = fmt::format(" {} ", *text);
    if (kTrue.find(word) == std::string_view::npos && kFalse.find(word) == std::string_view::npos) {
      report(fmt::format("{} must be true or false", in_quotes(*text)));
      return;
    }
    out = kTrue.find(word) != std::string_view::npos;
  }

 private:
  [[nodiscard]] std::string legacy(std::string_view name) const {
    std::string camel(prefix_);
    for (size_t i = 0; i < name.size(); ++i) {
      const bool hyphen = name[i] == '-' && i + 1 < name.size();
      camel += hyphen ? static_cast<char>(name[++i] - 'a' + 'A') : name[i];
    }
    return camel;
  }

  const Values& values_;
  std::string_view prefix_;
  Violations& violations_;
  std::string name_;
};

// What only the cluster's configuration says, or says for want of an annotation.
struct Cluster {
  double fraction = 0.7;
  double concurrency = 100;
  double requests = 200;
  bool allow_zero_initial = false;
  int max_limit = 0;
  int min = 0;
};

constexpr double kHuge = 1e12;

void check_targets(Reader& read, Cluster& cluster) {
  if (read.number("container-concurrency-target-percentage", cluster.fraction)) {
    if (cluster.fraction > 1) cluster.fraction /= 100;
    if (cluster.fraction <= 0 || cluster.fraction > 1) read.report("must be in (0, 100]");
  }
  read.within("container-concurrency-target-default", kMinTarget, kHuge, cluster.concurrency);
  if (cluster.fraction * cluster.concurrency < kMinTarget) {
    read.report(fmt::format("times the percentage it must be at least {}", kMinTarget));
  }
  read.within("requests-per-second-target-default", kMinTarget, kHuge, cluster.requests);
}

void check_burst(Reader& read, KpaSettings& settings) {
  if (!read.number("target-burst-capacity", settings.target_burst_capacity)) return;
  if (settings.target_burst_capacity < 0 && settings.target_burst_capacity != -1) {
    read.report("must be at least 0, or -1 for unlimited");
  }
}

Cluster read_cluster(Reader& read, KpaConfig& config) {
  Cluster cluster;
  KpaSettings& s = config.settings;
  check_targets(read, cluster);
  check_burst(read, s);
  read.within("panic-window-percentage", 1.0, 100.0, s.panic_window_percentage);
  read.number("panic-threshold-percentage", s.panic_threshold_percentage);
  for (auto [name, rate] : {std::pair{"max-scale-up-rate", &s.max_scale_up_rate},
                            std::pair{"max-scale-down-rate", &s.max_scale_down_rate}}) {
    if (read.number(name, *rate) && *rate <= 1) read.report("must be greater than 1");
  }
  read.within("activator-capacity", 1.0, kHuge, config.activator_capacity);
  using enum Reader::Precision;
  read.duration("stable-window", kMinWindow, kMaxWindow, kSeconds, s.stable_window);
  read.duration("scale-down-delay", Duration(0), Duration::max(), kSeconds, s.scale_down_delay);
  read.duration("scale-to-zero-grace-period", Duration(1), Duration::max(), kAny, config.grace);
  read.duration("scale-to-zero-pod-retention-period", Duration(0), Duration::max(), kAny,
                config.retention);
  read.boolean("enable-scale-to-zero", config.enable_scale_to_zero);
  read.boolean("allow-zero-initial-scale", cluster.allow_zero_initial);
  read.within("initial-scale", cluster.allow_zero_initial ? 0 : 1, INT32_MAX, config.initial_scale);
  read.within("max-scale-limit", 0, INT32_MAX, cluster.max_limit);
  const int least = cluster.max_limit > 0 ? 1 : 0;
  const int most = cluster.max_limit > 0 ? cluster.max_limit : INT32_MAX;
  read.within("max-scale", least, most, config.bounds.max);
  read.within("min-scale", 0, config.bounds.max > 0 ? config.bounds.max : INT32_MAX, cluster.min);
  return cluster;
}

void read_scales(Reader& read, const Cluster& cluster, KpaConfig& config) {
  const bool limited = cluster.max_limit > 0;
  read.within("max-scale", limited ? 1 : 0, limited ? cluster.max_limit : INT32_MAX,
              config.bounds.max);
  const int most = config.bounds.max > 0 ? config.bounds.max : INT32_MAX;
  config.bounds.min = cluster.min;
  read.within("min-scale", 0, most, config.bounds.min);
  int initial = config.initial_scale;
  if (read.within("initial-scale", cluster.allow_zero_initial ? 0 : 1, INT32_MAX, initial) &&
      (initial > 0 || cluster.allow_zero_initial)) {
    config.initial_scale = initial;
  }
  int& activation = config.settings.activation_scale;
  read.within("activation-scale", std::max(2, config.bounds.min), most, activation);
}

void read_metric(Reader& read, KpaConfig& config) {
  constexpr std::string_view kKpa = "kpa.autoscaling.knative.dev";
  const auto* policy = read.find("class");
  if (policy != nullptr && policy->ends_with(".knative.dev") && *policy != kKpa &&
      *policy != "hpa.autoscaling.knative.dev") {
    read.report(fmt::format("{} must be kpa or hpa", in_quotes(*policy)));
  }
  if (const auto* metric = read.find("metric")) {
    config.metric = *metric;
    if ((policy == nullptr || *policy == kKpa) && *metric != "concurrency" && *metric != "rps") {
      read.report(fmt::format("{} must be \"concurrency\" or \"rps\"", in_quotes(*metric)));
    }
  }
  if (config.metric == "rps") config.settings.metric = MetricKind::kRequests;
  if (const auto* algorithm = read.find("metric-aggregation-algorithm")) {
    config.aggregation = *algorithm;
    if (*algorithm == "weighted-exponential") {
      config.settings.weighting = Window::Weighting::kExponential;
    } else if (*algorithm != "linear") {
      read.report(fmt::format("{} must be linear or weighted-exponential", in_quotes(*algorithm)));
    }
  }
}

// Knative's own order: the annotation, then the limit of the container, then the cluster.
void read_target(Reader& read, const Cluster& cluster, int limit, KpaConfig& config) {
  TargetWish wish{.container_concurrency = limit};
  double number = 0;
  if (read.within("target", kMinTarget, kHuge, number)) {
    wish.target = number;
  } else if (config.settings.metric == MetricKind::kRequests) {
    wish.target = cluster.requests;
  } else if (limit == 0) {
    wish.target = cluster.concurrency;
  }
  // The cluster's percentage is for concurrency alone.
  if (config.settings.metric == MetricKind::kConcurrency) wish.utilization = cluster.fraction;
  if (read.within("target-utilization-percentage", 1.0, 100.0, number)) {
    wish.utilization = number / 100;
  }
  config.settings.set_target(wish);
}

}  // namespace

KpaConfig read_kpa_config(const KpaConfigText& text) {
  KpaConfig config;
  config.reachable = text.reachable;
  Reader cluster_reader(text.cluster, "", config.violations);
  const Cluster cluster = read_cluster(cluster_reader, config);

  Reader read(text.annotations, kPrefix, config.violations);
  KpaSettings& s = config.settings;
  read_metric(read, config);
  read_target(read, cluster, text.container_concurrency, config);
  read_scales(read, cluster, config);
  check_burst(read, s);
  read.within("panic-window-percentage", 1.0, 100.0, s.panic_window_percentage);
  read.within("panic-threshold-percentage", 110.0, 1000.0, s.panic_threshold_percentage);
  using enum Reader::Precision;
  read.duration("window", kMinWindow, kMaxWindow, kSeconds, s.stable_window);
  read.duration("scale-down-delay", Duration(0), kMaxWindow, kSeconds, s.scale_down_delay);
  read.duration("scale-to-zero-pod-retention-period", Duration(0), kMaxWindow, kAny,
                config.retention);
  if (!text.reachable) config.bounds.min = 0;
  return config;
}

}  // namespace ebb::scaling
