// The calls of a trace in the order of time, minute by minute. Not thread-safe.
//
// Where a trace knows only how many calls a minute had, their times are placed and
// their durations drawn; the outcome depends on the seed alone. Memory: 8 bytes per
// function beside the trace, and one minute of calls.
//
//   ArrivalStream stream(trace, {.placement = Spread::kUniform, .seed = 7});
//   std::vector<Arrival> minute;
//   while (stream.next(minute)) for (const Arrival& a : minute) ...
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/random.h"
#include "sim/trace.h"

namespace ebb::sim {

// Where the n calls of a minute fall.
enum class Spread {
  kEquidistant,  // 60 s / n apart, each function with a phase of its own
  kAligned,      // 60 s / n apart, from the minute's start on: functions coincide
  kUniform,      // n independent times
  kExponential,  // as a Poisson process, given n: in law the same as kUniform, but drawn
                 // in order from exponential gaps
  kStart,        // all at the minute's start, as first-order models take them
};

[[nodiscard]] const char* to_string(Spread spread);
[[nodiscard]] std::optional<Spread> spread(std::string_view name);
[[nodiscard]] std::vector<std::string> spread_names();  // in the order above

// How long executions take.
enum class Service {
  kDrawn,  // as recorded, else from the function's percentiles, between them linearly
  kMean,   // each the function's mean
  kZero,   // none, as first-order models take them
};

[[nodiscard]] const char* to_string(Service service);
[[nodiscard]] std::optional<Service> service(std::string_view name);

struct ArrivalOptions {
  Spread spread = Spread::kEquidistant;
  Service service = Service::kDrawn;
  uint64_t seed = 1;
  Duration until{};  // later calls are left out; 0: none
};

struct Arrival {
  int64_t at_ns = 0;
  int64_t service_ns = 0;
  FunctionId function = 0;
};

// Draws the calls of one function in one minute.
class ArrivalDraw final {
 public:
  ArrivalDraw(const Trace& trace, const ArrivalOptions& options)
      : trace_(trace), options_(options) {}

  // Appends `count` arrivals of the minute, ascending.
  void draw(FunctionId function, uint32_t minute, uint32_t count, std::vector<Arrival>& out);
  // The execution time of a call with the given number; service < 0: not known.
  [[nodiscard]] int64_t service_ns(FunctionId function, int64_t known_ns, uint64_t number) const;

 private:
  [[nodiscard]] int64_t draw_service(const Function& function, Random& random) const;
  const Trace& trace_;
  ArrivalOptions options_;
};

class ArrivalStream final {
 public:
  // The trace must outlive it.
  ArrivalStream(const Trace& trace, const ArrivalOptions& options);

  // Replaces `out` by the calls of the next minute that has any, ascending by time (at
  // one time by function). False at the end.
  [[nodiscard]] bool next(std::vector<Arrival>& out);
  [[nodiscard]] size_t bytes() const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  void collect_minute(uint32_t minute, std::vector<Arrival>& out);
  bool next_calls(std::vector<Arrival>& out);
  void sort(std::vector<Arrival>& out, int64_t start_ns);

  const Trace& trace_;
  ArrivalOptions options_;
  ArrivalDraw draw_;
  // A calendar: per minute the functions whose next call is in it, as a linked list.
  std::vector<uint32_t> head_;
  std::vector<uint32_t> link_;
  std::vector<uint32_t> cursor_;  // minutes of the function that are done
  std::vector<uint32_t> called_;  // functions with calls in the minute
  uint32_t minute_ = 0;
  size_t call_ = 0;
  std::vector<uint64_t> keys_;
  std::vector<Arrival> sorted_;
};

}  // namespace ebb::sim
