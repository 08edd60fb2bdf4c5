// `ebb describe`: collects what the API knows about one object.
#include <nlohmann/json.hpp>

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

// Where events of what has no namespace are, as in Kubernetes.
const std::string kClusterEvents = "default";

class Collector {
 public:
  Collector(const std::string& ns, ApiClient& client) : ns_(ns), client_(client) {}

  Result<Facts> collect(const api::Kind& kind, const std::string& name) {
    auto object = client_.get(path_of(kind, ns_, name), client_.now() + kCallTimeout);
    if (!object) return fail(object.error());
    facts_.object = std::move(*object);
    Result<void> done;
    if (&kind == &api::Service::kind()) done = collect_of(api::kServiceLabel, name);
    if (&kind == &api::Revision::kind()) done = collect_of(api::kRevisionLabel, name);
    if (&kind == &api::Pod::kind()) done = collect_revision_of_pod();
    if (&kind == &api::Node::kind()) done = collect_pods_of_node(name);
    // What is decided for a revision is told of the revision.
    const bool scaler = &kind == &api::PodAutoscaler::kind();
    if (done) done = collect_events(scaler ? api::Revision::kind() : kind, name);
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
    }
    if (auto ok = list(api::Pod::kind(), query, facts_.pods); !ok) return ok;
    if (key == api::kServiceLabel)
      return list(api::PodAutoscaler::kind(), query, facts_.autoscalers);
    auto one =
        client_.get(path_of(api::PodAutoscaler::kind(), ns_, name), client_.now() + kCallTimeout);
    if (one) facts_.autoscalers.push_back(std::move(*one));
    return {};
  }

  // A cold pod has none, and one that still ends may have outlived it.
  Result<void> collect_revision_of_pod() {
    const std::string name =
        text_at(facts_.object, {"metadata", "labels", std::string(api::kRevisionLabel)});
    if (name.empty()) return {};
    auto revision =
        client_.get(path_of(api::Revision::kind(), ns_, name), client_.now() + kCallTimeout);
    if (revision) facts_.revisions.push_back(std::move(*revision));
    if (!revision && revision.error().code != Errc::kNotFound) return fail(revision.error());
    return {};
  }

  Result<void> collect_pods_of_node(const std::string& name) {
    if (auto ok = list(api::Pod::kind(), "", "", facts_.pods); !ok) return ok;
    std::erase_if(facts_.pods,
                  [&name](const Json& pod) { return text_at(pod, {"spec", "nodeName"}) != name; });
    return {};
  }

  static int64_t generation_of(const Json& revision) {
    const std::string text =
        text_at(revision, {"metadata", "labels", std::string(api::kConfigurationGenerationLabel)});
    return std::strtoll(text.c_str(), nullptr, 10);
  }

  // Of the object itself, the latest last: a Service is told what concerns its revisions,
  // configuration and route, so theirs would say all twice.
  Result<void> collect_events(const api::Kind& kind, const std::string& name) {
    std::vector<Json> all;
    const std::string& ns = kind.namespaced ? ns_ : kClusterEvents;
    if (auto ok = list(api::Event::kind(), ns, "", all); !ok) return ok;
    const std::string uid = text_at(facts_.object, {"metadata", "uid"});
    for (Json& event : all) {
      const auto about = [&event](const char* field) {
        return text_at(event, {"involvedObject", field});
      };
      if (about("kind") != kind.kind || about("name") != name) continue;
      // Not of one of the same name that is gone. Nodes are told apart by name alone.
      if (kind.namespaced && !about("uid").empty() && about("uid") != uid) continue;
      facts_.events.push_back(std::move(event));
    }
    std::stable_sort(facts_.events.begin(), facts_.events.end(), [](const Json& a, const Json& b) {
      return text_at(a, {"lastTimestamp"}) < text_at(b, {"lastTimestamp"});
    });
    return {};
  }

  // An API that does not have the kind has none of them.
  Result<void> list(const api::Kind& kind, const std::string& query, std::vector<Json>& into) {
    return list(kind, ns_, query, into);
  }
  Result<void> list(const api::Kind& kind, const std::string& ns, const std::string& query,
                    std::vector<Json>& into) {
    auto answer = client_.get(path_of(kind, ns, "") + query, client_.now() + kCallTimeout);
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
