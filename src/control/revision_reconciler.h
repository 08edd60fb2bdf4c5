// Revision -> its code on the node, a place in the RevisionHost, and the proof that one
// pod of it starts well, which makes it ready.
//
// A revision that was proven once stays ready. A failed proof is final until the
// program starts again: the code cannot change. Control executor only; end it when the
// executor has stopped.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "api/types.h"
#include "base/clock.h"
#include "control/autoscaler.h"
#include "control/conditions.h"
#include "control/event_recorder.h"
#include "control/garbage_collector.h"
#include "control/revision_host.h"
#include "net/task.h"
#include "node/code_cache.h"
#include "resources/informer.h"
#include "resources/resource_client.h"

namespace ebb::control {

class RevisionReconciler final {
 public:
  struct Uses {
    resources::ResourceClient& client;
    const Clock& clock;
    GarbageCollector& collector;
    const resources::Informer<api::Revision>& revisions;
    RevisionHost& host;
    AutoScaler& autoscaler;
    node::CodeCache& code;
    EventRecorder* events = nullptr;  // nullptr: nobody asks
  };
  using Again = std::function<void(const resources::ObjectKey&)>;
  using Hosted = std::function<void(const std::string& uid, bool there)>;

  // `again`: this key must be reconciled. `hosted`: the revision came to the host, or is
  // about to go.
  RevisionReconciler(Uses uses, Again again, Hosted hosted);
  ~RevisionReconciler();
  RevisionReconciler(const RevisionReconciler&) = delete;
  RevisionReconciler& operator=(const RevisionReconciler&) = delete;

  [[nodiscard]] net::Task<Result<void>> reconcile(resources::ObjectKey key);
  // The number of its pods has changed: the next reconcile writes it into the status.
  void rescaled(const resources::ObjectKey& key);

 private:
  // What is kept of a revision that exists.
  struct Known {
    std::string uid;
    bool hosted = false;
    bool proving = false;
    bool rescaled = false;             // since its status was written
    std::optional<std::string> proof;  // its outcome: "" or why it failed
  };
  struct Link {
    RevisionReconciler* reconciler;
  };

  [[nodiscard]] net::Task<Result<void>> fetch_code(api::Revision revision);
  [[nodiscard]] net::Task<Result<void>> write_status(api::Revision revision,
                                                     api::Revision::Status before);
  void forget(const resources::ObjectKey& key);
  void prove(const resources::ObjectKey& key, Known& known);
  void proven(const resources::ObjectKey& key, const std::string& uid, std::string error);
  void set_conditions(api::Revision& revision, const Known& known) const;
  void set_scale(api::Revision& revision) const;
  void record(const api::Revision& revision, EventRecorder::Type type, std::string_view reason,
              std::string_view message) const;

  Uses uses_;
  Again again_;
  Hosted hosted_;
  std::map<resources::ObjectKey, Known> known_;
  std::shared_ptr<Link> link_;  // shared with the proofs under way
};

}  // namespace ebb::control
