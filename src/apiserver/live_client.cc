#include "apiserver/live_client.h"

#include <charconv>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "api/event.h"
#include "apiserver/admission.h"

namespace ebb::apiserver {

using api::Json;
using resources::ObjectKey;
using resources::ObjectList;
using resources::ResourceEvent;

// All objects of one kind as last seen, and how they changed.
class LiveClient::View final : public LiveSource {
 public:
  struct Change {
    int64_t version = 0;
    ResourceEvent event;
  };

  View(int64_t version, std::function<std::vector<Json>()> look)
      : look_(std::move(look)), version_(version), forgotten_(version) {}

  void refresh() override {
    std::set<ObjectKey> gone;
    for (const auto& [key, object] : objects_) gone.insert(key);
    for (auto& object : look_()) {
      const Json& meta = object["metadata"];
      ObjectKey key{meta.value("namespace", std::string()), meta.value("name", std::string())};
      gone.erase(key);
      auto known = objects_.find(key);
      if (known != objects_.end() && same(known->second, object)) continue;
      auto type =
          known == objects_.end() ? ResourceEvent::Type::kAdded : ResourceEvent::Type::kModified;
      note(type, object);
      objects_.insert_or_assign(std::move(key), std::move(object));
    }
    for (const auto& key : gone) {
      note(ResourceEvent::Type::kDeleted, objects_[key]);
      objects_.erase(key);
    }
  }
  [[nodiscard]] int64_t version() const override { return version_; }
  [[nodiscard]] std::optional<Json> find(const ObjectKey& key) const override {
    auto found = objects_.find(key);
    if (found == objects_.end()) return std::nullopt;
    return found->second;
  }
  [[nodiscard]] std::vector<Json> list(const std::string& ns) const override {
    std::vector<Json> out;
    for (const auto& [key, object] : objects_) {
      if (ns.empty() || key.ns == ns) out.push_back(object);
    }
    return out;
  }
  bool changes(const std::string& ns, int64_t* position,
               std::vector<ResourceEvent>* out) const override {
    if (*position < forgotten_ || *position > version_) return false;
    for (const auto& change : changes_) {
      if (change.version <= *position) continue;
      bool wanted = ns.empty() || change.event.object["metadata"].value("namespace", "") == ns;
      if (wanted) out->push_back(change.event);
    }
    *position = version_;
    return true;
  }

 private:
  static bool same(const Json& kept, Json now) {
    now["metadata"]["resourceVersion"] = kept["metadata"]["resourceVersion"];
    return kept == now;
  }
  void note(ResourceEvent::Type type, Json& object) {
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    changes_.push_back({version_, {type, object}});
    if (changes_.size() <= kMaxHistory) return;
    forgotten_ = changes_.front().version;
    changes_.pop_front();
  }

  std::function<std::vector<Json>()> look_;
  std::map<ObjectKey, Json> objects_;
  std::deque<Change> changes_;
  int64_t version_;
  int64_t forgotten_;  // all changes up to here
};

class LiveClient::LiveWatch final : public resources::ResourceWatch {
 public:
  LiveWatch(net::Executor& executor, LiveSource& view, std::string ns, int64_t position)
      : executor_(executor), view_(view), ns_(std::move(ns)), position_(position) {}

  net::Task<Result<std::vector<ResourceEvent>>> next(TimePoint deadline) override {
    for (;;) {
      view_.refresh();
      std::vector<ResourceEvent> events;
      if (!view_.changes(ns_, &position_, &events)) {
        co_return fail(Errc::kGone, "too old resource version: list again");
      }
      if (!events.empty()) co_return events;
      TimePoint now = executor_.now();
      if (now >= deadline) co_return fail(Errc::kTimeout, "no change so far");
      auto nap = executor_.sleep_until(std::min(deadline, now + kLookEvery));
      co_await nap;
    }
  }

 private:
  net::Executor& executor_;
  LiveSource& view_;
  std::string ns_;
  int64_t position_;
};

namespace {

template <class T>
std::vector<Json> all_to_json(const std::vector<T>& objects) {
  std::vector<Json> out;
  out.reserve(objects.size());
  for (const auto& object : objects) out.push_back(object.to_json());
  return out;
}

Error read_only(const api::Kind& kind) {
  return {Errc::kPermission, fmt::format("{} show what runs and cannot be written", kind.plural)};
}

}  // namespace

LiveClient::LiveClient(net::Executor& executor, LiveObjects& live,
                       resources::ResourceClient& stored, int64_t first_version)
    : executor_(executor),
      live_(live),
      stored_(stored),
      pods_(std::make_unique<View>(first_version, [this] { return all_to_json(live_.pods()); })),
      nodes_(std::make_unique<View>(first_version, [this] { return all_to_json(live_.nodes()); })),
      pod_metrics_(std::make_unique<View>(first_version,
                                          [this] { return all_to_json(live_.pod_metrics()); })),
      node_metrics_(std::make_unique<View>(first_version,
                                           [this] { return all_to_json(live_.node_metrics()); })),
      nothing_(std::make_unique<View>(first_version, [] { return std::vector<Json>(); })) {}

LiveClient::~LiveClient() = default;

LiveSource& LiveClient::source_of(const api::Kind& kind) {
  if (&kind == &api::Pod::kind()) return *pods_;
  if (&kind == &api::Node::kind()) return *nodes_;
  if (&kind == &api::PodMetrics::kind()) return *pod_metrics_;
  if (&kind == &api::NodeMetrics::kind()) return *node_metrics_;
  LiveSource* source = &kind == &api::Event::kind() ? live_.events() : live_.autoscalers();
  return source != nullptr ? *source : *nothing_;
}

net::Task<Result<Json>> LiveClient::get(const api::Kind& kind, ObjectKey key) {
  LiveSource& source = source_of(kind);
  source.refresh();
  auto found = source.find(key);
  if (!found) co_return fail(Errc::kNotFound, "{} \"{}\" not found", kind.plural, key.name);
  co_return std::move(*found);
}

net::Task<Result<ObjectList>> LiveClient::list(const api::Kind& kind, std::string ns) {
  LiveSource& source = source_of(kind);
  source.refresh();
  ObjectList list;
  list.resource_version = std::to_string(source.version());
  list.items = source.list(ns);
  co_return list;
}

net::Task<Result<Json>> LiveClient::create(const api::Kind& kind, Json /*object*/) {
  co_return fail(read_only(kind));
}

net::Task<Result<Json>> LiveClient::update(const api::Kind& kind, Json object) {
  if (&kind != &api::PodAutoscaler::kind()) co_return fail(read_only(kind));
  const Json& meta = object["metadata"];
  ObjectKey key{meta.value("namespace", ""), meta.value("name", "")};
  auto getting = get(kind, key);
  const auto shown = co_await getting;
  if (!shown) co_return fail(shown.error());
  std::vector<api::FieldError> errors;
  auto changes = api::scaling_changes(*shown, object, errors);
  if (!errors.empty()) co_return fail(api::to_error(errors));
  Json after = *shown;
  after["metadata"]["annotations"] = api::with_changes(*shown, changes);
  if (!changes.empty()) {
    auto writing = set_scaling(std::move(key), std::move(changes));
    const auto written = co_await writing;
    if (!written) co_return fail(written.error());
    // It holds once the revision's change has come round, which is the next version.
    after["metadata"]["resourceVersion"] = std::to_string(source_of(kind).version() + 1);
  }
  co_return after;
}

net::Task<Result<void>> LiveClient::set_scaling(ObjectKey revision, api::ScalingChanges changes) {
  constexpr int kMaxRaces = 10;
  for (int race = 1;; ++race) {
    auto getting = stored_.get(api::Revision::kind(), revision);
    auto object = co_await getting;
    if (!object) co_return fail(object.error());
    Json after = *object;
    after["metadata"]["annotations"] = api::with_changes(*object, changes);
    auto admitted = admit_update(api::Revision::kind(), *object, after);
    if (const auto* refusal = std::get_if<Response>(&admitted)) {
      co_return fail(Errc::kInvalid, "{}", refusal->body.value("message", ""));
    }
    auto updating = stored_.update(api::Revision::kind(), std::get<Json>(std::move(admitted)));
    const auto updated = co_await updating;
    if (updated) co_return Result<void>();
    if (updated.error().code != Errc::kConflict || race == kMaxRaces) {
      co_return fail(updated.error());
    }
  }
}

net::Task<Result<Json>> LiveClient::update_status(const api::Kind& kind, Json /*object*/) {
  co_return fail(read_only(kind));
}

net::Task<Result<void>> LiveClient::remove(const api::Kind& kind, ObjectKey /*key*/,
                                           std::string /*resource_version*/) {
  if (&kind == &api::PodAutoscaler::kind()) {
    co_return fail(Errc::kPermission, "a podautoscaler goes with its revision");
  }
  co_return fail(read_only(kind));
}

std::unique_ptr<resources::ResourceWatch> LiveClient::watch(const api::Kind& kind, std::string ns,
                                                            std::string after) {
  constexpr int64_t kUnknown = -1;  // no version of ours: gone
  int64_t position = kUnknown;
  auto [end, error] = std::from_chars(after.data(), after.data() + after.size(), position);
  if (error != std::errc() || end != after.data() + after.size()) position = kUnknown;
  return std::make_unique<LiveWatch>(executor_, source_of(kind), std::move(ns), position);
}

}  // namespace ebb::apiserver
