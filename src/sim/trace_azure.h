// Readers of Microsoft's public traces of Azure Functions. Texts in, a trace or an
// error with file, line and column out. Thread-safe.
//
// 2019 (Shahrad et al., USENIX ATC 2020): one row per function with its calls in each
// minute of a day, and files with percentiles of durations and of memory. Columns are
// found by name; Trigger may be there or not, minutes may be "1" or "minute_1".
// 2021 (Zhang et al., SOSP 2021): one row per call: app, func, end_timestamp, duration,
// both in seconds.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "sim/read_rows.h"
#include "sim/trace.h"

namespace ebb::sim {

struct Azure2019Texts {
  NamedText invocations;
  // Empty text: the defaults, for all. Otherwise every function must have a row.
  NamedText durations;
  NamedText memory;  // of an application: split evenly over its functions
};

[[nodiscard]] Result<Trace> parse_azure2019(const Azure2019Texts& texts,
                                            const ReadOptions& options = {});

[[nodiscard]] Result<Trace> parse_azure2021(const NamedText& calls,
                                            const ReadOptions& options = {});

}  // namespace ebb::sim
