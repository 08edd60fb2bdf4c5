#include "sim/trace_calls.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "sim/csv.h"
#include "sim/start_time.h"

namespace ebb::sim {
namespace {

using Json = nlohmann::json;

constexpr double kNs = 1e9;
constexpr double kMaxSeconds = kMaxMinutes * 60.0;
constexpr Duration kUnknown{-1};

WallTime wall(int64_t ns) {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(Duration(ns)));
}

// Gathers calls of named functions; their means are those of the known executions.
class Calls {
 public:
  explicit Calls(const ReadOptions& options) : options_(options) {}

  FunctionId function(std::string name) {
    const auto [at, fresh] = ids_.try_emplace(std::move(name));
    if (fresh) {
      at->second = builder_.function({.name = at->first,
                                      .memory_mb = options_.memory_mb,
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
  Result<Trace> build(const NamedText& file, const RowErrors& errors,
                      std::optional<int64_t> start_ns) && {
    if (rows_.empty()) return fail(errors.nothing_in(file, "call"));
    builder_.skipped(errors.skipped());
    for (size_t i = 0; i < known_.size(); ++i) {
      if (known_[i] > 0) continue;
      builder_[static_cast<FunctionId>(i)].mean_ms = options_.mean_ms;
      builder_[static_cast<FunctionId>(i)].max_ms = options_.mean_ms;
    }
    const int64_t start = start_ns.value_or(*earliest_);
    if (!start_ns) builder_.begins(wall(start));
    for (const Call& row : rows_) {
      const Duration at(row.at_ns - start);
      if (at > Duration(std::chrono::minutes(kMaxMinutes))) {
        return fail(Errc::kInvalid, "{}: it spans more than {} days", file.name,
                    kMaxMinutes / 60 / 24);
      }
      builder_.call(row.function, at, Duration(row.service_ns));
    }
    return std::move(builder_).build();
  }

 private:
  ReadOptions options_;
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

struct FieldError {
  std::string field;
  std::string what;
};

// One line of the log. Returns what is wrong with it.
std::optional<FieldError> add_line(const Json& line, Calls& calls) {
  const auto at = time_of(string_of(line, "time"));
  if (!at) {
    return FieldError{"time", "\"time\" is missing or not like 2026-11-24T02:18:09.123456Z"};
  }
  const std::string service = string_of(line, "service");
  if (service.empty()) return std::nullopt;
  std::optional<FieldError> wrong;
  const auto number = [&](const char* field) -> double {
    const auto found = line.find(field);
    const auto say = [&](std::string what) {
      if (!wrong) wrong = FieldError{field, fmt::format("\"{}\" {}", field, what)};
      return 0.0;
    };
    if (found == line.end() || !found->is_number()) return say("is missing or no number");
    const auto value = found->get<double>();
    constexpr double kMost = kMaxServiceMs * 1000;
    if (!(value >= 0) || value > kMost) return say(fmt::format("must be 0 to {}", kMost));
    return value;
  };
  const double duration = number("duration_us");
  const double queue = number("queue_us");
  if (wrong) return wrong;
  const std::string ns = string_of(line, "namespace");
  const FunctionId id = calls.function(ns.empty() ? service : ns + "/" + service);
  const auto cut = line.find("cut");
  const bool whole = !line.contains("refused") && (cut == line.end() || *cut != true);
  const Duration execution(std::llround(std::max(0.0, duration - queue) * 1000));
  calls.add(id, *at, whole ? execution : kUnknown);
  return std::nullopt;
}

// Why the text is no JSON object, and where: a column from 1.
std::pair<size_t, std::string> json_problem(std::string_view text) {
  try {
    const Json whole = Json::parse(text);
  } catch (const Json::parse_error& e) {
    return {std::max<size_t>(1, e.byte), "the line is no JSON"};
  }
  return {1, "the line is no JSON object"};
}

Result<Trace> access_log(const NamedText& log, const ReadOptions& options) {
  Calls calls(options);
  RowErrors errors(options);
  std::string_view rest = log.text;
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view text = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    if (text.empty()) continue;
    const auto problem = [&](size_t column, std::string_view what) -> Error {
      return {Errc::kInvalid, fmt::format("{}:{}:{}: {}", log.name, number, column, what)};
    };
    const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    Result<void> read;
    if (!line.is_object()) {
      // The end of a log that is still being written.
      if (rest.empty() && log.text.back() != '\n') break;
      const auto [column, what] = json_problem(text);
      read = fail(problem(column, what));
    } else if (const auto wrong = add_line(line, calls); wrong) {
      const size_t at = text.find(fmt::format("\"{}\"", wrong->field));
      read = fail(problem(at == std::string_view::npos ? 1 : at + 1, wrong->what));
    }
    if (read) continue;
    if (auto ok = errors.add(read.error()); !ok) return fail(ok.error());
  }
  return std::move(calls).build(log, errors, std::nullopt);
}

// The columns of a plain file.
struct PlainColumns {
  size_t timestamp = 0;
  size_t function = 1;
  size_t duration = 2;
  std::optional<size_t> memory;
  bool titled = false;  // the first row holds their names
};

Result<PlainColumns> plain_columns(const CsvReader& csv) {
  PlainColumns out;
  const auto find = [&csv](std::string_view name, std::string_view other) {
    const auto found = column(csv, name);
    return found ? found : column(csv, other) ? column(csv, other) : found;
  };
  const auto timestamp = find("timestamp", "start_s");
  const auto function = column(csv, "function");
  const auto duration = find("duration", "duration_ms");
  if (!timestamp && !function && !duration) {
    const std::string_view first = csv.text(0);
    const bool word = !first.empty() && std::isalpha(static_cast<unsigned char>(first[0])) != 0;
    if (!word) return out;  // a row
  }
  for (const auto* found : {&timestamp, &function, &duration}) {
    if (!*found) return fail(found->error());
  }
  out.titled = true;
  out.timestamp = *timestamp;
  out.function = *function;
  out.duration = *duration;
  if (const auto memory = find("memory", "memory_mb")) out.memory = *memory;
  return out;
}

// One row of a plain file at a time.
class PlainRows {
 public:
  PlainRows(const CsvReader& csv, const PlainColumns& columns, Calls& calls)
      : csv_(csv), columns_(columns), calls_(calls) {}

  Result<void> add() {
    const auto at = time();
    if (!at) return fail(at.error());
    if (last_ && *at < *last_) {
      return fail(csv_.error_at(columns_.timestamp,
                                "timestamp is before the row above: rows must be ordered by time"));
    }
    const auto duration = this->duration();
    if (!duration) return fail(duration.error());
    const std::string name(csv_.text(columns_.function));
    if (name.empty()) return fail(csv_.error_at(columns_.function, "function is missing"));
    std::optional<float> mb;
    if (columns_.memory) {
      const auto memory = this->memory();
      if (!memory) return fail(memory.error());
      mb = *memory;
    }
    const FunctionId id = calls_.function(name);
    if (mb) calls_[id].memory_mb = *mb;
    calls_.add(id, *at, *duration);
    last_ = *at;
    return {};
  }

  // Whether times count from the first row.
  [[nodiscard]] bool absolute() const { return absolute_; }

 private:
  // ns
  [[nodiscard]] Result<int64_t> time() {
    const std::string_view text = csv_.text(columns_.timestamp);
    if (const auto utc = time_of(text)) {
      absolute_ = true;
      return *utc;
    }
    constexpr double kMaxUnix = 7'258'118'400;  // the year 2200
    const auto seconds = csv_.number(columns_.timestamp, 0, kMaxUnix, "timestamp");
    if (!seconds) return fail(seconds.error());
    if (!last_ && *seconds > kMaxSeconds) absolute_ = true;
    return std::llround(*seconds * kNs);
  }

  [[nodiscard]] Result<Duration> duration() const {
    const std::string_view text = csv_.text(columns_.duration);
    const bool unit = !text.empty() && text.back() >= 'a' && text.back() <= 'z' && text[0] != '-';
    const auto with_unit = unit ? parse_duration(text) : fail(Errc::kInvalid, "");
    if (with_unit && *with_unit <= Duration(std::llround(kMaxServiceMs * 1e6))) return *with_unit;
    const auto ms = csv_.number(columns_.duration, 0, kMaxServiceMs, "duration");
    if (!ms) return fail(ms.error());
    return Duration(std::llround(*ms * 1e6));
  }

  // MB
  [[nodiscard]] Result<float> memory() const {
    constexpr double kMaxMb = 1 << 24;
    const std::string_view text = csv_.text(*columns_.memory);
    constexpr std::array<std::pair<std::string_view, double>, 6> kUnits{{{"Ki", 1.0 / 1024},
                                                                         {"Mi", 1},
                                                                         {"Gi", 1024},
                                                                         {"k", 1e3 / 1048576},
                                                                         {"M", 1e6 / 1048576},
                                                                         {"G", 1e9 / 1048576}}};
    for (const auto& [unit, factor] : kUnits) {
      if (!text.ends_with(unit)) continue;
      double value = 0;
      const std::string_view digits = text.substr(0, text.size() - unit.size());
      const char* end = digits.data() + digits.size();
      const auto [at, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      if (code != std::errc() || at != end || !(value >= 0) || value * factor > kMaxMb) break;
      return static_cast<float>(value * factor);
    }
    const auto mb = csv_.number(*columns_.memory, 0, kMaxMb, "memory");
    if (!mb) return fail(mb.error());
    return static_cast<float>(*mb);
  }

  const CsvReader& csv_;
  const PlainColumns& columns_;
  Calls& calls_;
  std::optional<int64_t> last_;
  bool absolute_ = false;
};

}  // namespace

std::optional<WallTime> parse_date(std::string_view text) {
  const auto ns = time_of(text);
  return ns ? std::optional(wall(*ns)) : std::nullopt;
}

Result<Trace> parse_access_log(const NamedText& log, const ReadOptions& options) {
  return access_log(log, options);
}

Result<Trace> parse_plain(const NamedText& file, const ReadOptions& options) {
  CsvReader csv(file.text, file.name);
  Calls calls(options);
  RowErrors errors(options);
  PlainColumns columns;
  PlainRows rows(csv, columns, calls);
  if (csv.next()) {
    auto found = plain_columns(csv);
    if (!found) return fail(found.error());
    columns = *found;
    if (!columns.titled) {
      if (const auto ok = rows.add(); !ok) {
        if (auto on = errors.add(ok.error()); !on) return fail(on.error());
      }
    }
  }
  if (auto ok = read_rows(csv, errors, [&rows] { return rows.add(); }); !ok) {
    return fail(ok.error());
  }
  return std::move(calls).build(file, errors,
                                rows.absolute() ? std::nullopt : std::optional<int64_t>(0));
}

}  // namespace ebb::sim
