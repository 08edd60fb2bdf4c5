// How every controller reads and writes resources, wherever they are kept: get,
// list, watch, update of one object by resourceVersion, status apart from spec.
// Implementations: over a Store (one machine, etcd), over REST, over Kubernetes.
//
// Objects are JSON in Kubernetes shape, already valid (the API server and the
// controllers use the types of api/, which check). `metadata.resourceVersion`
// must be the one that was read: kConflict tells that someone was faster.
//
// Used on the control executor only.
//
//   auto service = co_await get<api::Service>(client, {"default", "hello"});
//   service->status.url = url;
//   auto updated = co_await update_status(client, *service);
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/object.h"
#include "base/clock.h"
#include "base/result.h"
#include "net/task.h"

namespace ebb::resources {

struct ObjectKey {
  std::string ns;  // empty for cluster-scoped kinds
  std::string name;
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
};

struct ObjectList {
  std::vector<api::Json> items;
  std::string resource_version;  // where a watch may go on
};

struct ResourceEvent {
  enum class Type { kAdded, kModified, kDeleted };
  Type type = Type::kAdded;
  api::Json object;
};

class ResourceWatch {
 public:
  virtual ~ResourceWatch() = default;
  // At least one event, in order. kTimeout: call again. kGone: list again.
  [[nodiscard]] virtual net::Task<Result<std::vector<ResourceEvent>>> next(TimePoint deadline) = 0;
};

class ResourceClient {
 public:
  virtual ~ResourceClient() = default;

  // kNotFound if it does not exist.
  [[nodiscard]] virtual net::Task<Result<api::Json>> get(const api::Kind& kind, ObjectKey key) = 0;
  // `ns` empty: of all namespaces.
  [[nodiscard]] virtual net::Task<Result<ObjectList>> list(const api::Kind& kind,
                                                           std::string ns) = 0;
  // Fills uid, creationTimestamp, generation 1, resourceVersion; returns what was
  // stored. kAlreadyExists.
  [[nodiscard]] virtual net::Task<Result<api::Json>> create(const api::Kind& kind,
                                                            api::Json object) = 0;
  // Replaces spec, labels and annotations; status stays as stored; generation grows
  // when the spec changed. Writes nothing if nothing changed. kNotFound, kConflict.
  [[nodiscard]] virtual net::Task<Result<api::Json>> update(const api::Kind& kind,
                                                            api::Json object) = 0;
  // Replaces the status only.
  [[nodiscard]] virtual net::Task<Result<api::Json>> update_status(const api::Kind& kind,
                                                                   api::Json object) = 0;
  // Removes it, if its resourceVersion is `resource_version` (empty: whatever it
  // is). Objects that it owns are removed by the garbage collector in control/.
  [[nodiscard]] virtual net::Task<Result<void>> remove(const api::Kind& kind, ObjectKey key,
                                                       std::string resource_version) = 0;
  [[nodiscard]] virtual std::unique_ptr<ResourceWatch> watch(const api::Kind& kind, std::string ns,
                                                             std::string after) = 0;
};

// --- The same, typed. T is one of api/types.h ---

template <class T>
net::Task<Result<T>> get(ResourceClient& client, ObjectKey key) {
  auto found = co_await client.get(T::kind(), std::move(key));
  if (!found) co_return fail(found.error());
  co_return T::from_json(*found);
}

template <class T>
net::Task<Result<std::vector<T>>> list(ResourceClient& client, std::string ns) {
  auto found = co_await client.list(T::kind(), std::move(ns));
  if (!found) co_return fail(found.error());
  std::vector<T> out;
  for (const auto& item : found->items) {
    auto typed = T::from_json(item);
    if (!typed) co_return fail(typed.error());
    out.push_back(std::move(*typed));
  }
  co_return out;
}

template <class T>
net::Task<Result<T>> create(ResourceClient& client, T object) {
  auto stored = co_await client.create(T::kind(), object.to_json());
  if (!stored) co_return fail(stored.error());
  co_return T::from_json(*stored);
}

template <class T>
net::Task<Result<T>> update(ResourceClient& client, T object) {
  auto stored = co_await client.update(T::kind(), object.to_json());
  if (!stored) co_return fail(stored.error());
  co_return T::from_json(*stored);
}

template <class T>
net::Task<Result<T>> update_status(ResourceClient& client, T object) {
  auto stored = co_await client.update_status(T::kind(), object.to_json());
  if (!stored) co_return fail(stored.error());
  co_return T::from_json(*stored);
}

}  // namespace ebb::resources
