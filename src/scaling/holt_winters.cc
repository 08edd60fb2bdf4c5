#include "scaling/holt_winters.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace ebb::scaling {

// From sluggish to quick.
const std::array<HoltWinters::Factors, HoltWinters::kModels> HoltWinters::kFactors{{
    {0.02, 0.001, 0.1},
    {0.1, 0.001, 0.2},
    {0.4, 0.001, 0.3},
}};

namespace {

// The trend fades with the horizon, so that a rise is not drawn out without end.
constexpr double kTrendKept = 0.95;

size_t index(int64_t step, size_t length) {
  return static_cast<size_t>(step % static_cast<int64_t>(length));
}

}  // namespace

HoltWinters::HoltWinters(std::vector<int> seasons) : seasons_(std::move(seasons)) {
  for (int& season : seasons_) season = std::max(season, 2);
  if (seasons_.empty()) seasons_.push_back(2);
  std::sort(seasons_.rbegin(), seasons_.rend());
  first_.reserve(static_cast<size_t>(longest()));
}

void HoltWinters::update(double value) {
  if (!std::isfinite(value)) return;
  if (!ready()) {
    first_.push_back(static_cast<float>(value));
    if (++steps_ == longest()) begin();
    return;
  }
  for (size_t i = 0; i < models_.size(); ++i) smooth(models_[i], kFactors[i], value);
  ++steps_;
}

// The level is the mean of the first season; each season, shortest first, is the mean of
// what the ones before it leave.
void HoltWinters::begin() {
  Model model;
  const auto count = static_cast<double>(first_.size());
  model.level = std::accumulate(first_.begin(), first_.end(), 0.0) / count;
  std::vector<double> rest(first_.begin(), first_.end());
  for (double& value : rest) value -= model.level;
  model.seasons.resize(seasons_.size());
  for (size_t s = seasons_.size(); s-- > 0;) {
    const auto length = static_cast<size_t>(seasons_[s]);
    std::vector<double> sum(length);
    std::vector<int> seen(length);
    for (size_t i = 0; i < rest.size(); ++i) {
      sum[i % length] += rest[i];
      ++seen[i % length];
    }
    model.seasons[s].resize(length);
    for (size_t i = 0; i < length; ++i) {
      model.seasons[s][i] = static_cast<float>(sum[i] / std::max(seen[i], 1));
    }
    for (size_t i = 0; i < rest.size(); ++i) rest[i] -= model.seasons[s][i % length];
  }
  models_.fill(model);
  first_.clear();
  first_.shrink_to_fit();
}

double HoltWinters::seasonal(const Model& model, int64_t step) const {
  double sum = 0;
  for (const auto& season : model.seasons) sum += season[index(step, season.size())];
  return sum;
}

void HoltWinters::smooth(Model& model, const Factors& factors, double value) {
  const double season = seasonal(model, steps_);
  const double error = value - (model.level + model.trend + season);
  const double memory = 1.0 / (2.0 * static_cast<double>(longest()));
  model.squared_error += memory * (error * error - model.squared_error);
  const double level =
      factors.level * (value - season) + (1 - factors.level) * (model.level + model.trend);
  model.trend = factors.trend * (level - model.level) + (1 - factors.trend) * model.trend;
  model.level = level;
  // What is left of the error is shared by the seasons.
  const double left = (value - level - season) / static_cast<double>(model.seasons.size());
  for (auto& part : model.seasons) {
    part[index(steps_, part.size())] += static_cast<float>(factors.season * left);
  }
}

const HoltWinters::Model& HoltWinters::best() const {
  return *std::min_element(models_.begin(), models_.end(), [](const Model& a, const Model& b) {
    return a.squared_error < b.squared_error;
  });
}

double HoltWinters::forecast(int ahead) const {
  if (!ready()) return 0;
  const Model& model = best();
  const int64_t steps = std::max(1, ahead);
  const double damped =
      kTrendKept * (1 - std::pow(kTrendKept, static_cast<double>(steps))) / (1 - kTrendKept);
  return std::max(0.0, model.level + model.trend * damped + seasonal(model, steps_ + steps - 1));
}

double HoltWinters::sigma() const { return ready() ? std::sqrt(best().squared_error) : 0; }

}  // namespace ebb::scaling
