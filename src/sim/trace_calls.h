// Readers of traces that name every call: Ebb's own access log, and a plain CSV.
// Texts in, a trace or an error with file and line out. Thread-safe.
//
// Access log (docs/access-log.md): arrivals are `time`, the execution is duration_us
// less queue_us. Requests that reached no service are left out; those that were refused
// or cut keep their arrival, and their execution time is the function's mean.
// Plain: columns timestamp, function, duration and, if wanted, memory, in any order under a
// header, or the first three in this order without one. Rows are ordered by time.
// - timestamp: seconds from the start of the trace; or Unix time, or as in
//   2026-11-24T02:18:09Z, from the first row's.
// - duration: ms, or with a unit as in 1.5s.
// - memory: MB, or a quantity as in 128Mi.
// The columns are also known as start_s, duration_ms and memory_mb.
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "sim/read_rows.h"
#include "sim/trace.h"

namespace ebb::sim {

// "2026-11-24T02:18:09.5Z", in UTC and from 1970 on.
[[nodiscard]] std::optional<WallTime> parse_date(std::string_view text);

[[nodiscard]] Result<Trace> parse_access_log(const NamedText& log, const ReadOptions& options = {});

[[nodiscard]] Result<Trace> parse_plain(const NamedText& calls, const ReadOptions& options = {});

}  // namespace ebb::sim
