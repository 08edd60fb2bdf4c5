// Readers of Microsoft's public traces of Azure Functions. Texts in, a trace or an
// error with file and line out. Thread-safe.
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
#include "sim/trace.h"

namespace ebb::sim {

// A text and the name of its file, for errors.
struct NamedText {
  std::string name;
  std::string_view text;
};

// What a function has that no file says more about.
struct FunctionDefaults {
  float mean_ms = 100;
  float memory_mb = 128;
};

struct Azure2019Texts {
  NamedText invocations;
  NamedText durations;  // empty text: the defaults
  NamedText memory;     // likewise. Of an application: split evenly over its functions
};

[[nodiscard]] Result<Trace> parse_azure2019(const Azure2019Texts& texts,
                                            const FunctionDefaults& defaults = {});

[[nodiscard]] Result<Trace> parse_azure2021(const NamedText& calls,
                                            const FunctionDefaults& defaults = {});

}  // namespace ebb::sim
