#include "resources/store_client.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "api/json.h"
#include "base/random.h"

namespace ebb::resources {
namespace {

using api::Json;
using api::Kind;

// An update that names no version is tried again when somebody was faster.
constexpr int kMaxRaces = 10;

std::string folder_of(const Kind& kind) { return fmt::format("/{}/{}/", kind.group, kind.plural); }

// Names come from users: none may reach into another folder.
Result<std::string> path_of(const Kind& kind, const ObjectKey& key) {
  bool bad = key.name.empty() || key.ns.empty() == kind.namespaced ||
             key.name.find('/') != std::string::npos || key.ns.find('/') != std::string::npos;
  if (bad) {
    return fail(Errc::kInvalid, "\"{}/{}\" does not name one of {}", key.ns, key.name, kind.plural);
  }
  return folder_of(kind) + key.ns + "/" + key.name;
}

// services.serving.knative.dev "hello"
std::string described(const Kind& kind, const std::string& name) {
  return kind.group.empty() ? fmt::format("{} \"{}\"", kind.plural, name)
                            : fmt::format("{}.{} \"{}\"", kind.plural, kind.group, name);
}

Error not_found(const Kind& kind, const std::string& name) {
  return {Errc::kNotFound, described(kind, name) + " not found"};
}

Error conflict(const Kind& kind, const std::string& name) {
  return {Errc::kConflict,
          fmt::format("Operation cannot be fulfilled on {}: the object has been modified; please "
                      "apply your changes to the latest version and try again",
                      described(kind, name))};
}

std::string text_at(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<ObjectKey> key_in(const Json& object) {
  if (!object.is_object() || !object.contains("metadata") || !object["metadata"].is_object()) {
    return fail(Errc::kInvalid, "metadata: Required value");
  }
  const Json& meta = object["metadata"];
  return ObjectKey{text_at(meta, "namespace"), text_at(meta, "name")};
}

Result<Json> decode(const store::KeyValue& item) {
  auto json = api::parse_json(item.value);
  if (!json || !json->is_object() || !json->contains("metadata")) {
    return fail(Errc::kInternal, "the stored object {} cannot be read: {}", item.key,
                json ? "no metadata" : json.error().message);
  }
  (*json)["metadata"]["resourceVersion"] = std::to_string(item.modified);
  return json;
}

std::string encode(Json object) {
  object["metadata"].erase("resourceVersion");
  return api::to_text(object);
}

std::optional<store::RevisionNumber> parse_version(const std::string& text) {
  store::RevisionNumber version = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size() || version < 0) return std::nullopt;
  return version;
}

const Json& spec_of(const Json& object) {
  static const Json kNone;
  auto found = object.find("spec");
  return found == object.end() ? kNone : *found;
}

// All of `given` but the status and what the store itself decides.
Json merge_update(const Json& stored, Json given) {
  const Json& kept = stored["metadata"];
  Json& meta = given["metadata"];
  for (const char* field : {"uid", "creationTimestamp", "generation", "resourceVersion"}) {
    meta.erase(field);
    if (kept.contains(field)) meta[field] = kept[field];
  }
  given.erase("status");
  if (stored.contains("status")) given["status"] = stored["status"];
  if (spec_of(stored) != spec_of(given)) {
    meta["generation"] = kept.value("generation", int64_t{0}) + 1;
  }
  return given;
}

Json merge_status(const Json& stored, Json given) {
  Json merged = stored;
  merged.erase("status");
  if (given.contains("status")) merged["status"] = std::move(given["status"]);
  return merged;
}

class StoreWatch final : public ResourceWatch {
 public:
  explicit StoreWatch(std::unique_ptr<store::Watch> watch) : watch_(std::move(watch)) {}

  net::Task<Result<std::vector<ResourceEvent>>> next(TimePoint deadline) override {
    if (!watch_) co_return fail(Errc::kGone, "the version is not one of this server: list again");
    auto events = co_await watch_->next(deadline);
    if (!events) co_return fail(events.error());
    std::vector<ResourceEvent> out;
    for (const auto& event : *events) {
      auto object = decode(event.item);
      if (!object) co_return fail(object.error());
      auto type = event.type == store::Event::Type::kDelete   ? ResourceEvent::Type::kDeleted
                  : event.item.created == event.item.modified ? ResourceEvent::Type::kAdded
                                                              : ResourceEvent::Type::kModified;
      out.push_back({type, std::move(*object)});
    }
    co_return out;
  }

 private:
  std::unique_ptr<store::Watch> watch_;
};

}  // namespace

net::Task<Result<Json>> StoreClient::get(const Kind& kind, ObjectKey key) {
  auto path = path_of(kind, key);
  if (!path) co_return fail(path.error());
  auto found = co_await store_.get(std::move(*path));
  if (!found) co_return fail(found.error());
  if (!*found) co_return fail(not_found(kind, key.name));
  co_return decode(**found);
}

net::Task<Result<ObjectList>> StoreClient::list(const Kind& kind, std::string ns) {
  std::string prefix = folder_of(kind);
  if (!ns.empty()) prefix += ns + "/";
  auto range = co_await store_.list(std::move(prefix));
  if (!range) co_return fail(range.error());
  ObjectList list;
  list.resource_version = std::to_string(range->revision);
  for (const auto& item : range->items) {
    auto object = decode(item);
    if (!object) co_return fail(object.error());
    list.items.push_back(std::move(*object));
  }
  co_return list;
}

net::Task<Result<Json>> StoreClient::create(const Kind& kind, Json object) {
  auto key = key_in(object);
  if (!key) co_return fail(key.error());
  auto path = path_of(kind, *key);
  if (!path) co_return fail(path.error());
  Json& meta = object["metadata"];
  meta["uid"] = uuid4();
  meta["creationTimestamp"] = api::to_rfc3339(clock_.wall());
  meta["generation"] = 1;
  std::string text = encode(object);
  auto created = co_await store_.put(std::move(*path), std::move(text), store::kMustNotExist);
  if (!created && created.error().code == Errc::kConflict) {
    co_return fail(Errc::kAlreadyExists, "{} already exists", described(kind, key->name));
  }
  if (!created) co_return fail(created.error());
  meta["resourceVersion"] = std::to_string(*created);
  co_return std::move(object);
}

net::Task<Result<Json>> StoreClient::change(const Kind& kind, Json object, Merge merge) {
  auto key = key_in(object);
  if (!key) co_return fail(key.error());
  auto path = path_of(kind, *key);
  if (!path) co_return fail(path.error());
  const std::string version = text_at(object["metadata"], "resourceVersion");
  const std::string uid = text_at(object["metadata"], "uid");
  for (int race = 0; race < kMaxRaces; ++race) {
    auto found = co_await store_.get(*path);
    if (!found) co_return fail(found.error());
    if (!*found) co_return fail(not_found(kind, key->name));
    auto stored = decode(**found);
    if (!stored) co_return fail(stored.error());
    bool other = !version.empty() && version != std::to_string((*found)->modified);
    // Another object of the same name: deleted and made again.
    if (!uid.empty() && uid != text_at((*stored)["metadata"], "uid")) other = true;
    if (other) co_return fail(conflict(kind, key->name));
    Json merged = merge(*stored, object);
    // As text: what is no UTF-8 is stored as something else, and would differ for ever.
    std::string text = encode(merged);
    if (text == encode(*stored)) co_return std::move(*stored);
    auto written = co_await store_.put(*path, std::move(text), (*found)->modified);
    if (written) {
      merged["metadata"]["resourceVersion"] = std::to_string(*written);
      co_return std::move(merged);
    }
    if (written.error().code != Errc::kConflict) co_return fail(written.error());
  }
  co_return fail(conflict(kind, key->name));
}

net::Task<Result<Json>> StoreClient::update(const Kind& kind, Json object) {
  return change(kind, std::move(object), merge_update);
}

net::Task<Result<Json>> StoreClient::update_status(const Kind& kind, Json object) {
  return change(kind, std::move(object), merge_status);
}

net::Task<Result<void>> StoreClient::remove(const Kind& kind, ObjectKey key,
                                            std::string resource_version) {
  auto path = path_of(kind, key);
  if (!path) co_return fail(path.error());
  for (int race = 0; race < kMaxRaces; ++race) {
    auto found = co_await store_.get(*path);
    if (!found) co_return fail(found.error());
    if (!*found) co_return fail(not_found(kind, key.name));
    bool other =
        !resource_version.empty() && resource_version != std::to_string((*found)->modified);
    if (other) co_return fail(conflict(kind, key.name));
    auto removed = co_await store_.remove(*path, (*found)->modified);
    if (removed) co_return Result<void>();
    if (removed.error().code == Errc::kNotFound) co_return fail(not_found(kind, key.name));
    if (removed.error().code != Errc::kConflict) co_return fail(removed.error());
  }
  co_return fail(conflict(kind, key.name));
}

std::unique_ptr<ResourceWatch> StoreClient::watch(const Kind& kind, std::string ns,
                                                  std::string after) {
  std::string prefix = folder_of(kind);
  if (!ns.empty()) prefix += ns + "/";
  auto version = parse_version(after);
  if (!version) return std::make_unique<StoreWatch>(nullptr);
  return std::make_unique<StoreWatch>(store_.watch(std::move(prefix), *version));
}

}  // namespace ebb::resources
