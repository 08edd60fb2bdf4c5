#include "node/preload_policy.h"

#include <algorithm>

namespace ebb::node {

bool PreloadPolicy::loaded(const Assign& order, Duration took, TimePoint now) {
  if (order.preload == static_cast<uint8_t>(Preload::kNever)) return false;
  const bool asked = order.preload == static_cast<uint8_t>(Preload::kAlways);
  if (!asked && took < kSlow) return false;
  Seen& seen = see(order.revision, now);
  if (barred(order.revision, now)) return false;
  if (asked) return true;
  if (seen.slow == 0 || now - seen.since > kWhile) {
    seen.since = now;
    seen.slow = 0;
  }
  return ++seen.slow >= kOften;
}

void PreloadPolicy::refuse(const std::string& revision, TimePoint now) {
  see(revision, now).not_before = TimePoint::max();
}

void PreloadPolicy::pause(const std::string& revision, TimePoint now) {
  see(revision, now).not_before = now + kWhile;
}

bool PreloadPolicy::barred(const std::string& revision, TimePoint now) const {
  const auto found = seen_.find(revision);
  return found != seen_.end() && now < found->second.not_before;
}

PreloadPolicy::Seen& PreloadPolicy::see(const std::string& revision, TimePoint now) {
  if (!seen_.contains(revision) && seen_.size() >= kMostRevisions) {
    seen_.erase(std::min_element(seen_.begin(), seen_.end(), [](const auto& a, const auto& b) {
      return a.second.last < b.second.last;
    }));
  }
  Seen& seen = seen_[revision];
  seen.last = now;
  return seen;
}

}  // namespace ebb::node
