#include "sim/trace_azure.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "sim/csv.h"

namespace ebb::sim {
namespace {

constexpr double kMaxMemoryMb = 1 << 24;

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
  const auto function = find_column(csv, "HashFunction");
  if (!function) return fail(function.error());
  out.function = *function;
  if (with_function && !out.function) return fail(column(csv, "HashFunction").error());
  return out;
}

// The application, and the function where the file has one: a key of Ids.
Result<std::string> key_of(const CsvReader& csv, const KeyColumns& columns) {
  const size_t fields = csv.fields().size();
  if (fields <= columns.last()) {
    return fail(csv.error_at(fields, fmt::format("the row has {} fields, too few", fields)));
  }
  std::string key = fmt::format("{}/{}", csv.text(columns.owner), csv.text(columns.app));
  if (columns.function) key += fmt::format("/{}", csv.text(*columns.function));
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
    if (const auto minute = minute_of(csv.text(i))) out.emplace_back(*minute, i);
  }
  std::sort(out.begin(), out.end());
  const auto twice = std::adjacent_find(
      out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first == b.first; });
  if (twice != out.end()) {
    return fail(csv.error(fmt::format("minute {} has two columns", twice->first + 1)));
  }
  if (out.empty())
    return fail(csv.error("there is no column for a minute (\"1\" or \"minute_1\")"));
  const auto gap = std::adjacent_find(
      out.begin(), out.end(), [](const auto& a, const auto& b) { return b.first != a.first + 1; });
  if (gap != out.end()) {
    return fail(csv.error(fmt::format("there is no column for minute {}", gap->first + 2)));
  }
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
  if (*count != std::floor(*count)) {
    return fail(csv.error_at(field, fmt::format("minute {} must be whole", minute + 1)));
  }
  return static_cast<uint32_t>(*count);
}

// By key_of.
using Profiles = std::unordered_map<std::string, Function>;
using Memories = std::unordered_map<std::string, float>;

Result<Profiles> read_durations(const NamedText& file, RowErrors& errors) {
  Profiles out;
  if (file.text.empty()) return out;
  CsvReader csv(file.text, file.name);
  if (auto ok = header(csv); !ok) return fail(ok.error());
  const size_t width = csv.fields().size();
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
  const auto row = [&]() -> Result<void> {
    auto key = key_of(csv, *keys);
    if (!key) return fail(key.error());
    std::array<float, kColumns.size()> values{};
    for (size_t i = 0; i < columns.size(); ++i) {
      const auto value = csv.number(columns[i], 0, kMaxServiceMs, kColumns[i]);
      if (!value) return fail(value.error());
      values[i] = static_cast<float>(*value);
    }
    const auto falls = std::is_sorted_until(values.begin() + 2, values.end());
    if (falls != values.end()) {
      const auto at = static_cast<size_t>(falls - values.begin());
      return fail(
          csv.error_at(columns[at], fmt::format("{} must be at least {}, {}, not {}", kColumns[at],
                                                kColumns[at - 1], values[at - 1], values[at])));
    }
    Function& function = out[*std::move(key)];
    function.mean_ms = values[0];
    function.max_ms = std::max(values[0], values[1]);
    std::copy(values.begin() + 2, values.end(), function.percentiles_ms.begin());
    return {};
  };
  if (auto ok = read_rows(csv, errors, width, row); !ok) return fail(ok.error());
  return out;
}

struct MemoryFile {
  bool by_function = false;  // else by application
  Memories mb;
};

Result<MemoryFile> read_memory(const NamedText& file, RowErrors& errors) {
  MemoryFile out;
  if (file.text.empty()) return out;
  CsvReader csv(file.text, file.name);
  if (auto ok = header(csv); !ok) return fail(ok.error());
  const size_t width = csv.fields().size();
  const auto keys = key_columns(csv, false);
  if (!keys) return fail(keys.error());
  out.by_function = keys->function.has_value();
  const auto average = column(csv, "AverageAllocatedMb");
  if (!average) return fail(average.error());
  const auto row = [&]() -> Result<void> {
    auto key = key_of(csv, *keys);
    if (!key) return fail(key.error());
    const auto memory = csv.number(*average, 0, kMaxMemoryMb, "AverageAllocatedMb");
    if (!memory) return fail(memory.error());
    out.mb[*std::move(key)] = static_cast<float>(*memory);
    return {};
  };
  if (auto ok = read_rows(csv, errors, width, row); !ok) return fail(ok.error());
  return out;
}

// The files beside the one with the calls.
struct Beside {
  const Azure2019Texts& texts;
  Profiles profiles;
  MemoryFile memory;

  // The key of a function's row of memory.
  [[nodiscard]] std::string memory_key(const std::string& key) const {
    return memory.by_function ? key : key.substr(0, key.rfind('/'));
  }
};

Result<void> read_invocations(const Beside& beside, const ReadOptions& options, RowErrors& errors,
                              TraceBuilder& builder, Duration& length) {
  const NamedText& file = beside.texts.invocations;
  CsvReader csv(file.text, file.name);
  if (auto ok = header(csv); !ok) return fail(ok.error());
  const size_t width = csv.fields().size();
  const auto keys = key_columns(csv, true);
  if (!keys) return fail(keys.error());
  const auto minutes = minute_columns(csv);
  if (!minutes) return fail(minutes.error());
  length = std::chrono::minutes(minutes->back().first + 1);
  std::unordered_set<std::string> seen;
  std::unordered_map<std::string, std::vector<FunctionId>> apps;  // by memory_key
  std::vector<uint32_t> counts(minutes->size());
  std::vector<uint64_t> together(minutes->size());  // of all functions
  const auto row = [&]() -> Result<void> {
    auto key = key_of(csv, *keys);
    if (!key) return fail(key.error());
    const std::string name(csv.text(*keys->function));
    const auto without = [&](const NamedText& other, const char* what) {
      return fail(csv.error_at(*keys->function,
                               fmt::format("function {} has no {}: there is no row for it in {}",
                                           shown(name), what, other.name)));
    };
    if (seen.contains(*key)) {
      return fail(csv.error("this owner, application and function had a row before"));
    }
    Function function{.name = name,
                      .memory_mb = options.memory_mb,
                      .mean_ms = options.mean_ms,
                      .max_ms = options.mean_ms,
                      .percentiles_ms = {}};
    if (!beside.texts.durations.text.empty()) {
      const auto profile = beside.profiles.find(*key);
      if (profile == beside.profiles.end()) return without(beside.texts.durations, "duration");
      function.mean_ms = profile->second.mean_ms;
      function.max_ms = profile->second.max_ms;
      function.percentiles_ms = profile->second.percentiles_ms;
    }
    const std::string memory_key = beside.memory_key(*key);
    if (!beside.texts.memory.text.empty() && !beside.memory.mb.contains(memory_key)) {
      return without(beside.texts.memory, "memory");
    }
    for (size_t i = 0; i < minutes->size(); ++i) {
      const auto& [minute, field] = (*minutes)[i];
      const auto count = count_of(csv, field, minute);
      if (!count) return fail(count.error());
      counts[i] = *count;
      if (together[i] + *count > kMaxCallsPerMinute) {
        return fail(csv.error_at(field, fmt::format("minute {} has more than {} calls of all "
                                                    "functions together",
                                                    minute + 1, kMaxCallsPerMinute)));
      }
    }
    for (size_t i = 0; i < counts.size(); ++i) together[i] += counts[i];
    const FunctionId id = builder.function(std::move(function));
    seen.insert(*std::move(key));
    apps[memory_key].push_back(id);
    for (size_t i = 0; i < counts.size(); ++i) builder.minute((*minutes)[i].first, counts[i]);
    return {};
  };
  if (auto ok = read_rows(csv, errors, width, row); !ok) return ok;
  for (const auto& [key, ids] : apps) {
    const auto memory = beside.memory.mb.find(key);
    if (memory == beside.memory.mb.end()) continue;
    for (const FunctionId id : ids) {
      builder[id].memory_mb = memory->second / static_cast<float>(ids.size());
    }
  }
  return {};
}

}  // namespace

Result<Trace> parse_azure2019(const Azure2019Texts& texts, const ReadOptions& options) {
  RowErrors errors(options);
  auto profiles = read_durations(texts.durations, errors);
  if (!profiles) return fail(profiles.error());
  auto memory = read_memory(texts.memory, errors);
  if (!memory) return fail(memory.error());
  TraceBuilder builder;
  Duration length{};
  const Beside beside{texts, *std::move(profiles), *std::move(memory)};
  if (auto ok = read_invocations(beside, options, errors, builder, length); !ok) {
    return fail(ok.error());
  }
  if (builder.functions() == 0) return fail(errors.nothing_in(texts.invocations, "function"));
  builder.skipped(errors.skipped());
  builder.assumed(texts.durations.text.empty(), texts.memory.text.empty());
  return std::move(builder).build(length);
}

Result<Trace> parse_azure2021(const NamedText& file, const ReadOptions& options) {
  CsvReader csv(file.text, file.name);
  if (auto ok = header(csv); !ok) return fail(ok.error());
  const size_t width = csv.fields().size();
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
  RowErrors errors(options);
  const auto read = [&]() -> Result<void> {
    for (const size_t name : {0, 1}) {
      if (csv.text(columns[name]).empty()) {
        return fail(csv.error_at(columns[name], fmt::format("{} is missing", kColumns[name])));
      }
    }
    const auto end = csv.number(columns[2], 0, kMaxSeconds, kColumns[2]);
    if (!end) return fail(end.error());
    const auto duration = csv.number(columns[3], 0, kMaxServiceMs / 1000, kColumns[3]);
    if (!duration) return fail(duration.error());
    const auto name = csv.fields()[columns[1]];
    const auto [at, fresh] = ids.try_emplace(fmt::format("{}/{}", csv.fields()[columns[0]], name));
    if (fresh) {
      at->second = builder.function({.name = std::string(name),
                                     .memory_mb = options.memory_mb,
                                     .mean_ms = 0,
                                     .max_ms = 0,
                                     .percentiles_ms = {}});
    }
    rows.push_back({at->second, *end - *duration, *duration});
    earliest = std::min(earliest, rows.back().start);
    return {};
  };
  if (auto ok = read_rows(csv, errors, width, read); !ok) return fail(ok.error());
  if (rows.empty()) return fail(errors.nothing_in(file, "call"));
  builder.skipped(errors.skipped());
  builder.assumed(/*durations=*/false, /*memory=*/true);
  std::vector<double> count(builder.functions());
  for (const Row& row : rows) {
    builder.call(row.function, Duration(std::llround((row.start - earliest) * kNsPerSecond)),
                 Duration(std::llround(row.duration * kNsPerSecond)));
    Function& function = builder[row.function];
    const auto ms = static_cast<float>(row.duration * 1000);
    function.max_ms = std::max(function.max_ms, ms);
    count[row.function] += 1;
    function.mean_ms += static_cast<float>((ms - function.mean_ms) / count[row.function]);
  }
  return std::move(builder).build();
}

}  // namespace ebb::sim
