#include "scaling/knative_capacity.h"

#include <algorithm>
#include <cmath>

#include "scaling/policy.h"

namespace ebb::scaling {

int excess_burst_capacity(const Capacity& capacity, int ready, double load) {
  if (capacity.burst == 0) return 0;
  if (capacity.burst < 0) return -1;
  return to_pods(std::floor(ready * capacity.total - capacity.burst - load));
}

int initial_burst_capacity(const Capacity& capacity, int initial_scale) {
  if (capacity.burst == 0) return 0;
  if (capacity.burst < 0) return -1;
  return to_pods(std::trunc(initial_scale * capacity.total - capacity.burst));
}

int num_activators(const Capacity& capacity, int ready, double each) {
  constexpr int kLeast = 2;
  if (capacity.burst == 0) return kLeast;
  const double carried = ready * capacity.total + std::max(capacity.burst, 0.0);
  return std::max(kLeast, to_pods(std::ceil(carried / each)));
}

int sample_size(int pods) {
  constexpr double kDeviations = 1.96;  // on both sides of the mean: 95 %
  constexpr double kVariance = 100;
  constexpr double kMargin = 5;
  constexpr double kEnough = kDeviations * kDeviations * kVariance / (kMargin * kMargin);
  if (pods <= 3) return std::max(pods, 0);
  return to_pods(std::ceil(pods * kEnough / (pods + kEnough - 1)));
}

}  // namespace ebb::scaling
