// Replays series that Knative's own autoscaler has answered (golden/kpa in the
// folder that EBB_SHARED names) and compares every tick.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "scaling/kpa.h"

namespace ebb::scaling {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr double kTolerance = 1e-6;
const TimePoint kStart{std::chrono::hours(1000)};  // an even second, as in the series

TimePoint at(double t) { return kStart + Duration(std::llround(t * 1e9)); }

std::vector<Json> read_lines(const fs::path& path) {
  std::vector<Json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
  return lines;
}

Duration duration_of(const std::string& text) {  // "30s", "1m"
  const auto count = std::stoll(text);
  return text.back() == 'm' ? Duration(std::chrono::minutes(count))
                            : Duration(std::chrono::seconds(count));
}

struct Config {
  KpaSettings settings;
  Bounds bounds;
  bool reachable = true;
};

Config config_of(const Json& config) {
  // Annotations win over the cluster's configuration.
  const auto setting = [&config](const std::string& annotation,
                                 const std::string& key) -> std::optional<std::string> {
    const Json& annotations = config.at("annotations");
    const std::string name = "autoscaling.knative.dev/" + annotation;
    if (annotations.contains(name)) return annotations.at(name).get<std::string>();
    const Json& cluster = config.at("config_autoscaler");
    if (cluster.contains(key)) return cluster.at(key).get<std::string>();
    return std::nullopt;
  };
  const auto number = [&setting](const std::string& annotation, const std::string& key, auto& out) {
    if (const auto value = setting(annotation, key)) {
      out = static_cast<std::remove_reference_t<decltype(out)>>(std::stod(*value));
    }
  };
  Config out;
  KpaSettings& s = out.settings;
  if (setting("metric", "") == "rps") s.metric = MetricKind::kRequests;
  if (setting("metric-aggregation-algorithm", "") == "weighted-exponential") {
    s.weighting = Window::Weighting::kExponential;
  }
  TargetWish wish{.container_concurrency = config.value("container_concurrency", 0)};
  if (const auto value = setting("target", "")) wish.target = std::stod(*value);
  if (const auto value =
          setting("target-utilization-percentage", "container-concurrency-target-percentage")) {
    wish.utilization = std::stod(*value) / 100;
  }
  s.set_target(wish);
  if (const auto value = setting("window", "stable-window")) s.stable_window = duration_of(*value);
  if (const auto value = setting("scale-down-delay", "scale-down-delay")) {
    s.scale_down_delay = duration_of(*value);
  }
  number("panic-window-percentage", "panic-window-percentage", s.panic_window_percentage);
  number("panic-threshold-percentage", "panic-threshold-percentage", s.panic_threshold_percentage);
  number("", "max-scale-up-rate", s.max_scale_up_rate);
  number("", "max-scale-down-rate", s.max_scale_down_rate);
  number("activation-scale", "", s.activation_scale);
  number("target-burst-capacity", "target-burst-capacity", s.target_burst_capacity);
  number("min-scale", "min-scale", out.bounds.min);
  number("max-scale", "max-scale", out.bounds.max);
  out.reachable = config.value("reachability", "") != "Unreachable";
  return out;
}

void expect_init(const Json& init, const Config& config) {
  const KpaSettings& s = config.settings;
  EXPECT_NEAR(init.at("target").get<double>(), s.target, kTolerance);
  EXPECT_NEAR(init.at("total").get<double>(), s.total, kTolerance);
  EXPECT_EQ(std::chrono::seconds(init.at("stable_window_s").get<int>()), s.stable_window);
  EXPECT_EQ(std::chrono::seconds(init.at("panic_window_s").get<int>()), s.panic_window());
}

void expect_tick(const Json& want, const Decision& got) {
  ASSERT_EQ(want.at("valid").get<bool>(), got.valid);
  if (!got.valid) return;
  EXPECT_NEAR(want.at("stable").get<double>(), got.stable, kTolerance);
  EXPECT_NEAR(want.at("panic").get<double>(), got.panic_value, kTolerance);
  EXPECT_EQ(want.at("desired").get<int>(), got.desired) << got.reason;
  EXPECT_EQ(want.at("panicking").get<bool>(), got.panic) << got.reason;
  EXPECT_EQ(want.at("ebc").get<int>(), got.excess_burst_capacity);
}

// Returns the number of ticks compared.
int replay(const std::vector<Json>& input, const std::vector<Json>& output) {
  Config config;
  std::optional<Kpa> kpa;
  size_t answer = 0;
  int ready = 0;
  int ticks = 0;
  Decision status;  // the last valid one
  status.desired = -1;
  for (const Json& line : input) {
    const TimePoint now = at(line.value("t", 0.0));
    if (line.contains("config")) {
      config = config_of(line.at("config"));
      if (!kpa) {
        ready = line.at("config").value("start_ready", 0);
        kpa.emplace(config.settings, ready, now);
      } else {
        kpa->update(config.settings, now);
      }
      expect_init(output.at(answer++).at("init"), config);
      continue;
    }
    ready = line.value("ready", ready);
    if (line.contains("stat")) {
      const Json& stat = line.at("stat");
      kpa->observe({.at = now,
                    .concurrency = stat.value("c", 0.0),
                    .proxied_concurrency = stat.value("p", 0.0),
                    .requests = stat.value("r", 0.0),
                    .proxied_requests = stat.value("pr", 0.0)});
    }
    if (!line.value("tick", false)) continue;
    const Json& want = output.at(answer++);
    SCOPED_TRACE("t=" + want.at("t").dump());
    const Decision got = kpa->decide({.now = now, .ready = ready, .reachable = config.reachable});
    expect_tick(want, got);
    if (got.valid) status = got;
    EXPECT_EQ(want.at("bounded").get<int>(), amount(status, config.bounds, config.reachable));
    ++ticks;
    if (testing::Test::HasFailure()) return ticks;
  }
  EXPECT_EQ(answer, output.size());
  return ticks;
}

void replay_buckets(const Json& input, const Json& output) {
  Window window(std::chrono::seconds(input.at("window_s").get<int>()),
                input.at("weighted").get<bool>() ? Window::Weighting::kExponential
                                                 : Window::Weighting::kLinear);
  for (const Json& record : input.at("records")) {
    window.record(at(record.at(0).get<double>()), record.at(1).get<double>());
  }
  for (const Json& want : output.at("averages")) {
    EXPECT_NEAR(window.average(at(want.at(0).get<double>())), want.at(1).get<double>(), kTolerance)
        << "t=" << want.at(0);
  }
}

class KpaGoldenTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("EBB_SHARED");
    if (shared != nullptr) folder_ = fs::path(shared) / "golden" / "kpa";
    if (folder_.empty() || !fs::is_directory(folder_)) {
      GTEST_SKIP() << "set EBB_SHARED to the folder that holds golden/kpa";
    }
  }
  // The series named *.in.jsonl whose lines contain `key`, by name.
  [[nodiscard]] std::vector<std::string> series(const std::string& key) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      const std::string file = entry.path().filename().string();
      const size_t end = file.find(".in.jsonl");
      if (end == std::string::npos) continue;
      for (const Json& line : read_lines(entry.path())) {
        if (!line.contains(key)) continue;
        names.push_back(file.substr(0, end));
        break;
      }
    }
    return names;
  }
  [[nodiscard]] std::vector<Json> lines(const std::string& name, const char* end) const {
    return read_lines(folder_ / (name + end));
  }

  fs::path folder_;
};

TEST_F(KpaGoldenTest, EveryTickIsKnatives) {
  const auto names = series("tick");
  EXPECT_FALSE(names.empty());
  int ticks = 0;
  for (const auto& name : names) {
    SCOPED_TRACE(name);
    ticks += replay(lines(name, ".in.jsonl"), lines(name, ".out.jsonl"));
  }
  RecordProperty("series", static_cast<int>(names.size()));
  RecordProperty("ticks", ticks);
}

TEST_F(KpaGoldenTest, EveryWindowAverageIsKnatives) {
  const auto names = series("buckets");
  EXPECT_FALSE(names.empty());
  for (const auto& name : names) {
    const auto input = lines(name, ".in.jsonl");
    const auto output = lines(name, ".out.jsonl");
    ASSERT_EQ(input.size(), output.size());
    for (size_t i = 0; i < input.size(); ++i) {
      SCOPED_TRACE(name + " line " + std::to_string(i + 1));
      replay_buckets(input[i].at("buckets"), output[i]);
    }
  }
}

}  // namespace
}  // namespace ebb::scaling
