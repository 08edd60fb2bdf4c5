// Deletes old revisions that no route uses, by Knative's rules (its
// pkg/reconciler/gc/gc.go).
//
// Of one Configuration these stay in any case: the latest ready one and the latest
// created one, those that some route uses or has not used yet, and those with the
// annotation serving.knative.dev/no-gc: "true". Of the others, the longest unused first:
// those that are older than both retain times go while more than the minimum remain, and
// then as many as there are over the maximum. Control executor only.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/types.h"
#include "base/clock.h"
#include "control/event_recorder.h"
#include "net/task.h"
#include "resources/informer.h"
#include "resources/resource_client.h"

namespace ebb::control {

// Knative's config-gc; nullopt: disabled.
struct RevisionGcSettings {
  std::optional<Duration> retain_since_create_time = std::chrono::hours(48);
  std::optional<Duration> retain_since_last_active_time = std::chrono::hours(15);
  int min_non_active_revisions = 20;
  std::optional<int> max_non_active_revisions = 1000;
  friend bool operator==(const RevisionGcSettings&, const RevisionGcSettings&) = default;
};

struct RevisionGcPlan {
  std::vector<const api::Revision*> remove;
  std::optional<Duration> again;  // when the next one may become stale
};

// Pure. `revisions` are those of the configuration.
[[nodiscard]] RevisionGcPlan plan_revision_gc(const api::Configuration& configuration,
                                              const std::vector<const api::Revision*>& revisions,
                                              const RevisionGcSettings& settings, WallTime now);

class RevisionGc final {
 public:
  struct Uses {
    resources::ResourceClient& client;
    const Clock& clock;
    const resources::Informer<api::Configuration>& configurations;
    const resources::Informer<api::Revision>& revisions;
    EventRecorder* events;  // nullptr: nobody asks
  };
  using Later = std::function<void(const resources::ObjectKey&, Duration)>;

  // `later`: look at this configuration again after so long.
  RevisionGc(Uses uses, RevisionGcSettings settings, Later later)
      : uses_(uses), settings_(settings), later_(std::move(later)) {}

  [[nodiscard]] net::Task<Result<void>> reconcile(resources::ObjectKey configuration);
  // Other rules from now on. Whoever calls reconciles all configurations anew.
  void set_settings(RevisionGcSettings settings) { settings_ = settings; }

 private:
  Uses uses_;
  RevisionGcSettings settings_;
  Later later_;
};

}  // namespace ebb::control
