// ResourceClient over a key-value Store: one machine, etcd.
//
// An object is the key "/GROUP/PLURAL/NAMESPACE/NAME"; its resourceVersion is the
// store's revision of it, as text, and so are the versions of lists and watches.
//
// Used on the store's home executor.
#pragma once

#include <string>

#include "base/clock.h"
#include "resources/resource_client.h"
#include "store/store.h"

namespace ebb::resources {

class StoreClient final : public ResourceClient {
 public:
  // Both must outlive it.
  StoreClient(store::Store& store, const Clock& clock) : store_(store), clock_(clock) {}

  net::Task<Result<api::Json>> get(const api::Kind& kind, ObjectKey key) override;
  net::Task<Result<ObjectList>> list(const api::Kind& kind, std::string ns) override;
  net::Task<Result<api::Json>> create(const api::Kind& kind, api::Json object) override;
  // With an empty resourceVersion: whatever version is stored.
  net::Task<Result<api::Json>> update(const api::Kind& kind, api::Json object) override;
  net::Task<Result<api::Json>> update_status(const api::Kind& kind, api::Json object) override;
  net::Task<Result<void>> remove(const api::Kind& kind, ObjectKey key,
                                 std::string resource_version) override;
  std::unique_ptr<ResourceWatch> watch(const api::Kind& kind, std::string ns,
                                       std::string after) override;

 private:
  // What update() and update_status() make of the stored object and the given one.
  using Merge = api::Json (*)(const api::Json& stored, api::Json given);
  net::Task<Result<api::Json>> change(const api::Kind& kind, api::Json object, Merge merge);

  store::Store& store_;
  const Clock& clock_;
};

}  // namespace ebb::resources
