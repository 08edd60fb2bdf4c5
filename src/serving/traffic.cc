#include "serving/traffic.h"

namespace ebb::serving {

std::shared_ptr<RevisionMetrics> Traffic::add(std::shared_ptr<Throttler> throttler,
                                              RevisionLabels labels) {
  auto metrics = std::make_shared<RevisionMetrics>(std::move(labels), executors_);
  const std::lock_guard lock(mutex_);
  const std::string& revision = throttler->revision();
  entries_[revision] = {std::move(throttler), metrics};
  return metrics;
}

void Traffic::remove(const std::string& revision) {
  const std::lock_guard lock(mutex_);
  entries_.erase(revision);
}

std::shared_ptr<Throttler> Traffic::find(const std::string& revision) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(revision);
  return found == entries_.end() ? nullptr : found->second.throttler;
}

std::vector<Traffic::Entry> Traffic::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<Entry> out;
  out.reserve(entries_.size());
  for (const auto& [revision, entry] : entries_) out.push_back(entry);
  return out;
}

std::vector<scaling::RevisionMetric> Traffic::collect(TimePoint now) {
  const std::lock_guard lock(mutex_);
  std::vector<scaling::RevisionMetric> out;
  out.reserve(entries_.size());
  for (const auto& [revision, entry] : entries_) {
    out.push_back({revision, entry.throttler->sample(now)});
  }
  return out;
}

}  // namespace ebb::serving
