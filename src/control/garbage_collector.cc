#include "control/garbage_collector.h"

#include "api/kinds.h"
#include "base/log.h"

namespace ebb::control {
namespace {

template <class T>
bool has(const resources::Informer<T>& informer, const api::OwnerReference& owner,
         const std::string& ns) {
  const T* found = owner.kind == T::kind().kind ? informer.find({ns, owner.name}) : nullptr;
  return found != nullptr && found->meta.uid == owner.uid;
}

}  // namespace

const api::OwnerReference* controller_of(const api::ObjectMeta& meta) {
  for (const auto& owner : meta.owners) {
    if (owner.controller) return &owner;
  }
  return nullptr;
}

api::OwnerReference owned_by(const api::Kind& kind, const api::ObjectMeta& owner) {
  return {.api_version = kind.api_version(),
          .kind = std::string(kind.kind),
          .name = owner.name,
          .uid = owner.uid,
          .controller = true,
          .extra = {}};
}

net::Task<Result<bool>> GarbageCollector::collect(const api::Kind& kind, api::ObjectMeta meta) {
  const auto* controller = controller_of(meta);
  if (controller == nullptr) co_return false;
  const api::OwnerReference owner = *controller;
  if (has(services_, owner, meta.ns) || has(configurations_, owner, meta.ns)) co_return false;
  // Perhaps the news of the owner has not come yet.
  auto looking = exists(owner, meta.ns);
  const auto there = co_await looking;
  if (!there) co_return fail(there.error());
  if (*there) co_return false;
  resources::ObjectKey key{meta.ns, meta.name};
  auto removing = client_.remove(kind, std::move(key), meta.resource_version);
  const auto removed = co_await removing;
  if (!removed && removed.error().code != Errc::kNotFound) co_return fail(removed.error());
  log::info("gc", "deleted {} {}/{}: its {} {} is gone", kind.singular, meta.ns, meta.name,
            owner.kind, owner.name);
  if (events_ != nullptr) {
    events_->record(about(kind, meta), EventRecorder::Type::kNormal, "Deleted",
                    fmt::format("its {} {} is gone", owner.kind, owner.name));
  }
  co_return true;
}

net::Task<Result<bool>> GarbageCollector::exists(api::OwnerReference owner, std::string ns) {
  const api::Kind* kind = api::find_kind_of(owner.api_version, owner.kind);
  if (kind == nullptr) co_return true;
  resources::ObjectKey key{kind->namespaced ? ns : "", owner.name};
  auto getting = client_.get(*kind, std::move(key));
  const auto found = co_await getting;
  if (!found && found.error().code == Errc::kNotFound) co_return false;
  if (!found) co_return fail(found.error());
  co_return found->at("metadata").value("uid", std::string()) == owner.uid;
}

}  // namespace ebb::control
