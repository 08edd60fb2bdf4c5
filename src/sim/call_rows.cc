#include "sim/call_rows.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "sim/row_times.h"

namespace ebb::sim {
namespace {

constexpr int64_t kLongest = Duration(std::chrono::minutes(kMaxMinutes)).count();
constexpr int64_t kDay = Duration(std::chrono::hours(24)).count();

}  // namespace

FunctionId CallRows::function(const std::string& name) {
  const auto [at, fresh] = ids_.try_emplace(name, static_cast<FunctionId>(functions_.size()));
  if (fresh) {
    functions_.push_back({.name = name,
                          .memory_mb = options_.memory_mb,
                          .mean_ms = 0,
                          .max_ms = 0,
                          .percentiles_ms = {}});
  }
  return at->second;
}

void CallRows::add(size_t line, FunctionId id, int64_t at_ns, Duration service) {
  constexpr size_t kLastLine = std::numeric_limits<uint32_t>::max();
  rows_.push_back({at_ns, service.count(), id, static_cast<uint32_t>(std::min(line, kLastLine))});
}

std::vector<int64_t> CallRows::times() const {
  std::vector<int64_t> out;
  out.reserve(rows_.size());
  for (const Row& row : rows_) out.push_back(row.at_ns);
  return out;
}

// What is wrong is said of the first.
Result<void> CallRows::leave_out(std::vector<size_t> rows, const std::string& what,
                                 RowErrors& errors, const Times& times) {
  const Error error = times.error(rows_[rows.front()].line, what);
  if (auto ok = errors.add(error, rows.size()); !ok) return ok;
  std::sort(rows.begin(), rows.end());
  size_t kept = 0;
  auto next = rows.begin();
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (next != rows.end() && *next == i) {
      ++next;
    } else {
      rows_[kept++] = rows_[i];
    }
  }
  rows_.resize(kept);
  return {};
}

Result<void> CallRows::check_order(RowErrors& errors, const Times& times) {
  auto wrong = rows_out_of_order(this->times());
  if (wrong.empty()) return {};
  const size_t row = wrong.front();
  const bool early = row > 0 && rows_[row].at_ns < rows_[row - 1].at_ns;
  const std::string what = fmt::format("{} is {}: rows must be ordered by time", times.name,
                                       early ? "before the row above" : "after the row below");
  return leave_out(std::move(wrong), what, errors, times);
}

Result<void> CallRows::check_span(RowErrors& errors, const Times& times) {
  const auto all = this->times();
  auto wrong = rows_apart(all, kLongest);
  if (wrong.empty()) return {};
  const int64_t distance = all[wrong.front()] - median(all);
  const std::string what =
      fmt::format("{} is {} days {} the median of all: a trace spans {} days at most", times.name,
                  std::abs(distance) / kDay, distance < 0 ? "before" : "after", kLongest / kDay);
  return leave_out(std::move(wrong), what, errors, times);
}

Result<Trace> CallRows::build(const NamedText& file, RowErrors& errors, const Times& times) && {
  if (times.ordered) {
    if (auto ok = check_order(errors, times); !ok) return fail(ok.error());
  }
  if (auto ok = check_span(errors, times); !ok) return fail(ok.error());
  if (rows_.empty()) return fail(errors.nothing_in(file, "call"));

  int64_t start = rows_.front().at_ns;
  int64_t latest = start;
  for (const Row& row : rows_) {
    start = std::min(start, row.at_ns);
    latest = std::max(latest, row.at_ns);
  }
  TraceBuilder builder;
  if (times.from_zero && latest <= kLongest) {
    start = 0;
  } else {
    builder.begins(WallTime(std::chrono::duration_cast<WallTime::duration>(Duration(start))));
  }

  constexpr auto kNone = std::numeric_limits<FunctionId>::max();
  std::vector<FunctionId> ids(functions_.size(), kNone);  // of those that are called
  std::vector<double> known;                              // executions of each
  for (const Row& row : rows_) {
    FunctionId& id = ids[row.function];
    if (id == kNone) {
      id = builder.function(std::move(functions_[row.function]));
      known.push_back(0);
    }
    builder.call(id, Duration(row.at_ns - start), Duration(row.service_ns));
    if (row.service_ns < 0) continue;
    Function& function = builder[id];
    const auto ms = static_cast<float>(static_cast<double>(row.service_ns) / 1e6);
    function.max_ms = std::max(function.max_ms, ms);
    known[id] += 1;
    function.mean_ms += static_cast<float>((ms - function.mean_ms) / known[id]);
  }
  for (FunctionId id = 0; id < known.size(); ++id) {
    if (known[id] == 0) builder[id].mean_ms = builder[id].max_ms = options_.mean_ms;
  }
  builder.skipped(errors.skipped());
  builder.assumed(/*durations=*/false, !memory_known_);
  return std::move(builder).build();
}

}  // namespace ebb::sim
