#include "resources/informer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"

namespace ebb::resources {
namespace {

// How long one wait for changes lasts; bounds how long an ended informer's loop stays.
constexpr Duration kWatchPatience = std::chrono::seconds(60);

ObjectKey key_of(const api::Json& object) {
  const auto& meta = object["metadata"];
  return {meta.value("namespace", std::string()), meta.value("name", std::string())};
}

}  // namespace

InformerBase::~InformerBase() {
  if (link_) link_->informer = nullptr;
}

void InformerBase::start(std::function<void()> on_synced) {
  on_synced_ = std::move(on_synced);
  link_ = std::make_shared<Link>(Link{this});
  executor_.spawn(run(link_, executor_));
}

net::Task<void> InformerBase::run(std::shared_ptr<Link> link, net::Executor& executor) {
  Duration retry = kInformerFirstRetry;
  while (link->informer) {
    auto pass = list_and_watch(link, &retry);
    auto ended = co_await pass;
    if (!link->informer || ended) co_return;
    if (ended.error().code != Errc::kGone) {
      log::warn("informer", "{}: {}; trying again in {} ms", link->informer->kind_.plural,
                ended.error().message, retry / std::chrono::milliseconds(1));
    }
    auto nap = executor.sleep_until(executor.now() + retry);
    co_await nap;
    retry = std::min(retry * 2, kInformerLastRetry);
  }
}

net::Task<Result<void>> InformerBase::list_and_watch(std::shared_ptr<Link> link, Duration* retry) {
  net::Executor& executor = link->informer->executor_;
  std::string everywhere;
  auto listed = co_await link->informer->client_.list(link->informer->kind_, std::move(everywhere));
  if (!link->informer) co_return Result<void>();
  if (!listed) co_return fail(listed.error());
  link->informer->replace_all(*listed);
  listed->items = {};  // this frame lives as long as the watch
  if (!link->informer) co_return Result<void>();
  std::string all_namespaces;
  auto watch = link->informer->client_.watch(link->informer->kind_, std::move(all_namespaces),
                                             listed->resource_version);
  while (link->informer) {
    auto events = co_await watch->next(executor.now() + kWatchPatience);
    if (!link->informer) co_return Result<void>();
    if (!events && events.error().code == Errc::kTimeout) continue;
    if (!events) co_return fail(events.error());
    *retry = kInformerFirstRetry;
    for (const auto& event : *events) {
      if (!link->informer) co_return Result<void>();  // a callback ended it
      ObjectKey key = key_of(event.object);
      bool news = event.type == ResourceEvent::Type::kDeleted
                      ? link->informer->erase(key)
                      : link->informer->put(key, event.object);
      if (news) link->informer->notify(key);
    }
  }
  co_return Result<void>();
}

void InformerBase::replace_all(const ObjectList& list) {
  auto link = link_;  // a callback may end this informer
  std::set<ObjectKey> gone = keys();
  std::vector<ObjectKey> changed;
  for (const auto& object : list.items) {
    ObjectKey key = key_of(object);
    gone.erase(key);
    if (put(key, object)) changed.push_back(std::move(key));
  }
  for (const auto& key : gone) {
    if (erase(key)) changed.push_back(key);
  }
  synced_ = true;
  for (const auto& key : changed) {
    if (link->informer) link->informer->notify(key);
  }
  if (!link->informer) return;
  if (const auto told = std::exchange(on_synced_, nullptr)) told();
}

void InformerBase::complain(const ObjectKey& key, const Error& error) const {
  log::error("informer", "{} {}/{} cannot be read: {}", kind_.plural, key.ns, key.name,
             error.message);
}

}  // namespace ebb::resources
