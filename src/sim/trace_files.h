// Opens a trace by its path and tells its format by its content. Blocking.
//
//   auto trace = open_trace("traces/400_inv.csv");
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sim/trace.h"
#include "sim/trace_azure.h"

namespace ebb::sim {

enum class TraceFormat { kAzure2019, kAzure2021, kAccessLog, kPlain };

[[nodiscard]] const char* to_string(TraceFormat format);
// By the first line.
[[nodiscard]] TraceFormat format_of(std::string_view text);

struct TraceFiles {
  std::string path;
  // Of Azure 2019. Empty: the files beside `path` that are named like it (400_run.csv and
  // 400_mem.csv beside 400_inv.csv, durations.csv and memory.csv beside invocations.csv,
  // function_durations_percentiles.X and app_memory_percentiles.X beside
  // invocations_per_function_md.X), where there are any.
  std::string durations = {};
  std::string memory = {};
};

inline constexpr size_t kMaxTraceBytes = size_t{8} << 30;

[[nodiscard]] Result<Trace> open_trace(const TraceFiles& files, const ReadOptions& options = {});
[[nodiscard]] Result<Trace> open_trace(const std::string& path);

}  // namespace ebb::sim
