// Configuration -> one Revision for each of its generations, and which of them is the
// newest, and the newest that is ready.
//
// A revision is NAME-0000N for generation N, or has the name that the template gives.
// Control executor only.
#pragma once

#include "api/types.h"
#include "base/clock.h"
#include "control/event_recorder.h"
#include "control/garbage_collector.h"
#include "net/task.h"
#include "resources/informer.h"
#include "resources/resource_client.h"

namespace ebb::control {

class ConfigurationReconciler final {
 public:
  ConfigurationReconciler(resources::ResourceClient& client, const Clock& clock,
                          GarbageCollector& collector,
                          const resources::Informer<api::Configuration>& configurations,
                          const resources::Informer<api::Revision>& revisions,
                          EventRecorder* events)
      : client_(client),
        clock_(clock),
        collector_(collector),
        configurations_(configurations),
        revisions_(revisions),
        events_(events) {}

  [[nodiscard]] net::Task<Result<void>> reconcile(resources::ObjectKey key);

 private:
  [[nodiscard]] net::Task<Result<api::Revision>> newest(api::Configuration configuration);
  [[nodiscard]] std::string latest_ready(const api::Configuration& configuration) const;
  void set_status(api::Configuration& configuration, const Result<api::Revision>& newest) const;

  resources::ResourceClient& client_;
  const Clock& clock_;
  GarbageCollector& collector_;
  const resources::Informer<api::Configuration>& configurations_;
  const resources::Informer<api::Revision>& revisions_;
  EventRecorder* events_;  // nullptr: nobody asks
};

// Pure: the revision of the configuration's generation.
[[nodiscard]] api::Revision revision_of(const api::Configuration& configuration);

// Of the configuration when it made this revision; 0 if unknown.
[[nodiscard]] int64_t generation_of(const api::Revision& revision);

// The revisions that may belong to `configuration`, by their names' prefix: calls
// `visit(revision)` for each.
template <class Visit>
void for_each_named_after(const resources::Informer<api::Revision>& revisions,
                          const resources::ObjectKey& configuration, Visit visit) {
  const std::string prefix = configuration.name + "-";
  for (auto at = revisions.all().lower_bound({configuration.ns, prefix});
       at != revisions.all().end() && at->first.ns == configuration.ns &&
       at->first.name.starts_with(prefix);
       ++at) {
    visit(at->second);
  }
}

}  // namespace ebb::control
