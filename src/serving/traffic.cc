#include "serving/traffic.h"

namespace ebb::serving {

void Traffic::add(std::shared_ptr<Throttler> throttler) {
  const std::lock_guard lock(mutex_);
  const std::string& revision = throttler->revision();
  throttlers_[revision] = std::move(throttler);
}

void Traffic::remove(const std::string& revision) {
  const std::lock_guard lock(mutex_);
  throttlers_.erase(revision);
}

std::shared_ptr<Throttler> Traffic::find(const std::string& revision) const {
  const std::lock_guard lock(mutex_);
  const auto found = throttlers_.find(revision);
  return found == throttlers_.end() ? nullptr : found->second;
}

std::vector<scaling::RevisionMetric> Traffic::collect(TimePoint now) {
  const std::lock_guard lock(mutex_);
  std::vector<scaling::RevisionMetric> out;
  out.reserve(throttlers_.size());
  for (const auto& [revision, throttler] : throttlers_) {
    out.push_back({revision, throttler->sample(now)});
  }
  return out;
}

}  // namespace ebb::serving
