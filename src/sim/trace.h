// What is replayed: functions, and when each is called for how long.
//
// Calls are known either as a number per minute (arrivals inside the minute and
// durations are then drawn, see sim/arrivals.h) or one by one. A trace is made by a
// TraceBuilder, from files (sim/trace_files.h) or by a program, and is not changed any
// more. A value; thread-safe once built.
//
//   TraceBuilder builder;
//   const auto f = builder.function({.name = "hello", .mean_ms = 20});
//   builder.call(f, std::chrono::seconds(3), std::chrono::milliseconds(20));
//   Result<Trace> trace = std::move(builder).build();
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace ebb::sim {

using FunctionId = uint32_t;

struct Function {
  std::string name;
  float memory_mb = 128;
  float mean_ms = 0;  // of an execution
  float max_ms = 0;
  // Of execution times in ms at 0, 1, 25, 50, 75, 99 and 100 %. Not ascending or all 0:
  // not known, each execution takes mean_ms.
  std::array<float, 7> percentiles_ms{};

  [[nodiscard]] bool has_percentiles() const { return percentiles_ms.back() > 0; }
};

// The percentiles of Function, as fractions.
inline constexpr std::array<double, 7> kPercentiles{0, 0.01, 0.25, 0.5, 0.75, 0.99, 1};

struct MinuteCount {
  uint32_t minute = 0;
  uint32_t count = 0;  // > 0
};

struct Call {
  int64_t at_ns = 0;       // from the start of the trace
  int64_t service_ns = 0;  // negative: not known, drawn from the function's profile
  FunctionId function = 0;
};

// Bounds of what is taken in, so that no file fills the memory or overflows a time.
inline constexpr uint32_t kMaxMinutes = 60 * 24 * 366 * 2;
inline constexpr uint32_t kMaxCallsPerMinute = 20'000'000;  // of all functions; about 1 GiB
inline constexpr double kMaxServiceMs = 1000.0 * 3600 * 24 * 30;

// Rows of the trace's files that were wrong and left out.
struct SkippedRows {
  uint64_t rows = 0;
  std::string first;  // what was wrong with the first, and where
};

struct Trace {
  std::vector<Function> functions;
  // Minute counts of function f: minutes[first[f]] up to minutes[first[f + 1]], ascending.
  std::vector<uint64_t> first;
  std::vector<MinuteCount> minutes;
  std::vector<Call> calls;  // by time; then `minutes` is empty
  Duration length{};
  std::optional<WallTime> begin{};  // where it tells dates
  uint64_t total_calls = 0;
  // What the files do not say of any function, so that it is ReadOptions' for all.
  bool durations_assumed = false;
  bool memory_assumed = false;
  SkippedRows skipped;

  [[nodiscard]] std::vector<Function>::size_type size() const { return functions.size(); }
  // What it holds in memory.
  [[nodiscard]] size_t bytes() const;
};

class TraceBuilder final {
 public:
  // Ids are given in order, from 0.
  [[nodiscard]] FunctionId function(Function function);
  // Of the newest function only, minutes ascending; 0 is left out.
  void minute(uint32_t minute, uint32_t count);
  // In any order. A trace has either minutes or calls.
  void call(FunctionId function, Duration at, Duration service);
  void begins(WallTime at) { trace_.begin = at; }
  void assumed(bool durations, bool memory) {
    trace_.durations_assumed = durations;
    trace_.memory_assumed = memory;
  }
  void skipped(SkippedRows rows) { trace_.skipped = std::move(rows); }
  [[nodiscard]] Function& operator[](FunctionId id) { return trace_.functions[id]; }
  [[nodiscard]] size_t functions() const { return trace_.functions.size(); }

  // kInvalid if there is no function, or both minutes and calls. `length` 0: up to the
  // end of the last minute that has a call.
  [[nodiscard]] Result<Trace> build(Duration length = {}) &&;

 private:
  Trace trace_;
};

// The trace with every function taken `copies` times (names get "#2", ...), for more
// load or more functions of the same kind.
[[nodiscard]] Trace repeated(const Trace& trace, uint32_t copies);

}  // namespace ebb::sim
