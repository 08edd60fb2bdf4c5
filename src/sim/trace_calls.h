// Readers of traces that name every call: Ebb's own access log, and a plain CSV.
// Texts in, a trace or an error with file and line out. Thread-safe.
//
// Access log (docs/access-log.md): arrivals are `time`, the execution is duration_us
// less queue_us. Requests that reached no service are left out; those that were refused
// or cut keep their arrival, and their execution time is the function's mean.
// Plain: columns start_s, function, duration_ms and, if wanted, memory_mb, in any order
// under a header, or the first three without one.
#pragma once

#include "sim/trace.h"
#include "sim/trace_azure.h"

namespace ebb::sim {

[[nodiscard]] Result<Trace> parse_access_log(const NamedText& log,
                                             const FunctionDefaults& defaults = {});

[[nodiscard]] Result<Trace> parse_plain(const NamedText& calls,
                                        const FunctionDefaults& defaults = {});

}  // namespace ebb::sim
