// Every revision's throttler by uid: what the AutoScaler samples.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "scaling/metrics_source.h"
#include "serving/throttler.h"

namespace ebb::serving {

// Thread-safe.
class Traffic final : public scaling::MetricsSource {
 public:
  void add(std::shared_ptr<Throttler> throttler);
  void remove(const std::string& revision);
  [[nodiscard]] std::shared_ptr<Throttler> find(const std::string& revision) const;
  [[nodiscard]] std::vector<scaling::RevisionMetric> collect(TimePoint now) override;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Throttler>> throttlers_;
};

}  // namespace ebb::serving
