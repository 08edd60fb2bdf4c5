// How long a pod takes from being handed out until it serves: a constant or drawn from
// a distribution. A value.
//
//   auto start = StartTime::parse("lognormal:300ms:0.4");   // median, sigma of the log
//   const Duration d = start->draw(random);
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "sim/random.h"

namespace ebb::sim {

struct StartTime {
  enum class Kind { kConstant, kExponential, kLognormal, kMeasured };
  Kind kind = Kind::kConstant;
  Duration typical{};  // the constant, the mean, or the median
  double sigma = 0;    // of the logarithm, with kLognormal
  // With kMeasured: shares of the starts and the time that they take at most, both rising.
  // Between two of them it is linear; below the first and above the last it stays.
  std::vector<std::pair<double, Duration>> percentiles = {};

  [[nodiscard]] Duration draw(Random& random) const;
  // "250ms", "exponential:1s", "lognormal:300ms:0.4", "p50:300ms,p99:2s" (lognormal), other
  // percentiles as measured: "p1:80ms,p50:90ms,p99.9:2s".
  [[nodiscard]] static Result<StartTime> parse(std::string_view text);
};

// "1.5s", "20ms", "3m", "2h", "500us"; kInvalid with what is wrong. Not negative.
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);

}  // namespace ebb::sim
