// How long a pod takes from being handed out until it serves: a constant or drawn from
// a distribution. A value.
//
//   auto start = StartTime::parse("lognormal:300ms:0.4");   // median, sigma of the log
//   const Duration d = start->draw(random);
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "sim/random.h"

namespace ebb::sim {

struct StartTime {
  enum class Kind { kConstant, kExponential, kLognormal };
  Kind kind = Kind::kConstant;
  Duration typical{};  // the constant, the mean, or the median
  double sigma = 0;    // of the logarithm, with kLognormal

  [[nodiscard]] Duration draw(Random& random) const;
  // "250ms", "exponential:1s", "lognormal:300ms:0.4", "p50:300ms,p99:2s" (lognormal).
  [[nodiscard]] static Result<StartTime> parse(std::string_view text);
};

// "1.5s", "20ms", "3m", "2h", "500us"; kInvalid with what is wrong. Not negative.
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);

}  // namespace ebb::sim
