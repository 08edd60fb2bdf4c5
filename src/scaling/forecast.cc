#include "scaling/forecast.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "scaling/average.h"

namespace ebb::scaling {

Forecast::Forecast(const ForecastSettings& settings)
    : settings_(settings),
      hourly_({settings.hour}),
      daily_({settings.day, settings.hour}),
      history_(static_cast<size_t>(std::max(settings.day, 4))) {}

void Forecast::observe(const Metric& metric) {
  const double load = load_of(metric, settings_.metric);
  if (!std::isfinite(load)) return;
  if (!step_begin_) step_begin_ = metric.at;
  // A rest without metrics is steps without load; beyond a day it is a new life.
  const int64_t passed = (metric.at - *step_begin_) / settings_.step;
  const auto most = static_cast<int64_t>(history_.size()) + 1;
  for (int64_t i = 0; i < std::min(passed, most); ++i) {
    close_step(i == 0 ? peak_ : 0);
    peak_ = 0;
  }
  if (passed > 0) *step_begin_ += passed * settings_.step;
  constexpr Duration kSecond = std::chrono::seconds(1);
  if (metric.at >= bucket_ + kSecond || steps_ == 0) {
    bucket_ = metric.at;
    load_ = 0;
  }
  load_ += load;
  peak_ = std::max(peak_, load_);
}

void Forecast::close_step(double load) {
  score(load);
  hourly_.update(load);
  daily_.update(load);
  history_[static_cast<size_t>(steps_ % static_cast<int64_t>(history_.size()))] = load;
  most_ = std::max(most_, load);
  ++steps_;
  const auto length = static_cast<int64_t>(history_.size());
  if (steps_ < length || steps_ % std::max(settings_.hour, 1) != 0) return;
  std::vector<double> ordered(history_.size());
  for (int64_t i = 0; i < length; ++i) {
    ordered[static_cast<size_t>(i)] = history_[static_cast<size_t>((steps_ + i) % length)];
  }
  harmonic_ = fit_harmonic(ordered, settings_.waves);
  if (harmonic_begin_ < 0) harmonic_error_ = harmonic_.sigma * harmonic_.sigma;
  harmonic_begin_ = steps_ - length;
}

void Forecast::score(double load) {
  if (harmonic_begin_ < 0) return;
  const double said = std::max(0.0, harmonic_.at(static_cast<double>(steps_ - harmonic_begin_)));
  const double memory = 1.0 / (2.0 * static_cast<double>(history_.size()));
  harmonic_error_ += memory * ((load - said) * (load - said) - harmonic_error_);
}

std::optional<Forecast::Guess> Forecast::guess(int ahead) const {
  std::optional<Guess> best;
  const auto offer = [&best](const Guess& other) {
    if (!best || other.sigma < best->sigma) best = other;
  };
  // A season must have come round once more before its error means something.
  if (steps_ >= 2LL * settings_.hour) {
    offer({"hourly", hourly_.forecast(ahead), hourly_.sigma()});
  }
  if (steps_ >= settings_.day + settings_.hour) {
    offer({"daily", daily_.forecast(ahead), daily_.sigma()});
  }
  if (harmonic_begin_ >= 0 && steps_ >= settings_.day + settings_.hour) {
    const auto step = static_cast<double>(steps_ - harmonic_begin_ + ahead - 1);
    offer({"harmonic", std::max(0.0, harmonic_.at(step)), std::sqrt(harmonic_error_)});
  }
  return best;
}

Decision Forecast::decide(const Situation& situation) {
  Decision decision;
  if (!step_begin_ || situation.now < *step_begin_) {
    if (situation.explain) decision.reason = "no metrics yet";
    return decision;
  }
  // From the open step (1 ahead of the closed ones) to the one that `lead` reaches.
  const Duration into = situation.now - *step_begin_;
  constexpr int64_t kFarthest = 1440;
  const auto first = static_cast<int>(std::min(into / settings_.step + 1, kFarthest));
  const auto last =
      static_cast<int>(std::min((into + settings_.lead) / settings_.step + 1, kFarthest));
  std::optional<Guess> most;
  for (int ahead = first; ahead <= last; ++ahead) {
    const auto one = guess(ahead);
    if (one && (!most || one->load > most->load)) most = one;
  }
  if (!most) {
    if (situation.explain) decision.reason = "not enough history for a forecast";
    return decision;
  }
  decision.valid = true;
  decision.stable = most->load;
  // What is rather nothing than something starts no pod: below half a pod's load, and
  // below half of the most there ever was.
  const double least = std::max(most->sigma, std::min(settings_.target, most_) / 2);
  if (most->load < least || most->load <= 0) {
    if (situation.explain) {
      decision.reason =
          fmt::format("{} forecast {:.1f} does not stand out: error {:.1f}, least {:.1f}",
                      most->model, most->load, most->sigma, least);
    }
    return decision;
  }
  const double load = std::min(most->load + settings_.deviations * most->sigma, most_);
  decision.desired = pods_for(load, settings_.target);
  if (!situation.explain) return decision;
  decision.reason = fmt::format(
      "{} forecast {:.1f} +- {:.1f} within {} s / target {:.1f} -> {}", most->model, most->load,
      most->sigma, std::chrono::duration_cast<std::chrono::seconds>(settings_.lead).count(),
      settings_.target, decision.desired);
  return decision;
}

}  // namespace ebb::scaling
