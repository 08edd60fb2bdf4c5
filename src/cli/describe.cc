// `ebb describe`: collects what the API knows about one object.
#include <nlohmann/json.hpp>
#include <set>

#include "api/event.h"
#include "api/kinds.h"
#include "api/pod_autoscaler.h"
#include "api/types.h"
#include "cli/commands.h"
#include "cli/description.h"
#include "cli/resource_kinds.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

using api::Json;

class Collector {
 public:
  Collector(const std::string& ns, ApiClient& client) : ns_(ns), client_(client) {}

  Result<Facts> collect(const api::Kind& kind, const std::string& name) {
    auto object = client_.get(path_of(kind, ns_, name), client_.now() + kCallTimeout);
    if (!object) return fail(object.error());
    facts_.object = std::move(*object);
    names_.insert(name);
    Result<void> done;
    if (&kind == &api::Service::kind()) done = collect_of(api::kServiceLabel, name);
    if (&kind == &api::Revision::kind()) done = collect_of(api::kRevisionLabel, name);
    if (done) done = collect_events();
    if (!done) return fail(done.error());
    return std::move(facts_);
  }

 private:
  // Revisions, pods and decisions that carry the label.
  Result<void> collect_of(std::string_view key, const std::string& name) {
    const std::string query = "?labelSelector=" + escaped(std::string(key) + "=" + name);
    if (key == api::kServiceLabel) {
      if (auto ok = list(api::Revision::kind(), query, facts_.revisions); !ok) return ok;
      // The newest first.
      std::sort(facts_.revisions.begin(), facts_.revisions.end(),
                [](const Json& a, const Json& b) { return generation_of(a) > generation_of(b); });
      for (const Json& revision : facts_.revisions) {
        names_.insert(text_at(revision, {"metadata", "name"}));
      }
    }
    if (auto ok = list(api::Pod::kind(), query, facts_.pods); !ok) return ok;
    if (key == api::kServiceLabel)
      return list(api::PodAutoscaler::kind(), query, facts_.autoscalers);
    auto one =
        client_.get(path_of(api::PodAutoscaler::kind(), ns_, name), client_.now() + kCallTimeout);
    if (one) facts_.autoscalers.push_back(std::move(*one));
    return {};
  }

  static int64_t generation_of(const Json& revision) {
    const std::string text =
        text_at(revision, {"metadata", "labels", std::string(api::kConfigurationGenerationLabel)});
    return std::strtoll(text.c_str(), nullptr, 10);
  }

  // Of the object and of what it owns, the latest last.
  Result<void> collect_events() {
    std::vector<Json> all;
    if (auto ok = list(api::Event::kind(), "", all); !ok) return ok;
    for (Json& event : all) {
      if (names_.contains(text_at(event, {"involvedObject", "name"}))) {
        facts_.events.push_back(std::move(event));
      }
    }
    std::stable_sort(facts_.events.begin(), facts_.events.end(), [](const Json& a, const Json& b) {
      return text_at(a, {"lastTimestamp"}) < text_at(b, {"lastTimestamp"});
    });
    return {};
  }

  // An API that does not have the kind has none of them.
  Result<void> list(const api::Kind& kind, const std::string& query, std::vector<Json>& into) {
    auto answer = client_.get(path_of(kind, ns_, "") + query, client_.now() + kCallTimeout);
    if (!answer && answer.error().code == Errc::kNotFound) return {};
    if (!answer) return fail(answer.error());
    const auto items = answer->find("items");
    if (items == answer->end() || !items->is_array()) return {};
    for (Json& item : *items) {
      if (item.is_object()) into.push_back(std::move(item));
    }
    return {};
  }

  const std::string& ns_;
  ApiClient& client_;
  Facts facts_;
  std::set<std::string> names_;
};

}  // namespace

Result<void> describe(const DescribeOptions& options, const std::string& ns, ApiClient& client,
                      const Clock& clock, Console& console) {
  const api::Kind& kind = *api::find_kind(options.kind);
  const auto facts = Collector(ns, client).collect(kind, options.name);
  if (!facts) return fail(facts.error());
  console.out << description_of(kind, *facts, {.now = clock.wall(), .colors = console.colors});
  return {};
}

}  // namespace ebb::cli
