// The part of the AutoScaler that keeps namespaces within their maximum of pods
// (scaling/quota.h). A request that finds no room waits: it gets what becomes free in its
// turn, or at once a pod that is idle elsewhere in the namespace.
#include <algorithm>

#include "base/log.h"
#include "control/autoscaler.h"

namespace ebb::control {

int AutoScaler::within_namespace(Entry& entry, const serving::Throttler::Counts& counts, int want,
                                 std::string& why) {
  const scaling::Quota::Who who = entry.plan.pod->revision;
  const int most = limits_.per_namespace;
  const int pods = entry.quota->allowed(who, entry.want, want, most);
  if (pods == want) {
    if (most > 0) entry.quota->forget(who);
    return pods;
  }
  why += fmt::format(", held at {}: the namespace may have {} pods", pods, most);
  if (!in_need(entry, counts) || !entry.quota->ask(who, want)) return pods;
  if (settings_.events != nullptr) {
    settings_.events->record(*entry.plan.pod, EventRecorder::Type::kWarning, "NamespaceFull",
                             fmt::format("requests wait: {} more pods are wanted, and the "
                                         "namespace may have {} (max-pods-per-namespace)",
                                         want - pods, most));
  }
  return pods;
}

bool AutoScaler::in_need(const Entry& entry, const serving::Throttler::Counts& counts) const {
  return counts.waiting > 0 || (entry.proof && counts.ready < floor_of(entry));
}

int AutoScaler::spare_of(const Entry& entry) const {
  const auto counts = entry.throttler->counts();
  if (in_need(entry, counts)) return 0;
  // Without a limit of its own one pod takes all.
  const int busy = std::max(entry.throttler->needed_pods(), counts.in_flight > 0 ? 1 : 0);
  return std::max(0, entry.want - std::max(busy, floor_of(entry)));
}

void AutoScaler::share_out(TimePoint now) {
  if (limits_.per_namespace == 0) return;
  for (auto& [ns, quota] : quotas_) {
    if (!quota.next() && quota.pods() <= limits_.per_namespace) continue;
    // Asked once: traffic changes the answer while they are sorted.
    std::vector<std::pair<int, Entry*>> spares;
    for (Entry* entry : active_) {
      if (entry->quota != &quota) continue;
      if (const int spare = spare_of(*entry); spare > 0) spares.emplace_back(spare, entry);
    }
    std::ranges::stable_sort(spares, {}, &std::pair<int, Entry*>::first);
    std::vector<Entry*> donors;  // the richest last: it gives first
    donors.reserve(spares.size());
    for (const auto& [spare, entry] : spares) donors.push_back(entry);
    share_out(quota, std::move(donors), now);
  }
}

void AutoScaler::share_out(scaling::Quota& quota, std::vector<Entry*> donors, TimePoint now) {
  const int most = limits_.per_namespace;
  const auto take_one = [&](std::string_view why) {
    while (!donors.empty()) {
      Entry& donor = *donors.back();
      if (spare_of(donor) > 0) {
        apply(donor, donor.want - 1, why);
        note(donor, donor.throttler->counts().ready);
        return true;
      }
      donors.pop_back();
    }
    return false;
  };
  const std::string over = fmt::format("an idle one ends: the namespace may have {} pods", most);
  while (quota.pods() > most && take_one(over)) {
  }
  while (const auto turn = quota.next()) {
    Entry* entry = entry_of(std::string(turn->who));
    const auto counts =
        entry == nullptr ? serving::Throttler::Counts() : entry->throttler->counts();
    if (entry == nullptr || !in_need(*entry, counts) || entry->want >= turn->want ||
        now < counts.retry_at) {
      quota.forget(turn->who);  // a text of the entry, or of one that forgot it when it went
      continue;
    }
    if (quota.pods() >= most &&
        !take_one("its idle pod goes to requests that wait elsewhere in the namespace")) {
      return;
    }
    if (quota.pods() >= most) return;  // over a lowered limit
    activate(*entry, now);
    apply(*entry, entry->want + 1,
          fmt::format("a request waits, and it is its turn among those for whom the namespace "
                      "has no room: it may have {} pods",
                      most));
    note(*entry, counts.ready);
    quota.served(entry->want);
  }
}

void AutoScaler::set_limits(const ScaleLimits& limits) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
}

}  // namespace ebb::control
