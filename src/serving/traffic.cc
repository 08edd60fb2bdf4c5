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
  const auto found = entries_.find(revision);
  if (found == entries_.end()) return;
  std::erase_if(removed_, [](const auto& throttler) { return throttler.expired(); });
  removed_.push_back(found->second.throttler);
  entries_.erase(found);
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

std::map<std::string, int> Traffic::requests_by_pod() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, int> out;
  for (const auto& [revision, entry] : entries_) entry.throttler->add_requests(out);
  for (const auto& throttler : removed_) {
    if (const auto alive = throttler.lock()) alive->add_requests(out);
  }
  return out;
}

int Traffic::waiting() const {
  const std::lock_guard lock(mutex_);
  int out = 0;
  for (const auto& [revision, entry] : entries_) {
    const auto counts = entry.throttler->counts();
    out += counts.waiting + counts.in_starting;
  }
  return out;
}

void Traffic::close(const Refused& why) {
  for (const auto& entry : all()) entry.throttler->close(why);
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
