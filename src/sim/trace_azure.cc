#include "sim/trace_azure.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "sim/csv.h"

namespace ebb::sim {
namespace {

constexpr double kMaxMemoryMb = 1 << 24;
constexpr double kNs = 1e9;

using Ids = std::unordered_map<std::string, FunctionId>;

// "minute_17" or "17" -> minute 16; nullopt for other columns.
std::optional<uint32_t> minute_of(std::string_view title) {
  constexpr std::string_view kPrefix = "minute_";
  if (title.starts_with(kPrefix)) title.remove_prefix(kPrefix.size());
  uint32_t minute = 0;
  const auto [end, code] = std::from_chars(title.data(), title.data() + title.size(), minute);
  if (code != std::errc() || end != title.data() + title.size()) return std::nullopt;
  if (minute == 0 || minute > kMaxMinutes) return std::nullopt;
  return minute - 1;
}

struct KeyColumns {
  size_t owner = 0;
  size_t app = 0;
  std::optional<size_t> function;

  [[nodiscard]] size_t last() const { return std::max({owner, app, function.value_or(0)}); }
};

Result<KeyColumns> key_columns(const CsvReader& csv, bool with_function) {
  KeyColumns out;
  const auto owner = column(csv, "HashOwner");
  if (!owner) return fail(owner.error());
  const auto app = column(csv, "HashApp");
  if (!app) return fail(app.error());
  out.owner = *owner;
  out.app = *app;
  const auto function = column(csv, "HashFunction");
  if (function) {
    out.function = *function;
  } else if (with_function) {
    return fail(function.error());
  }
  return out;
}

// The application, and the function where the file has one: a key of Ids.
Result<std::string> key_of(const CsvReader& csv, const KeyColumns& columns) {
  const auto& fields = csv.fields();
  if (fields.size() <= columns.last()) {
    return fail(csv.error(fmt::format("the row has {} fields, too few", fields.size())));
  }
  std::string key = fmt::format("{}/{}", fields[columns.owner], fields[columns.app]);
  if (columns.function) key += fmt::format("/{}", fields[*columns.function]);
  return key;
}

Result<void> header(CsvReader& csv) {
  if (csv.next()) return {};
  return fail(csv.failed() ? csv.error() : csv.error("the file is empty"));
}

// The column of each minute, in the order of minutes.
Result<std::vector<std::pair<uint32_t, size_t>>> minute_columns(const CsvReader& csv) {
  std::vector<std::pair<uint32_t, size_t>> out;
  for (size_t i = 0; i < csv.fields().size(); ++i) {
    if (const auto minute = minute_of(csv.fields()[i])) out.emplace_back(*minute, i);
  }
  std::sort(out.begin(), out.end());
  const auto twice = std::adjacent_find(
      out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first == b.first; });
  if (twice != out.end()) {
    return fail(csv.error(fmt::format("minute {} has two columns", twice->first + 1)));
  }
  if (out.empty())
    return fail(csv.error("there is no column for a minute (\"1\" or \"minute_1\")"));
  return out;
}

Result<uint32_t> count_of(const CsvReader& csv, size_t field, uint32_t minute) {
  if (field < csv.fields().size()) {
    const std::string_view text = csv.fields()[field];
    if (text.empty()) return 0;
    if (text.size() == 1 && text[0] >= '0' && text[0] <= '9') return text[0] - '0';
  }
  const auto count = csv.number(field, 0, kMaxCallsPerMinute, fmt::format("minute {}", minute + 1));
  if (!count) return fail(count.error());
  return static_cast<uint32_t>(*count);
}

Result<Ids> read_invocations(const NamedText& file, const FunctionDefaults& defaults,
                             TraceBuilder& builder, Duration& length) {
  CsvReader csv(file.text, file.name);
  if (auto ok = header(csv); !ok) return fail(ok.error());
  const auto keys = key_columns(csv, true);
  if (!keys) return fail(keys.error());
  const auto minutes = minute_columns(csv);
  if (!minutes) return fail(minutes.error());
  length = std::chrono::minutes(minutes->back().first + 1);
  Ids ids;
  while (csv.next()) {
    auto key = key_of(csv, *keys);
    if (!key) return fail(key.error());
    if (ids.contains(*key)) {
      return fail(csv.error("this owner, application and function had a row before"));
    }
    const FunctionId id = builder.function({.name = std::string(csv.fields()[*keys->function]),
                                            .memory_mb = defaults.memory_mb,
                                            .mean_ms = defaults.mean_ms,
                                            .max_ms = defaults.mean_ms,
                                            .percentiles_ms = {}});
    ids.emplace(std::move(*key), id);
    for (const auto& [minute, field] : *minutes) {
      const auto count = count_of(csv, field, minute);
      if (!count) return fail(count.error());
      builder.minute(minute, *count);
    }
  }
  if (csv.failed()) return fail(csv.error());
  return ids;
}

Result<void> read_durations(const NamedText& file, const Ids& ids, TraceBuilder& builder) {
  if (file.text.empty()) return {};
  CsvReader csv(file.text, file.name);
  if (auto ok = header(csv); !ok) return ok;
  const auto keys = key_columns(csv, true);
  if (!keys) return fail(keys.error());
  constexpr std::array<const char*, 9> kColumns{"Average",
                                                "Maximum",
                                                "percentile_Average_0",
                                                "percentile_Average_1",
                                                "percentile_Average_25",
                                                "percentile_Average_50",
                                                "percentile_Average_75",
                                                "percentile_Average_99",
                                                "percentile_Average_100"};
  std::array<size_t, kColumns.size()> columns{};
  for (size_t i = 0; i < columns.size(); ++i) {
    const auto found = column(csv, kColumns[i]);
    if (!found) return fail(found.error());
    columns[i] = *found;
  }
  while (csv.next()) {
    const auto key = key_of(csv, *keys);
    if (!key) return fail(key.error());
    std::array<float, kColumns.size()> values{};
    for (size_t i = 0; i < columns.size(); ++i) {
      const auto value = csv.number(columns[i], 0, kMaxServiceMs, kColumns[i]);
      if (!value) return fail(value.error());
      values[i] = static_cast<float>(*value);
    }
    const auto known = ids.find(*key);
    if (known == ids.end()) continue;  // the files of a day do not match in every row
    Function& function = builder[known->second];
    function.mean_ms = values[0];
    function.max_ms = std::max(values[0], values[1]);
    std::copy(values.begin() + 2, values.end(), function.percentiles_ms.begin());
    if (!std::is_sorted(values.begin() + 2, values.end())) function.percentiles_ms = {};
  }
  if (csv.failed()) return fail(csv.error());
  return {};
}

Result<void> read_memory(const NamedText& file, const Ids& ids, TraceBuilder& builder) {
  if (file.text.empty()) return {};
  CsvReader csv(file.text, file.name);
  if (auto ok = header(csv); !ok) return ok;
  const auto keys = key_columns(csv, false);
  if (!keys) return fail(keys.error());
  const auto average = column(csv, "AverageAllocatedMb");
  if (!average) return fail(average.error());
  std::unordered_map<std::string, std::vector<FunctionId>> apps;
  for (const auto& [key, id] : ids) {
    // A row per application, or per function where the file says which.
    apps[keys->function ? key : key.substr(0, key.rfind('/'))].push_back(id);
  }
  while (csv.next()) {
    const auto key = key_of(csv, *keys);
    if (!key) return fail(key.error());
    const auto memory = csv.number(*average, 0, kMaxMemoryMb, "AverageAllocatedMb");
    if (!memory) return fail(memory.error());
    const auto known = apps.find(*key);
    if (known == apps.end()) continue;
    for (const FunctionId id : known->second) {
      builder[id].memory_mb =
          static_cast<float>(*memory / static_cast<double>(known->second.size()));
    }
  }
  if (csv.failed()) return fail(csv.error());
  return {};
}

}  // namespace

Result<Trace> parse_azure2019(const Azure2019Texts& texts, const FunctionDefaults& defaults) {
  TraceBuilder builder;
  Duration length{};
  const auto ids = read_invocations(texts.invocations, defaults, builder, length);
  if (!ids) return fail(ids.error());
  if (auto ok = read_durations(texts.durations, *ids, builder); !ok) return fail(ok.error());
  if (auto ok = read_memory(texts.memory, *ids, builder); !ok) return fail(ok.error());
  if (ids->empty()) return fail(Errc::kInvalid, "{}: no function in it", texts.invocations.name);
  return std::move(builder).build(length);
}

Result<Trace> parse_azure2021(const NamedText& file, const FunctionDefaults& defaults) {
  CsvReader csv(file.text, file.name);
  if (auto ok = header(csv); !ok) return fail(ok.error());
  constexpr std::array<const char*, 4> kColumns{"app", "func", "end_timestamp", "duration"};
  std::array<size_t, kColumns.size()> columns{};
  for (size_t i = 0; i < columns.size(); ++i) {
    const auto found = column(csv, kColumns[i]);
    if (!found) return fail(found.error());
    columns[i] = *found;
  }
  struct Row {
    FunctionId function = 0;
    double start = 0;
    double duration = 0;
  };
  std::vector<Row> rows;
  TraceBuilder builder;
  Ids ids;
  double earliest = 0;
  constexpr double kMaxSeconds = kMaxMinutes * 60.0;
  while (csv.next()) {
    const auto end = csv.number(columns[2], 0, kMaxSeconds, "end_timestamp");
    if (!end) return fail(end.error());
    const auto duration = csv.number(columns[3], 0, kMaxServiceMs / 1000, "duration");
    if (!duration) return fail(duration.error());
    if (csv.fields().size() <= std::max(columns[0], columns[1])) {
      return fail(csv.error("app or func is missing"));
    }
    const auto name = csv.fields()[columns[1]];
    const auto [at, fresh] = ids.try_emplace(fmt::format("{}/{}", csv.fields()[columns[0]], name));
    if (fresh) {
      at->second = builder.function({.name = std::string(name),
                                     .memory_mb = defaults.memory_mb,
                                     .mean_ms = 0,
                                     .max_ms = 0,
                                     .percentiles_ms = {}});
    }
    rows.push_back({at->second, *end - *duration, *duration});
    earliest = std::min(earliest, rows.back().start);
  }
  if (csv.failed()) return fail(csv.error());
  if (rows.empty()) return fail(Errc::kInvalid, "{}: no call in it", file.name);
  std::vector<double> count(builder.functions());
  for (const Row& row : rows) {
    builder.call(row.function, Duration(std::llround((row.start - earliest) * kNs)),
                 Duration(std::llround(row.duration * kNs)));
    Function& function = builder[row.function];
    const auto ms = static_cast<float>(row.duration * 1000);
    function.max_ms = std::max(function.max_ms, ms);
    count[row.function] += 1;
    function.mean_ms += static_cast<float>((ms - function.mean_ms) / count[row.function]);
  }
  return std::move(builder).build();
}

}  // namespace ebb::sim
