#include "scaling/harmonic.h"

#include <algorithm>
#include <cmath>

namespace ebb::scaling {

namespace {

// The cosine and sine of one frequency in `values` (Goertzel's recursion).
Harmonic::Wave wave_of(std::span<const double> values, double frequency) {
  const double factor = 2 * std::cos(frequency);
  double before = 0;
  double last = 0;
  for (const double value : values) {
    const double next = value + factor * last - before;
    before = last;
    last = next;
  }
  // The sum of value[n] e^(-i w n), turned back by the length.
  const double real = last - before * std::cos(frequency);
  const double imaginary = before * std::sin(frequency);
  const double turn = frequency * static_cast<double>(values.size() - 1);
  const double cosine = real * std::cos(turn) + imaginary * std::sin(turn);
  const double sine = real * std::sin(turn) - imaginary * std::cos(turn);
  return {frequency, cosine, sine};
}

}  // namespace

double Harmonic::at(double step) const {
  double value = offset + slope * step;
  for (const Wave& wave : waves) {
    value +=
        wave.cosine * std::cos(wave.frequency * step) + wave.sine * std::sin(wave.frequency * step);
  }
  return value;
}

Harmonic fit_harmonic(std::span<const double> history, int waves) {
  constexpr size_t kLeast = 4;
  Harmonic fit;
  if (history.size() < kLeast) return fit;
  const auto count = static_cast<double>(history.size());
  const double middle = (count - 1) / 2;
  double mean = 0;
  double along = 0;
  double square = 0;
  for (size_t i = 0; i < history.size(); ++i) {
    const double x = static_cast<double>(i) - middle;
    mean += history[i] / count;
    along += x * history[i];
    square += x * x;
  }
  fit.slope = along / square;
  fit.offset = mean - fit.slope * middle;

  std::vector<double> rest(history.begin(), history.end());
  for (size_t i = 0; i < rest.size(); ++i) rest[i] -= fit.at(static_cast<double>(i));
  std::vector<Harmonic::Wave> all;
  for (size_t k = 1; k <= history.size() / 2; ++k) {
    Harmonic::Wave wave = wave_of(rest, 2 * M_PI * static_cast<double>(k) / count);
    const double scale = 2 * k == history.size() ? 1 / count : 2 / count;
    wave.cosine *= scale;
    wave.sine *= scale;
    all.push_back(wave);
  }
  const auto power = [](const Harmonic::Wave& w) { return w.cosine * w.cosine + w.sine * w.sine; };
  const size_t kept = std::min(all.size(), static_cast<size_t>(std::max(waves, 0)));
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept), all.end(),
                    [&](const auto& a, const auto& b) { return power(a) > power(b); });
  fit.waves.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept));
  double squared = 0;
  for (size_t i = 0; i < history.size(); ++i) {
    const double error = history[i] - fit.at(static_cast<double>(i));
    squared += error * error;
  }
  fit.sigma = std::sqrt(squared / count);
  return fit;
}

}  // namespace ebb::scaling
