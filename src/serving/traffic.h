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

  // Requests that may wait, for each executor as many as it has connections; bytes that they
  // may hold.
  static constexpr size_t kMostWaiting = 20'000;
  static constexpr size_t kMostWaitingBytes = 256u << 20;

  // `executors`: that serve requests.
  explicit Traffic(size_t executors = 1)
      : executors_(executors),
        budget_(std::make_shared<WaitingBudget>(
            Waiting{.requests = executors * kMostWaiting, .bytes = kMostWaitingBytes})) {}

  // For the throttlers of all revisions.
  [[nodiscard]] const std::shared_ptr<WaitingBudget>& budget() const { return budget_; }

  // Returns where the revision's requests are counted.
  std::shared_ptr<RevisionMetrics> add(std::shared_ptr<Throttler> throttler,
                                       RevisionLabels labels = {});
  void remove(const std::string& revision);
  [[nodiscard]] std::shared_ptr<Throttler> find(const std::string& revision) const;
  [[nodiscard]] std::vector<Entry> all() const;
  // How many requests are in each pod, of those that hold some; also of removed revisions.
  [[nodiscard]] std::map<std::string, int> requests_by_pod() const;
  // Requests that wait for a slot, or in a pod that still loads its code.
  [[nodiscard]] int waiting() const;
  // No more pods come to any revision.
  void close(const Refused& why);
  [[nodiscard]] std::vector<scaling::RevisionMetric> collect(TimePoint now) override;

 private:
  const size_t executors_;
  const std::shared_ptr<WaitingBudget> budget_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::vector<std::weak_ptr<Throttler>> removed_;  // that may hold requests
};

}  // namespace ebb::serving
