// Random numbers that depend on nothing but a seed: the same on every machine and in
// every order of events, which std:: distributions do not promise.
//
// A value; copy it to fork. The generator is SplitMix64 (Steele, Lea and Flood,
// "Fast splittable pseudorandom number generators", OOPSLA 2014).
//
//   Random random(Random::mix(seed, function, minute));
//   const double gap = random.exponential(60);
#pragma once

#include <cmath>
#include <cstdint>

namespace ebb::sim {

class Random final {
 public:
  explicit constexpr Random(uint64_t seed) : state_(seed) {}

  // One seed from several numbers.
  [[nodiscard]] static constexpr uint64_t mix(uint64_t a, uint64_t b, uint64_t c = 0) {
    return scramble(scramble(scramble(a) ^ (b + kStep)) ^ (c + 2 * kStep));
  }

  constexpr uint64_t next() { return scramble(state_ += kStep); }
  // In [0, 1).
  constexpr double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  [[nodiscard]] double exponential(double mean) { return -mean * std::log1p(-uniform()); }
  // Standard normal, by Box and Muller.
  [[nodiscard]] double normal() {
    constexpr double kTwoPi = 6.283185307179586;
    const double radius = std::sqrt(-2 * std::log1p(-uniform()));
    return radius * std::cos(kTwoPi * uniform());
  }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15;
  static constexpr uint64_t scramble(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }
  uint64_t state_;
};

}  // namespace ebb::sim
