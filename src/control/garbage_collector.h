// Deletes what belongs to an object that is gone: Service -> Configuration and Route ->
// Revisions.
//
// Every reconciler of owned objects asks first; an object that appears, and one whose
// owner went, is reconciled in any case. Control executor only.
//
//   auto deleted = co_await collector.collect(api::Route::kind(), route.meta);
//   if (!deleted || *deleted) ...
#pragma once

#include "api/types.h"
#include "base/result.h"
#include "control/event_recorder.h"
#include "net/task.h"
#include "resources/informer.h"
#include "resources/resource_client.h"

namespace ebb::control {

// The owner reference that says who controls an object; nullptr if nobody does.
[[nodiscard]] const api::OwnerReference* controller_of(const api::ObjectMeta& meta);
// A reference that makes `owner` the controller.
[[nodiscard]] api::OwnerReference owned_by(const api::Kind& kind, const api::ObjectMeta& owner);

class GarbageCollector final {
 public:
  GarbageCollector(resources::ResourceClient& client,
                   const resources::Informer<api::Service>& services,
                   const resources::Informer<api::Configuration>& configurations,
                   EventRecorder* events)
      : client_(client), services_(services), configurations_(configurations), events_(events) {}

  // Deletes the object if its controller is gone; true if it did.
  [[nodiscard]] net::Task<Result<bool>> collect(const api::Kind& kind, api::ObjectMeta meta);

 private:
  // Owned by a kind that Ebb does not know: it counts as there.
  [[nodiscard]] net::Task<Result<bool>> exists(api::OwnerReference owner, std::string ns);

  resources::ResourceClient& client_;
  const resources::Informer<api::Service>& services_;
  const resources::Informer<api::Configuration>& configurations_;
  EventRecorder* events_;  // nullptr: nobody asks
};

}  // namespace ebb::control
