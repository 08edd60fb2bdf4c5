// Every revision's request path by uid: what the AutoScaler samples and what is seen.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "scaling/metrics_source.h"
#include "serving/metrics.h"
#include "serving/throttler.h"

namespace ebb::serving {

// Thread-safe.
class Traffic final : public scaling::MetricsSource {
 public:
  struct Entry {
    std::shared_ptr<Throttler> throttler;
    std::shared_ptr<RevisionMetrics> metrics;
  };

  // `executors`: that serve requests.
  explicit Traffic(size_t executors = 1) : executors_(executors) {}

  // Returns where the revision's requests are counted.
  std::shared_ptr<RevisionMetrics> add(std::shared_ptr<Throttler> throttler,
                                       RevisionLabels labels = {});
  void remove(const std::string& revision);
  [[nodiscard]] std::shared_ptr<Throttler> find(const std::string& revision) const;
  [[nodiscard]] std::vector<Entry> all() const;
  [[nodiscard]] std::vector<scaling::RevisionMetric> collect(TimePoint now) override;

 private:
  const size_t executors_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

}  // namespace ebb::serving
