#include "scaling/kpa_replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>

#include "base/quote.h"
#include "scaling/knative_capacity.h"
#include "scaling/knative_zero.h"
#include "scaling/kpa_config.h"

namespace ebb::scaling {

namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr double kTolerance = 1e-6;
const TimePoint kStart{std::chrono::hours(1000)};  // an even second, as in the vectors

// Ends the check of one file; its text is shown behind file and line.
struct BadLine : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// --- Reading ---

double number(const Json& object, std::string_view key, double fallback) {
  constexpr double kMost = 1e9;  // years of seconds, and more pods than there are
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return fallback;
  if (!found->is_number()) throw BadLine(fmt::format("{} must be a number", in_quotes(key)));
  const auto value = found->get<double>();
  if (!(std::abs(value) <= kMost)) throw BadLine(fmt::format("{} is out of range", in_quotes(key)));
  return value;
}

int integer(const Json& object, std::string_view key, int fallback) {
  const double value = number(object, key, fallback);
  if (value != std::trunc(value))
    throw BadLine(fmt::format("{} must be a whole number", in_quotes(key)));
  return static_cast<int>(value);
}

bool boolean(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return false;
  if (!found->is_boolean()) throw BadLine(fmt::format("{} must be true or false", in_quotes(key)));
  return found->get<bool>();
}

std::string text(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return {};
  if (!found->is_string()) throw BadLine(fmt::format("{} must be a string", in_quotes(key)));
  return found->get<std::string>();
}

const Json& object_at(const Json& object, std::string_view key) {
  static const Json kNone = Json::object();
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return kNone;
  if (!found->is_object()) throw BadLine(fmt::format("{} must be an object", in_quotes(key)));
  return *found;
}

std::map<std::string, std::string> texts(const Json& object, std::string_view key) {
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : object_at(object, key).items()) {
    if (!value.is_string())
      throw BadLine(fmt::format("{}: {} must be a string", key, in_quotes(name)));
    out[name] = value.get<std::string>();
  }
  return out;
}

Duration to_duration(double s) { return Duration(std::llround(s * 1e9)); }

// --- Answering ---

Json buckets_answer(const Json& wish) {
  const double window = number(wish, "window_s", 60);
  const double bucket = number(wish, "granularity_s", 1);
  if (!(window > 0) || !(bucket >= 1e-3) || window / bucket > 1e6) {
    throw BadLine("\"window_s\" and \"granularity_s\" make no window");
  }
  Window averages(
      to_duration(window),
      boolean(wish, "weighted") ? Window::Weighting::kExponential : Window::Weighting::kLinear,
      to_duration(bucket));
  const auto list = [&wish](std::string_view key) -> const Json& {
    const auto found = wish.find(key);
    if (found == wish.end() || !found->is_array()) {
      throw BadLine(fmt::format("{} must be a list", in_quotes(key)));
    }
    return *found;
  };
  for (const Json& record : list("records")) {
    if (!record.is_array() || record.size() != 2 || !record[0].is_number() ||
        !record[1].is_number()) {
      throw BadLine("a record must be [time, value]");
    }
    const Json pair{{"t", record[0]}, {"v", record[1]}};
    averages.record(kStart + to_duration(number(pair, "t", 0)), number(pair, "v", 0));
  }
  Json answers = Json::array();
  for (const Json& query : list("queries")) {
    const double t = number(Json{{"query", query}}, "query", 0);
    answers.push_back({t, averages.average(kStart + to_duration(t))});
  }
  return {{"averages", answers}};
}

// One series: what is configured, what was seen last, and the decider itself.
class Series {
 public:
  // What Knative answers to a line; nothing if the line asks for nothing.
  std::optional<Json> answer(const Json& line);
  // Whether Knative's checks refuse the newest configuration.
  [[nodiscard]] bool refused() const { return !config_.violations.empty(); }

 private:
  Json configure(const Json& wish, TimePoint now);
  Json tick(double t, TimePoint now);
  Json zero_step(const Json& wish) const;
  [[nodiscard]] Capacity capacity() const {
    return {config_.settings.total, config_.settings.target_burst_capacity};
  }

  KpaConfig config_;
  std::optional<Kpa> kpa_;
  int ready_ = 0;
  int desired_ = -1;  // of the last valid decision, as burst_
  int burst_ = 0;
};

std::optional<Json> Series::answer(const Json& line) {
  if (!line.is_object()) throw BadLine("not a JSON object");
  if (line.contains("sample_size")) {
    const int pods = integer(line, "sample_size", 0);
    return Json{{"sample_size_of", pods}, {"n", sample_size(pods)}};
  }
  if (line.contains("buckets")) return buckets_answer(object_at(line, "buckets"));
  const double t = number(line, "t", 0);
  const TimePoint now = kStart + to_duration(t);
  if (line.contains("config")) return configure(object_at(line, "config"), now);
  if (!kpa_) throw BadLine("the first line must be a \"config\"");
  if (line.contains("s2z")) return zero_step(object_at(line, "s2z"));
  if (!line.contains("ready") && !line.contains("stat") && !line.contains("tick")) {
    throw BadLine("nothing known: config, ready, stat, tick, s2z, sample_size or buckets");
  }
  ready_ = std::max(0, integer(line, "ready", ready_));
  if (line.contains("stat")) {
    const Json& stat = object_at(line, "stat");
    kpa_->observe({.at = now,
                   .concurrency = number(stat, "c", 0),
                   .proxied_concurrency = number(stat, "p", 0),
                   .requests = number(stat, "r", 0),
                   .proxied_requests = number(stat, "pr", 0)});
  }
  if (!boolean(line, "tick")) return std::nullopt;
  return tick(t, now);
}

Json Series::configure(const Json& wish, TimePoint now) {
  config_ = read_kpa_config({.cluster = texts(wish, "config_autoscaler"),
                             .annotations = texts(wish, "annotations"),
                             .container_concurrency = integer(wish, "container_concurrency", 0),
                             .reachable = text(wish, "reachability") != "Unreachable"});
  KpaSettings& s = config_.settings;
  constexpr Duration kMostWindow = std::chrono::hours(24);
  if (s.stable_window <= Duration(0) || s.stable_window > kMostWindow ||
      s.scale_down_delay < Duration(0)) {
    throw BadLine("this configuration makes no window");
  }
  s.switchable_metric = true;
  const int initial = initial_burst_capacity(capacity(), config_.initial_scale);
  if (kpa_) {
    kpa_->update(s, now);
  } else {
    ready_ = std::max(0, integer(wish, "start_ready", 0));
    kpa_.emplace(s, ready_, now);
    burst_ = initial;
  }
  return {{"init",
           {{"target", s.target},
            {"total", s.total},
            {"metric", config_.metric},
            {"aggregation", config_.aggregation},
            {"stable_window_s", to_seconds(s.stable_window)},
            {"panic_window_s", to_seconds(s.panic_window())},
            {"panic_threshold", s.panic_threshold_percentage / 100},
            {"scale_down_delay_s", to_seconds(s.scale_down_delay)},
            {"max_up", s.max_scale_up_rate},
            {"max_down", s.max_scale_down_rate},
            {"tbc", s.target_burst_capacity},
            {"activation_scale", s.activation_scale},
            {"initial_scale", config_.initial_scale},
            {"initial_desired", -1},
            {"initial_ebc", initial},
            {"min", config_.bounds.min},
            {"max", config_.bounds.max},
            {"reachable", config_.reachable}}}};
}

Json Series::tick(double t, TimePoint now) {
  const Decision decision =
      kpa_->decide({.now = now, .ready = ready_, .reachable = config_.reachable});
  Json answer{{"t", t},
              {"ready", ready_},
              {"valid", decision.valid},
              {"desired", decision.valid ? decision.desired : 0},
              {"ebc", decision.valid ? decision.excess_burst_capacity : 0},
              {"panicking", kpa_->panicking()},
              {"max_panic_pods", kpa_->max_panic_pods()},
              {"num_activators", num_activators(capacity(), ready_, config_.activator_capacity)}};
  if (decision.valid) {
    answer["stable"] = decision.stable;
    answer["panic"] = decision.panic_value;
    desired_ = decision.desired;
    burst_ = decision.excess_burst_capacity;
  } else {
    answer["err"] = "no data available";
  }
  Decision status;
  status.desired = desired_;
  answer["bounded"] = amount(status, config_.bounds, config_.reachable);
  answer["status_desired"] = desired_;
  answer["status_ebc"] = burst_;
  return answer;
}

Json Series::zero_step(const Json& wish) const {
  const std::string active = text(wish, "active");
  if (active != "True" && active != "False" && active != "Unknown") {
    throw BadLine("\"active\" must be True, False or Unknown");
  }
  // Knative's clock ran on while it answered: what is due exactly now, is due.
  constexpr Duration kRanOn{100};
  const std::string reachability = text(wish, "reachability");
  const ZeroStep step = knative_zero_step(
      {.enabled = config_.enable_scale_to_zero,
       .stable_window = config_.settings.stable_window,
       .grace = config_.grace,
       .retention = config_.retention,
       .progress_deadline = to_duration(number(wish, "progress_deadline_s", 600)),
       .burst_unlimited = config_.settings.target_burst_capacity == -1,
       .reachable = reachability.empty() ? config_.reachable : reachability != "Unreachable"},
      {.desired = integer(wish, "desired", 0),
       .active = active == "True"    ? Active::kTrue
                 : active == "False" ? Active::kFalse
                                     : Active::kUnknown,
       .active_for = to_duration(number(wish, "for_s", 0)) + kRanOn,
       .proxy = text(wish, "sks_mode") == "Proxy",
       .proxy_for = to_duration(number(wish, "proxy_for_s", 0)) + kRanOn,
       .probe = boolean(wish, "probe")});
  Json requeue;  // null, as Go writes a list of nothing
  if (step.requeue) requeue = Json::array({to_seconds(*step.requeue)});
  return {{"s2z_desired", step.desired},
          {"apply", step.apply},
          {"requeue_s", requeue},
          {"probed", step.probed},
          {"async_probe", step.async_probe}};
}

// --- Comparing ---

// The first difference under `path`; "" if there is none.
std::string difference(const Json& want, const Json& got, const std::string& path) {
  const auto differs = [&] {
    return fmt::format("{}: expected {}, got {}", path, want.dump(), got.dump());
  };
  const auto under = [&path](const std::string& key) {
    return path.empty() ? key : path + "." + key;
  };
  if (want.is_number() && got.is_number()) {
    const bool whole = want.is_number_integer() && got.is_number_integer();
    const auto a = want.get<double>();
    const auto b = got.get<double>();
    const bool same =
        whole ? want == got : std::abs(a - b) <= std::max(kTolerance, 1e-12 * std::abs(a));
    return same ? "" : differs();
  }
  if (want.is_object() && got.is_object()) {
    for (const auto& [key, value] : want.items()) {
      if (!got.contains(key))
        return fmt::format("{}: expected {}, got nothing", under(key), value.dump());
      if (auto found = difference(value, got.at(key), under(key)); !found.empty()) return found;
    }
    for (const auto& [key, value] : got.items()) {
      if (!want.contains(key))
        return fmt::format("{}: expected nothing, got {}", under(key), value.dump());
    }
    return {};
  }
  if (want.is_array() && got.is_array() && want.size() == got.size()) {
    for (size_t i = 0; i < want.size(); ++i) {
      auto found = difference(want[i], got[i], fmt::format("{}[{}]", path, i));
      if (!found.empty()) return found;
    }
    return {};
  }
  return want == got ? "" : differs();
}

// A time to ask again was measured by a running clock and rounded to whole seconds.
void round_requeue(const Json& want, Json& got) {
  constexpr const char* kKey = "requeue_s";
  if (!got.contains(kKey) || !got[kKey].is_array() || !want.contains(kKey)) return;
  const Json& wanted = want.at(kKey);
  if (!wanted.is_array() || wanted.size() != 1 || !wanted[0].is_number_integer()) return;
  got[kKey][0] = std::round(got[kKey][0].get<double>());
}

struct Lines {
  Lines(std::string file, std::istream& stream) : name(std::move(file)), in(stream) {
    if (!in) throw BadLine(fmt::format("{}: cannot be read", name));
  }
  // The next line that is not blank; nothing at the end.
  std::optional<Json> next() {
    for (std::string line; std::getline(in, line);) {
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      Json parsed = Json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (parsed.is_discarded()) throw BadLine(fmt::format("{}:{}: not JSON", name, number));
      return parsed;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::string here() const { return fmt::format("{}:{}", name, number); }

  std::string name;
  std::istream& in;
  int number = 0;
};

// Checks all lines; throws at the first difference.
void check(Lines input, Lines output, int& answers) {
  Series series;
  while (const auto line = input.next()) {
    std::optional<Json> got;
    try {
      got = series.answer(*line);
    } catch (const std::exception& error) {
      throw BadLine(fmt::format("{}: {}", input.here(), error.what()));
    }
    if (!got) continue;
    const auto want = output.next();
    if (!want) throw BadLine(fmt::format("{}: no answer in {}", input.here(), output.name));
    if (want->is_object() && want->contains("err") && !want->contains("t") && series.refused()) {
      ++answers;  // so did Knative, in its own words
      continue;
    }
    round_requeue(*want, *got);
    const std::string found = difference(*want, *got, "");
    if (!found.empty()) {
      throw BadLine(fmt::format("{} ({}): {}", input.here(), output.here(), found));
    }
    ++answers;
  }
  if (output.next()) throw BadLine(fmt::format("{}: nobody asked for this answer", output.here()));
  if (answers == 0) throw BadLine(fmt::format("{}: asks for nothing", input.name));
}

}  // namespace

Result<std::vector<VectorPair>> find_vectors(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) {
    return fail(Errc::kNotFound, "the folder {} cannot be read: {}", folder.string(),
                error.message());
  }
  std::set<std::string> names;
  for (const auto& entry : entries) {
    const std::string file = entry.path().filename().string();
    for (const std::string_view end : {".in.jsonl", ".out.jsonl"}) {
      if (file.ends_with(end)) names.insert(file.substr(0, file.size() - end.size()));
    }
  }
  std::vector<VectorPair> pairs;
  pairs.reserve(names.size());
  for (const auto& name : names) {
    pairs.push_back({folder / (name + ".in.jsonl"), folder / (name + ".out.jsonl")});
  }
  return pairs;
}

VectorReport check_vector(const VectorPair& pair) {
  std::ifstream in(pair.input);
  std::ifstream out(pair.output);
  return check_vector({pair.input.filename().string(), in}, {pair.output.filename().string(), out});
}

VectorReport check_vector(const NamedStream& input, const NamedStream& output) {
  VectorReport report;
  try {
    check({input.name, input.stream}, {output.name, output.stream}, report.answers);
  } catch (const std::exception& error) {
    report.difference = error.what();
  }
  return report;
}

}  // namespace ebb::scaling
