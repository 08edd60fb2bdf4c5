// Keeps all objects of one kind in memory, always up to date, and tells which
// changed: list, then watch, and list again when the history is gone. Errors are
// retried after 100 ms, doubling to 5 s. A callback sees the whole list applied, not a
// part of it.
//
// Used on one executor. The client must outlive the executor's run.
//
//   resources::Informer<api::Service> services(executor, client,
//       [&](const resources::ObjectKey& key) { queue.add(key); });
//   services.start();
//   if (const auto* hello = services.find({"default", "hello"})) ...
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "net/executor.h"
#include "resources/resource_client.h"

namespace ebb::resources {

inline constexpr Duration kInformerFirstRetry = std::chrono::milliseconds(100);
inline constexpr Duration kInformerLastRetry = std::chrono::seconds(5);

// What is the same for all types: the loop.
class InformerBase {
 public:
  InformerBase(const InformerBase&) = delete;
  InformerBase& operator=(const InformerBase&) = delete;
  virtual ~InformerBase();

  // Once. `on_synced` is called when synced() has become true.
  void start(std::function<void()> on_synced = {});
  // True once everything that existed at the start is there.
  [[nodiscard]] bool synced() const { return synced_; }

 protected:
  InformerBase(net::Executor& executor, ResourceClient& client, const api::Kind& kind)
      : executor_(executor), client_(client), kind_(kind) {}

  // One object as it is now. True if that is news. An object that cannot be read is
  // logged and left as it was.
  virtual bool put(const ObjectKey& key, const api::Json& object) = 0;
  virtual bool erase(const ObjectKey& key) = 0;
  virtual void notify(const ObjectKey& key) = 0;
  // All keys for which something is kept.
  [[nodiscard]] virtual std::set<ObjectKey> keys() const = 0;
  void complain(const ObjectKey& key, const Error& error) const;

 private:
  // Shared by the loop, which may be suspended when the informer ends.
  struct Link {
    InformerBase* informer;
  };
  static net::Task<void> run(std::shared_ptr<Link> link, net::Executor& executor);
  static net::Task<Result<void>> list_and_watch(std::shared_ptr<Link> link, Duration* retry);
  void replace_all(const ObjectList& list);

  net::Executor& executor_;
  ResourceClient& client_;
  const api::Kind& kind_;
  bool synced_ = false;
  std::function<void()> on_synced_;
  std::shared_ptr<Link> link_;
};

template <class T>
class Informer final : public InformerBase {
 public:
  // Called after an object appeared, changed or went.
  using OnChange = std::function<void(const ObjectKey&)>;

  Informer(net::Executor& executor, ResourceClient& client, OnChange on_change)
      : InformerBase(executor, client, T::kind()), on_change_(std::move(on_change)) {}

  // nullptr if it does not exist. Valid until the next change of that object.
  [[nodiscard]] const T* find(const ObjectKey& key) const {
    auto found = objects_.find(key);
    return found == objects_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const std::map<ObjectKey, T>& all() const { return objects_; }

 private:
  bool put(const ObjectKey& key, const api::Json& object) override {
    auto typed = T::from_json(object);
    if (!typed) {
      complain(key, typed.error());
      return false;
    }
    auto& kept = objects_[key];
    if (kept.meta.resource_version == typed->meta.resource_version) return false;
    kept = std::move(*typed);
    return true;
  }
  bool erase(const ObjectKey& key) override { return objects_.erase(key) != 0; }
  void notify(const ObjectKey& key) override {
    if (on_change_) on_change_(key);
  }
  [[nodiscard]] std::set<ObjectKey> keys() const override {
    std::set<ObjectKey> keys;
    for (const auto& [key, object] : objects_) keys.insert(key);
    return keys;
  }

  OnChange on_change_;
  std::map<ObjectKey, T> objects_;
};

}  // namespace ebb::resources
