#include "sim/trace.h"

#include <algorithm>

namespace ebb::sim {

size_t Trace::bytes() const {
  size_t total = functions.capacity() * sizeof(Function) + first.capacity() * sizeof(uint64_t) +
                 minutes.capacity() * sizeof(MinuteCount) + calls.capacity() * sizeof(Call);
  constexpr size_t kInline = 15;  // a string up to this long has no memory of its own
  for (const auto& function : functions) {
    if (function.name.capacity() > kInline) total += function.name.capacity() + 1;
  }
  return total;
}

FunctionId TraceBuilder::function(Function function) {
  if (!std::is_sorted(function.percentiles_ms.begin(), function.percentiles_ms.end()) ||
      function.percentiles_ms.front() < 0) {
    function.percentiles_ms = {};
  }
  trace_.functions.push_back(std::move(function));
  trace_.first.push_back(trace_.minutes.size());
  return static_cast<FunctionId>(trace_.functions.size() - 1);
}

void TraceBuilder::minute(uint32_t minute, uint32_t count) {
  if (count == 0) return;
  trace_.minutes.push_back({minute, count});
  trace_.total_calls += count;
}

void TraceBuilder::call(FunctionId function, Duration at, Duration service) {
  trace_.calls.push_back({at.count(), service.count(), function});
  ++trace_.total_calls;
}

Result<Trace> TraceBuilder::build(Duration length) && {
  if (trace_.functions.empty()) return fail(Errc::kInvalid, "the trace has no function");
  if (!trace_.minutes.empty() && !trace_.calls.empty()) {
    return fail(Errc::kInvalid, "a trace has calls either per minute or one by one, not both");
  }
  trace_.first.push_back(trace_.minutes.size());
  std::vector<uint64_t> together;  // calls of all functions, by minute
  for (const auto& [minute, count] : trace_.minutes) {
    if (minute >= together.size()) together.resize(minute + 1);
    together[minute] += count;
    if (together[minute] > kMaxCallsPerMinute) {
      return fail(Errc::kInvalid, "minute {} has more than {} calls", minute + 1,
                  kMaxCallsPerMinute);
    }
  }
  std::stable_sort(trace_.calls.begin(), trace_.calls.end(),
                   [](const Call& a, const Call& b) { return a.at_ns < b.at_ns; });
  auto minutes = static_cast<int64_t>(together.size());
  if (!trace_.calls.empty()) {
    minutes = trace_.calls.back().at_ns / Duration(std::chrono::minutes(1)).count() + 1;
  }
  trace_.length = length > Duration(0) ? length : Duration(std::chrono::minutes(minutes));
  trace_.functions.shrink_to_fit();
  trace_.minutes.shrink_to_fit();
  trace_.calls.shrink_to_fit();
  return std::move(trace_);
}

Trace repeated(const Trace& trace, uint32_t copies) {
  Trace out;
  out.length = trace.length;
  out.skipped = trace.skipped;
  out.total_calls = trace.total_calls * copies;
  out.functions.reserve(trace.size() * copies);
  out.first.reserve(trace.size() * copies + 1);
  out.minutes.reserve(trace.minutes.size() * copies);
  out.calls.reserve(trace.calls.size() * copies);
  for (uint32_t copy = 0; copy < copies; ++copy) {
    const auto offset = static_cast<FunctionId>(out.functions.size());
    for (size_t f = 0; f < trace.size(); ++f) {
      out.functions.push_back(trace.functions[f]);
      if (copy > 0) out.functions.back().name += fmt::format("#{}", copy + 1);
      out.first.push_back(out.minutes.size());
      if (trace.minutes.empty()) continue;
      out.minutes.insert(out.minutes.end(),
                         trace.minutes.begin() + static_cast<std::ptrdiff_t>(trace.first[f]),
                         trace.minutes.begin() + static_cast<std::ptrdiff_t>(trace.first[f + 1]));
    }
    for (Call call : trace.calls) {
      call.function += offset;
      out.calls.push_back(call);
    }
  }
  out.first.push_back(out.minutes.size());
  std::stable_sort(out.calls.begin(), out.calls.end(),
                   [](const Call& a, const Call& b) { return a.at_ns < b.at_ns; });
  return out;
}

}  // namespace ebb::sim
