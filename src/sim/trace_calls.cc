#include "sim/trace_calls.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "sim/call_rows.h"
#include "sim/csv.h"
#include "sim/start_time.h"

namespace ebb::sim {
namespace {

using Json = nlohmann::json;

WallTime wall(int64_t ns) {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(Duration(ns)));
}

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
  const auto since_epoch = std::chrono::seconds(days) + std::chrono::hours(*hour) +
                           std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  return Duration(since_epoch).count() + fraction;
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
std::optional<FieldError> add_line(const Json& line, size_t number, CallRows& calls) {
  const auto at = time_of(string_of(line, "time"));
  if (!at) {
    return FieldError{"time", "\"time\" is missing or not like 2026-11-24T02:18:09.123456Z"};
  }
  const std::string service = string_of(line, "service");
  if (service.empty()) return std::nullopt;
  std::optional<FieldError> wrong;
  const auto value_of = [&](const char* field) -> double {
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
  const double duration = value_of("duration_us");
  const double queue = value_of("queue_us");
  if (wrong) return wrong;
  const std::string ns = string_of(line, "namespace");
  const FunctionId id = calls.function(ns.empty() ? service : ns + "/" + service);
  const bool whole = !line.contains("refused") && !line.contains("cut");
  const Duration execution(std::llround(std::max(0.0, duration - queue) * 1000));
  calls.add(number, id, *at, whole ? execution : CallRows::kUnknown);
  return std::nullopt;
}

// Why the text is no JSON object, and where: a column from 1.
std::pair<size_t, std::string> json_problem(std::string_view text) {
  try {
    const Json whole = Json::parse(text);
  } catch (const Json::parse_error& e) {
    return {std::max<size_t>(1, e.byte), "the line is no JSON"};
  } catch (const Json::out_of_range& e) {
    // Its text ends in the number, quoted.
    const std::string_view what = e.what();
    const size_t quote = std::min(what.find('\''), what.size());
    const std::string_view number = what.substr(quote).substr(quote < what.size() ? 1 : 0);
    const size_t at = text.find(number.substr(0, number.find('\'')));
    return {at == std::string_view::npos ? 1 : at + 1, "the number is out of range"};
  }
  return {1, "the line is no JSON object"};
}

// The lines of a text, without their ends. Empty ones are left out.
class Lines final {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}

  bool next() {
    while (!rest_.empty()) {
      const size_t end = std::min(rest_.find('\n'), rest_.size());
      text_ = rest_.substr(0, end);
      ended_ = end < rest_.size();
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      ++number_;
      if (!text_.empty() && text_.back() == '\r') text_.remove_suffix(1);
      if (!text_.empty()) return true;
    }
    return false;
  }
  [[nodiscard]] std::string_view text() const { return text_; }
  [[nodiscard]] size_t number() const { return number_; }  // from 1
  [[nodiscard]] bool ended() const { return ended_; }      // by a line break

  // The column of a field's name, from 1; 1 where it is not there.
  [[nodiscard]] size_t column(const std::string& field) const {
    const size_t at = text_.find(fmt::format("\"{}\"", field));
    return at == std::string_view::npos ? 1 : at + 1;
  }

 private:
  std::string_view rest_;
  std::string_view text_;
  size_t number_ = 0;
  bool ended_ = true;
};

Result<Trace> access_log(const NamedText& log, const ReadOptions& options) {
  CallRows calls(options);
  RowErrors errors(options);
  Lines lines(log.text);
  const auto problem = [&log](size_t line, size_t column, std::string_view what) -> Error {
    return {Errc::kInvalid, fmt::format("{}:{}:{}: {}", log.name, line, column, what)};
  };
  while (lines.next()) {
    const Json line = Json::parse(lines.text(), nullptr, /*allow_exceptions=*/false);
    Result<void> read;
    if (!line.is_object()) {
      if (!lines.ended()) break;  // the end of a log that is still being written
      const auto [column, what] = json_problem(lines.text());
      read = fail(problem(lines.number(), column, what));
    } else if (const auto wrong = add_line(line, lines.number(), calls); wrong) {
      read = fail(problem(lines.number(), lines.column(wrong->field), wrong->what));
    }
    if (read) continue;
    if (auto ok = errors.add(read.error()); !ok) return fail(ok.error());
  }
  const auto error = [&](size_t number, const std::string& what) {
    Lines again(log.text);
    while (again.next() && again.number() < number) {
    }
    return problem(number, again.column("time"), what);
  };
  return std::move(calls).build(log, errors, {.name = "\"time\"", .error = error});
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
  using Found = Result<std::optional<size_t>>;
  const auto find = [&csv](std::string_view name, std::string_view other) -> Found {
    auto found = find_column(csv, name);
    return !found || *found ? found : find_column(csv, other);
  };
  const Found timestamp = find("timestamp", "start_s");
  const Found function = find_column(csv, "function");
  const Found duration = find("duration", "duration_ms");
  const Found memory = find("memory", "memory_mb");
  for (const Found* found : {&timestamp, &function, &duration, &memory}) {
    if (!*found) return fail(found->error());
  }
  if (!*timestamp && !*function && !*duration) {
    const std::string_view first = csv.text(0);
    const bool word = !first.empty() && std::isalpha(static_cast<unsigned char>(first[0])) != 0;
    if (!word) return out;  // a row
  }
  if (!*timestamp) return fail(column(csv, "timestamp").error());
  if (!*function) return fail(column(csv, "function").error());
  if (!*duration) return fail(column(csv, "duration").error());
  out.titled = true;
  out.timestamp = **timestamp;
  out.function = **function;
  out.duration = **duration;
  out.memory = *memory;
  return out;
}

// One row of a plain file at a time.
class PlainRows {
 public:
  PlainRows(const CsvReader& csv, const PlainColumns& columns, CallRows& calls)
      : csv_(csv), columns_(columns), calls_(calls) {}

  Result<void> add() {
    const auto at = time();
    if (!at) return fail(at.error());
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
    if (mb) calls_.memory(id, *mb);
    calls_.add(csv_.line(), id, *at, *duration);
    return {};
  }

  // Whether some time had a date, so that none counts from the trace's start.
  [[nodiscard]] bool dated() const { return dated_; }

 private:
  // ns
  [[nodiscard]] Result<int64_t> time() {
    const std::string_view text = csv_.text(columns_.timestamp);
    if (const auto utc = time_of(text)) {
      dated_ = true;
      return *utc;
    }
    constexpr double kMaxUnix = 7'258'118'400;  // the year 2200
    const auto unix_time = csv_.number(columns_.timestamp, 0, kMaxUnix, "timestamp");
    if (!unix_time) return fail(unix_time.error());
    return std::llround(*unix_time * kNsPerSecond);
  }

  [[nodiscard]] Result<Duration> duration() const {
    const std::string_view text = csv_.text(columns_.duration);
    const bool unit = !text.empty() && text.back() >= 'a' && text.back() <= 'z' && text[0] != '-';
    if (unit) {
      constexpr Duration kMost = std::chrono::hours(static_cast<int64_t>(kMaxServiceMs / 3.6e6));
      const auto with_unit = parse_duration(text);
      if (with_unit && *with_unit <= kMost) return *with_unit;
      if (with_unit) {
        return fail(csv_.error_at(columns_.duration,
                                  fmt::format("duration must be 0 to {}h, not {}",
                                              kMost / std::chrono::hours(1), shown(text))));
      }
    }
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
      if (code != std::errc() || at != end || !(value >= 0)) break;
      if (value * factor <= kMaxMb) return static_cast<float>(value * factor);
      return fail(csv_.error_at(*columns_.memory, fmt::format("memory must be 0 to {}Gi, not {}",
                                                              kMaxMb / 1024, shown(text))));
    }
    const auto mb = csv_.number(*columns_.memory, 0, kMaxMb, "memory");
    if (!mb) return fail(mb.error());
    return static_cast<float>(*mb);
  }

  const CsvReader& csv_;
  const PlainColumns& columns_;
  CallRows& calls_;
  bool dated_ = false;
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
  CallRows calls(options);
  RowErrors errors(options);
  PlainColumns columns;
  PlainRows rows(csv, columns, calls);
  size_t width = 0;
  if (csv.next()) {
    width = csv.fields().size();
    auto found = plain_columns(csv);
    if (!found) return fail(found.error());
    columns = *found;
    if (!columns.titled) {
      if (const auto ok = rows.add(); !ok) {
        if (auto on = errors.add(ok.error()); !on) return fail(on.error());
      }
    }
  }
  // Without titles three are read; a first row of more tells that there are others beside them.
  constexpr size_t kRead = 3;
  const size_t most = columns.titled ? width : std::max(width, kRead);
  if (auto ok = read_rows(csv, errors, most, [&rows] { return rows.add(); }); !ok) {
    return fail(ok.error());
  }
  const auto error = [&](size_t line, const std::string& what) {
    CsvReader again(file.text, file.name);
    while (again.next() && again.line() < line) {
    }
    return again.error_at(columns.timestamp, what);
  };
  return std::move(calls).build(
      file, errors,
      {.name = "timestamp", .ordered = true, .from_zero = !rows.dated(), .error = error});
}

}  // namespace ebb::sim
