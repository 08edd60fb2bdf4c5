// The part of the AutoScaler that keeps namespaces and services within their maximum of
// pods (scaling/quota.h). A request that finds no room waits: it gets what becomes free in
// its turn, or at once a pod that is idle elsewhere in the namespace or service.
#include <algorithm>

#include "base/log.h"
#include "control/autoscaler.h"

namespace ebb::control {

void AutoScaler::join_shares(Entry& entry) {
  const auto& pod = *entry.plan.pod;
  Share& ns = namespaces_[pod.ns];
  ns.most = limits_.per_namespace;
  entry.shares[0] = &ns;
  if (!pod.service_uid.empty()) {
    Share& service = services_[pod.service_uid];
    service.whose = "the service";
    service.setting = "ebb.dev/service-max-scale";
    service.full = "ServiceFull";
    entry.shares[1] = &service;
    set_service_max(entry);
  }
  for_shares(entry, [](Share& share) { share.quota.join(); });
}

void AutoScaler::set_service_max(Entry& entry) {
  Share* service = entry.shares[1];
  if (service == nullptr || entry.plan.generation < service->generation) return;
  service->most = entry.plan.service_max;
  service->generation = entry.plan.generation;
}

void AutoScaler::leave_shares(Entry& entry) {
  const auto& pod = *entry.plan.pod;
  for_shares(entry, [&](Share& share) {
    share.quota.changed(-entry.want);
    share.quota.forget(pod.revision);
  });
  if (entry.shares[0]->quota.leave()) namespaces_.erase(pod.ns);
  if (entry.shares[1] != nullptr && entry.shares[1]->quota.leave()) {
    services_.erase(pod.service_uid);
  }
}

int AutoScaler::room_for(const Entry& entry, int want) const {
  for_shares(entry, [&](const Share& share) {
    want = share.quota.allowed(entry.plan.pod->revision, entry.want, want, share.most);
  });
  return want;
}

int AutoScaler::within_shares(Entry& entry, const serving::Throttler::Counts& counts, int want,
                              std::string& why) {
  const scaling::Quota::Who who = entry.plan.pod->revision;
  const bool need = in_need(entry, counts);
  const int wish = want;
  for_shares(entry, [&](Share& share) {
    const int pods = share.quota.allowed(who, entry.want, wish, share.most);
    if (pods == wish) {
      if (share.most > 0) share.quota.forget(who);
      return;
    }
    want = std::min(want, pods);
    why += fmt::format(", held at {}: {} may have {} pods", pods, share.whose, share.most);
    if (!need || !share.quota.ask(who, wish) || settings_.events == nullptr) return;
    settings_.events->record(*entry.plan.pod, EventRecorder::Type::kWarning, share.full,
                             fmt::format("requests wait: {} more pods are wanted, and {} may have "
                                         "{} ({})",
                                         wish - pods, share.whose, share.most, share.setting));
  });
  return want;
}

bool AutoScaler::in_need(const Entry& entry, const serving::Throttler::Counts& counts) const {
  return counts.waiting > 0 || (entry.proof && counts.ready < floor_of(entry));
}

int AutoScaler::spare_of(const Entry& entry, Minimum minimum) const {
  const auto counts = entry.throttler->counts();
  if (in_need(entry, counts)) return 0;
  // Without a limit of its own one pod takes all.
  const int busy = std::max(entry.throttler->needed_pods(), counts.in_flight > 0 ? 1 : 0);
  const bool kept = minimum == Minimum::kKept || entry.proof;
  return std::max(0, entry.want - std::max(busy, kept ? floor_of(entry) : 0));
}

void AutoScaler::share_out(TimePoint now) {
  for (auto* shares : {&namespaces_, &services_}) {
    for (auto& [name, share] : *shares) {
      if (share.most == 0 || (!share.quota.next() && share.quota.pods() <= share.most)) continue;
      share_out(share, now);
    }
  }
}

// Idle pods of a share, those of who has most of them first.
class AutoScaler::Donors {
 public:
  Donors(AutoScaler& scaler, const Share& share, Minimum minimum)
      : scaler_(scaler), minimum_(minimum) {
    // Asked once: traffic changes the answer while they are sorted.
    std::vector<std::pair<int, Entry*>> spares;
    for (Entry* entry : scaler.active_) {
      if (entry->shares[0] != &share && entry->shares[1] != &share) continue;
      if (const int spare = scaler.spare_of(*entry, minimum); spare > 0) {
        spares.emplace_back(spare, entry);
      }
    }
    std::ranges::stable_sort(spares, {}, &std::pair<int, Entry*>::first);
    for (const auto& [spare, entry] : spares) donors_.push_back(entry);
  }

  bool take_one(std::string_view why) {
    while (!donors_.empty()) {
      Entry& donor = *donors_.back();
      if (scaler_.spare_of(donor, minimum_) > 0) {
        scaler_.apply(donor, donor.want - 1, why);
        scaler_.note(donor, donor.throttler->counts().ready);
        return true;
      }
      donors_.pop_back();
    }
    return false;
  }

 private:
  AutoScaler& scaler_;
  const Minimum minimum_;
  std::vector<Entry*> donors_;  // the richest last: it gives first
};

void AutoScaler::share_out(Share& share, TimePoint now) {
  scaling::Quota& quota = share.quota;
  Donors donors(*this, share, Minimum::kKept);
  const std::string over =
      fmt::format("an idle one ends: {} may have {} pods", share.whose, share.most);
  while (quota.pods() > share.most && donors.take_one(over)) {
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
    if (quota.pods() >= share.most) {
      const auto why = fmt::format(
          "its idle pod goes to requests that wait elsewhere: {} may have "
          "{} pods",
          share.whose, share.most);
      // A minimum is for requests to come: it yields to who waits and has nothing.
      const bool given = donors.take_one(why) ||
                         (entry->want == 0 && Donors(*this, share, Minimum::kYields).take_one(why));
      if (!given || quota.pods() >= share.most) return;  // or it is over a lowered limit
    }
    if (room_for(*entry, entry->want + 1) == entry->want) {
      quota.forget(turn->who);  // the other share is full: it asks again there
      continue;
    }
    activate(*entry, now);
    apply(*entry, entry->want + 1,
          fmt::format("a request waits, and it is its turn among those that {} has no room for: "
                      "it may have {} pods",
                      share.whose, share.most));
    note(*entry, counts.ready);
    quota.served(entry->want);
  }
}

void AutoScaler::set_limits(const ScaleLimits& limits) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
  for (auto& [name, share] : namespaces_) share.most = limits.per_namespace;
}

}  // namespace ebb::control
