#include "sim/trace_calls.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "sim/csv.h"

namespace ebb::sim {
namespace {

using Json = nlohmann::json;

constexpr double kNs = 1e9;
constexpr double kMaxSeconds = kMaxMinutes * 60.0;
constexpr Duration kUnknown{-1};

// Gathers calls of named functions; their means are those of the known executions.
class Calls {
 public:
  explicit Calls(const FunctionDefaults& defaults) : defaults_(defaults) {}

  FunctionId function(std::string name) {
    const auto [at, fresh] = ids_.try_emplace(std::move(name));
    if (fresh) {
      at->second = builder_.function({.name = at->first,
                                      .memory_mb = defaults_.memory_mb,
                                      .mean_ms = 0,
                                      .max_ms = 0,
                                      .percentiles_ms = {}});
      known_.push_back(0);
    }
    return at->second;
  }
  Function& operator[](FunctionId id) { return builder_[id]; }

  void add(FunctionId id, int64_t at_ns, Duration service) {
    rows_.push_back({at_ns, service.count(), id});
    earliest_ = std::min(earliest_.value_or(at_ns), at_ns);
    if (service < Duration(0)) return;
    Function& function = builder_[id];
    const auto ms = static_cast<float>(static_cast<double>(service.count()) / 1e6);
    function.max_ms = std::max(function.max_ms, ms);
    known_[id] += 1;
    function.mean_ms += static_cast<float>((ms - function.mean_ms) / known_[id]);
  }

  // Times from `start_ns`, or from the first call's.
  Result<Trace> build(const std::string& name, std::optional<int64_t> start_ns) && {
    if (rows_.empty()) return fail(Errc::kInvalid, "{}: no call in it", name);
    for (size_t i = 0; i < known_.size(); ++i) {
      if (known_[i] > 0) continue;
      builder_[static_cast<FunctionId>(i)].mean_ms = defaults_.mean_ms;
      builder_[static_cast<FunctionId>(i)].max_ms = defaults_.mean_ms;
    }
    const int64_t start = start_ns.value_or(*earliest_);
    for (const Call& row : rows_) {
      const Duration at(row.at_ns - start);
      if (at > Duration(std::chrono::minutes(kMaxMinutes))) {
        return fail(Errc::kInvalid, "{}: it spans more than {} days", name, kMaxMinutes / 60 / 24);
      }
      builder_.call(row.function, at, Duration(row.service_ns));
    }
    return std::move(builder_).build();
  }

 private:
  FunctionDefaults defaults_;
  TraceBuilder builder_;
  std::unordered_map<std::string, FunctionId> ids_;
  std::vector<double> known_;  // executions, by function
  std::vector<Call> rows_;
  std::optional<int64_t> earliest_;
};

// "2026-11-24T02:18:09.123456Z" -> ns since 1970.
std::optional<int64_t> time_of(std::string_view text) {
  const auto number = [&text](size_t at, size_t digits) -> std::optional<int> {
    int value = 0;
    if (at + digits > text.size()) return std::nullopt;
    const char* begin = text.data() + at;
    const auto [end, code] = std::from_chars(begin, begin + digits, value);
    if (code != std::errc() || end != begin + digits || value < 0) return std::nullopt;
    return value;
  };
  constexpr std::string_view kShape = "0000-00-00T00:00:00";
  if (text.size() < kShape.size() + 1 || text.back() != 'Z') return std::nullopt;
  for (size_t i = 0; i < kShape.size(); ++i) {
    if (kShape[i] != '0' && text[i] != kShape[i]) return std::nullopt;
  }
  const auto year = number(0, 4);
  const auto month = number(5, 2);
  const auto day = number(8, 2);
  const auto hour = number(11, 2);
  const auto minute = number(14, 2);
  const auto second = number(17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *year < 1970 || *year > 2200 || *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  int64_t fraction = 0;
  const std::string_view rest = text.substr(kShape.size(), text.size() - kShape.size() - 1);
  if (!rest.empty()) {
    constexpr size_t kMaxDigits = 9;
    const size_t digits = rest.size() - 1;
    if (rest[0] != '.' || digits == 0 || digits > kMaxDigits) return std::nullopt;
    const auto value = number(kShape.size() + 1, digits);
    if (!value) return std::nullopt;
    fraction = *value;
    for (size_t i = digits; i < kMaxDigits; ++i) fraction *= 10;
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch();
  const auto seconds = std::chrono::seconds(days) + std::chrono::hours(*hour) +
                       std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  return Duration(seconds).count() + fraction;
}

std::string string_of(const Json& line, const char* field) {
  const auto found = line.find(field);
  return found != line.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// One line of the log; an error says what is wrong with it.
Result<void> add_line(const Json& line, Calls& calls) {
  const auto at = time_of(string_of(line, "time"));
  if (!at) {
    return fail(Errc::kInvalid, "\"time\" is missing or not like 2026-11-24T02:18:09.123456Z");
  }
  const std::string service = string_of(line, "service");
  if (service.empty()) return {};
  const auto number = [&line](const char* field) -> Result<double> {
    const auto found = line.find(field);
    if (found == line.end() || !found->is_number()) {
      return fail(Errc::kInvalid, "\"{}\" is missing or no number", field);
    }
    const auto value = found->get<double>();
    if (!(value >= 0) || value > kMaxServiceMs * 1000) {
      return fail(Errc::kInvalid, "\"{}\" must be 0 to {}", field, kMaxServiceMs * 1000);
    }
    return value;
  };
  const auto duration = number("duration_us");
  if (!duration) return fail(duration.error());
  const auto queue = number("queue_us");
  if (!queue) return fail(queue.error());
  const std::string ns = string_of(line, "namespace");
  const FunctionId id = calls.function(ns.empty() ? service : ns + "/" + service);
  const auto cut = line.find("cut");
  const bool whole = !line.contains("refused") && (cut == line.end() || *cut != true);
  const Duration execution(std::llround(std::max(0.0, *duration - *queue) * 1000));
  calls.add(id, *at, whole ? execution : kUnknown);
  return {};
}

}  // namespace

Result<Trace> parse_access_log(const NamedText& log, const FunctionDefaults& defaults) {
  Calls calls(defaults);
  std::string_view rest = log.text;
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view text = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    if (text.empty()) continue;
    const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object()) {
      // The end of a log that is still being written.
      if (rest.empty() && log.text.back() != '\n') break;
      return fail(Errc::kInvalid, "{}:{}: the line is no JSON object", log.name, number);
    }
    if (auto ok = add_line(line, calls); !ok) {
      return fail(Errc::kInvalid, "{}:{}: {}", log.name, number, ok.error().message);
    }
  }
  return std::move(calls).build(log.name, std::nullopt);
}

Result<Trace> parse_plain(const NamedText& file, const FunctionDefaults& defaults) {
  CsvReader csv(file.text, file.name);
  Calls calls(defaults);
  size_t start_column = 0;
  size_t function_column = 1;
  size_t duration_column = 2;
  std::optional<size_t> memory_column;
  bool more = csv.next();
  if (more && !csv.number(0, 0, kMaxSeconds, "start_s") && column(csv, "start_s")) {
    const auto function = column(csv, "function");
    if (!function) return fail(function.error());
    const auto duration = column(csv, "duration_ms");
    if (!duration) return fail(duration.error());
    start_column = *column(csv, "start_s");
    function_column = *function;
    duration_column = *duration;
    if (const auto memory = column(csv, "memory_mb")) memory_column = *memory;
    more = csv.next();
  }
  for (; more; more = csv.next()) {
    const auto start = csv.number(start_column, 0, kMaxSeconds, "start_s");
    if (!start) return fail(start.error());
    const auto duration = csv.number(duration_column, 0, kMaxServiceMs, "duration_ms");
    if (!duration) return fail(duration.error());
    if (function_column >= csv.fields().size() || csv.fields()[function_column].empty()) {
      return fail(csv.error("the function's name is missing"));
    }
    const FunctionId id = calls.function(std::string(csv.fields()[function_column]));
    if (memory_column) {
      constexpr double kMaxMemoryMb = 1 << 24;
      const auto memory = csv.number(*memory_column, 0, kMaxMemoryMb, "memory_mb");
      if (!memory) return fail(memory.error());
      calls[id].memory_mb = static_cast<float>(*memory);
    }
    calls.add(id, std::llround(*start * kNs), Duration(std::llround(*duration * 1e6)));
  }
  if (csv.failed()) return fail(csv.error());
  return std::move(calls).build(file.name, 0);
}

}  // namespace ebb::sim
