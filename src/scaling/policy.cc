#include "scaling/policy.h"

#include <algorithm>

namespace ebb::scaling {

int amount(const Decision& decision, const Bounds& bounds, bool reachable) {
  int pods = std::max(decision.desired, reachable ? bounds.min : 0);
  if (bounds.max > 0) pods = std::min(pods, bounds.max);
  return std::max(pods, 0);
}

}  // namespace ebb::scaling
