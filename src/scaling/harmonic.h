// Extrapolation of a series by its strongest harmonics: a straight trend by least
// squares, then the few frequencies that carry most of the rest.
//
// After IceBreaker (ASPLOS 2022), with a line where it has a parabola: a parabola runs
// away when it is extended. The frequencies are whole cycles of the history, so no FFT
// and no length of a power of two is needed: one Goertzel pass for each. A fit takes
// length^2 / 2 multiplications; a value of the result a handful. Pure.
//
//   Harmonic fit = fit_harmonic(last_1440_minutes, 8);
//   fit.at(1440 + 5);   // 5 minutes after the newest value
#pragma once

#include <span>
#include <vector>

namespace ebb::scaling {

struct Harmonic {
  struct Wave {
    double frequency = 0;  // radians per step
    double cosine = 0;
    double sine = 0;
  };
  double offset = 0;
  double slope = 0;  // per step
  double sigma = 0;  // of what the fit leaves
  std::vector<Wave> waves;

  // The value at a step, 0 being the first of the history; may be below 0.
  [[nodiscard]] double at(double step) const;
};

// `waves` at most; fewer where the history is short. Nothing for under 4 values.
[[nodiscard]] Harmonic fit_harmonic(std::span<const double> history, int waves);

}  // namespace ebb::scaling
