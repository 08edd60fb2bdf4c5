#include "sim/start_time.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace ebb::sim {
namespace {

constexpr Duration kMost = std::chrono::hours(24 * 365);

Duration bounded(double ns) {
  return Duration(std::llround(std::clamp(ns, 0.0, static_cast<double>(kMost.count()))));
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  double ns = 0;
  if (unit == "ns") ns = 1;
  if (unit == "us") ns = 1e3;
  if (unit == "ms") ns = 1e6;
  if (unit == "s") ns = 1e9;
  if (unit == "m") ns = 60e9;
  if (unit == "h") ns = 3600e9;
  const bool zero = code == std::errc() && value == 0 && unit.empty();
  if (code != std::errc() || (ns == 0 && !zero) || !(value >= 0)) {
    return fail(Errc::kInvalid,
                "\"{}\" is no time: a number with ns, us, ms, s, m or h, as in 1.5s", text);
  }
  if (value * ns > static_cast<double>(kMost.count())) {
    return fail(Errc::kInvalid, "\"{}\" is too long: a year at most", text);
  }
  return bounded(value * ns);
}

Duration StartTime::draw(Random& random) const {
  const auto ns = static_cast<double>(typical.count());
  switch (kind) {
    case Kind::kConstant:
      return typical;
    case Kind::kExponential:
      return bounded(random.exponential(ns));
    case Kind::kLognormal:
      return bounded(ns * std::exp(sigma * random.normal()));
  }
  return typical;
}

namespace {

// "300ms,p99:2s" -> a lognormal distribution with these percentiles.
Result<StartTime> by_percentiles(std::string_view text) {
  constexpr double kDeviations = 2.3263478740408408;  // of a normal distribution's p99
  const size_t comma = text.find(",p99:");
  if (comma == std::string_view::npos) {
    return fail(Errc::kInvalid, "a start time by percentiles is p50:TIME,p99:TIME");
  }
  const auto median = parse_duration(text.substr(0, comma));
  if (!median) return fail(median.error());
  const auto tail = parse_duration(text.substr(comma + std::string_view(",p99:").size()));
  if (!tail) return fail(tail.error());
  if (*median <= Duration(0) || *tail < *median) {
    return fail(Errc::kInvalid, "the p50 of a start time must be above 0, and its p99 no less");
  }
  const double ratio = static_cast<double>(tail->count()) / static_cast<double>(median->count());
  return StartTime{StartTime::Kind::kLognormal, *median, std::log(ratio) / kDeviations};
}

}  // namespace

Result<StartTime> StartTime::parse(std::string_view text) {
  StartTime out;
  if (text.starts_with("p50:")) return by_percentiles(text.substr(4));
  const auto rest_after = [&text](std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
  };
  if (rest_after("exponential:")) {
    out.kind = Kind::kExponential;
  } else if (rest_after("lognormal:")) {
    out.kind = Kind::kLognormal;
  }
  std::string_view sigma;
  if (out.kind == Kind::kLognormal) {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
      return fail(Errc::kInvalid, "a lognormal start time is lognormal:MEDIAN:SIGMA");
    }
    sigma = text.substr(colon + 1);
    text = text.substr(0, colon);
    const auto [end, code] = std::from_chars(sigma.data(), sigma.data() + sigma.size(), out.sigma);
    constexpr double kMostSigma = 5;
    if (code != std::errc() || end != sigma.data() + sigma.size() || !(out.sigma >= 0) ||
        out.sigma > kMostSigma) {
      return fail(Errc::kInvalid, "sigma must be 0 to {}, not \"{}\"", kMostSigma, sigma);
    }
  }
  const auto typical = parse_duration(text);
  if (!typical) return fail(typical.error());
  out.typical = *typical;
  return out;
}

}  // namespace ebb::sim
