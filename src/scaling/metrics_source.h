// Where the AutoScaler gets what was seen: the request path in this process, a
// scrape of other machines' gateways, or a simulator.
#pragma once

#include <string>
#include <vector>

#include "scaling/policy.h"

namespace ebb::scaling {

struct RevisionMetric {
  std::string revision;  // its uid
  Metric metric;
};

class MetricsSource {
 public:
  virtual ~MetricsSource() = default;
  // What was seen of every known revision since the last call, one entry each, also
  // when it was nothing. Called once a second; thread-safe.
  [[nodiscard]] virtual std::vector<RevisionMetric> collect(TimePoint now) = 0;
};

}  // namespace ebb::scaling
