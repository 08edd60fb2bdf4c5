#include "sim/start_time.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

namespace ebb::sim {
namespace {

constexpr Duration kMost = std::chrono::hours(24 * 365);

Duration bounded(double ns) {
  return Duration(std::llround(std::clamp(ns, 0.0, static_cast<double>(kMost.count()))));
}

Duration at_share(const std::vector<std::pair<double, Duration>>& percentiles, double share) {
  const auto above =
      std::find_if(percentiles.begin(), percentiles.end(),
                   [share](const auto& percentile) { return percentile.first >= share; });
  if (above == percentiles.end()) return percentiles.back().second;
  if (above == percentiles.begin()) return above->second;
  const auto below = std::prev(above);
  const auto low = static_cast<double>(below->second.count());
  const auto high = static_cast<double>(above->second.count());
  return bounded(low + (high - low) * (share - below->first) / (above->first - below->first));
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
    case Kind::kMeasured:
      return at_share(percentiles, random.uniform());
  }
  return typical;
}

namespace {

constexpr size_t kMostPercentiles = 100;

Result<double> parse_share(std::string_view text) {
  double percent = -1;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (code == std::errc() && end == text.data() + text.size() && percent >= 0 && percent <= 100) {
    return percent / 100;
  }
  return fail(Errc::kInvalid, "p{} of a start time must be p0 to p100", text);
}

// "p50:300ms,p99:2s": what is known of a lognormal distribution.
Result<StartTime> lognormal(Duration median, Duration tail) {
  constexpr double kDeviations = 2.3263478740408408;  // of a normal distribution's p99
  if (median <= Duration(0)) {
    return fail(Errc::kInvalid, "the p50 of a start time must be above 0");
  }
  const double ratio = static_cast<double>(tail.count()) / static_cast<double>(median.count());
  return StartTime{StartTime::Kind::kLognormal, median, std::log(ratio) / kDeviations};
}

Result<StartTime> by_percentiles(std::string_view text) {
  StartTime out{.kind = StartTime::Kind::kMeasured};
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t colon = part.find(':');
    if (!part.starts_with('p') || colon == std::string_view::npos) {
      return fail(Errc::kInvalid, "a start time by percentiles is p50:TIME,p99:TIME, not \"{}\"",
                  part);
    }
    const auto share = parse_share(part.substr(1, colon - 1));
    if (!share) return fail(share.error());
    const auto time = parse_duration(part.substr(colon + 1));
    if (!time) return fail(time.error());
    if (!out.percentiles.empty() &&
        (*share <= out.percentiles.back().first || *time < out.percentiles.back().second)) {
      return fail(Errc::kInvalid, "percentiles of a start time must rise, and so must their times");
    }
    out.percentiles.emplace_back(*share, *time);
    if (out.percentiles.size() > kMostPercentiles) {
      return fail(Errc::kInvalid, "a start time takes {} percentiles at most", kMostPercentiles);
    }
  }
  if (out.percentiles.size() < 2) {
    return fail(Errc::kInvalid,
                "a start time by percentiles takes two at least, p50:TIME,p99:TIME");
  }
  const auto& [first, last] = std::pair(out.percentiles.front(), out.percentiles.back());
  if (out.percentiles.size() == 2 && first.first == 0.5 && last.first == 0.99) {
    return lognormal(first.second, last.second);
  }
  return out;
}

}  // namespace

Result<StartTime> StartTime::parse(std::string_view text) {
  StartTime out;
  if (text.starts_with('p')) return by_percentiles(text);
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
