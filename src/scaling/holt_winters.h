// Additive Holt-Winters smoothing with any number of seasons: what a series that
// repeats by the hour and by the day will be next.
//
// Source: Winters, Management Science 6 (1960); several seasons after Taylor, Journal
// of the Operational Research Society 54 (2003). One update per step (a minute, say). It
// runs three sets of smoothing factors side by side and answers with the one whose
// one-step error was smallest. 12 bytes of state for each step of the seasons. Nothing
// is known before the longest season has passed once. A value, not thread-safe.
//
//   HoltWinters series({1440, 60});   // minutes: a day, an hour
//   series.update(concurrency);
//   if (series.ready()) use(series.forecast(5), series.sigma());
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace ebb::scaling {

class HoltWinters final {
 public:
  // Seasons in steps, longest first; each at least 2.
  explicit HoltWinters(std::vector<int> seasons);

  void update(double value);
  [[nodiscard]] bool ready() const { return steps_ >= longest(); }
  // The value `ahead` steps after the newest one, at least 1; never below 0.
  [[nodiscard]] double forecast(int ahead) const;
  // Of the one-step error, over about two of the longest season.
  [[nodiscard]] double sigma() const;

 private:
  struct Factors {
    double level, trend, season;
  };
  struct Model {
    double level = 0;
    double trend = 0;
    double squared_error = 0;
    std::vector<std::vector<float>> seasons;
  };
  static constexpr int kModels = 3;
  static const std::array<Factors, kModels> kFactors;

  [[nodiscard]] int64_t longest() const { return static_cast<int64_t>(seasons_.front()); }
  [[nodiscard]] double seasonal(const Model& model, int64_t step) const;
  void begin();
  void smooth(Model& model, const Factors& factors, double value);
  [[nodiscard]] const Model& best() const;

  std::vector<int> seasons_;
  std::vector<float> first_;  // the first longest season, until it is complete
  std::array<Model, kModels> models_;
  int64_t steps_ = 0;
};

}  // namespace ebb::scaling
