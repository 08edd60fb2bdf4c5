#include "cli/description.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "api/hpa.h"
#include "api/types.h"
#include "cli/console.h"
#include "cli/description_settings.h"
#include "cli/resource_kinds.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

using api::Json;

constexpr const char* kBold = "\033[1m";
constexpr const char* kPlain = "\033[0m";
constexpr const char* kNone = "-";

std::string headline(const Json& object, const std::vector<std::string>& path) {
  return first_line(text_at(object, path));
}

std::string or_none(const std::string& text) { return text.empty() ? kNone : text; }

std::string label(const Json& object, std::string_view key) {
  return line_at(object, {"metadata", "labels", std::string(key)});
}

class Description {
 public:
  Description(const api::Kind& kind, const Facts& facts, const DescriptionStyle& style)
      : kind_(kind), facts_(facts), style_(style) {}

  std::string write() {
    out_ = fmt::format("{} {}\n", bold(std::string(kind_.kind)), bold(name_of(facts_.object)));
    lines();
    if (kind_.plural != "pods") conditions();
    environment();
    annotations();
    if (kind_.plural == "services") {
      revisions();
      tags();
    }
    if (kind_.plural == "services" || kind_.plural == "revisions" || kind_.plural == "nodes") {
      pods();
      autoscaler(facts_.autoscalers);
    }
    const bool scaler = kind_.plural == "podautoscalers";
    if (scaler) autoscaler({facts_.object});
    if (!scaler) failure();  // it says what failed, and to be at rest is none
    events();
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::string bold(const std::string& words) const {
    return style_.colors ? kBold + words + kPlain : words;
  }
  void title(const std::string& words) { out_ += "\n" + bold(words) + "\n"; }

  // Indented; nothing at all for a table without rows.
  void table(const Table& table) {
    if (table.rows.empty()) return;
    const std::string lines = render(table);
    for (size_t start = 0; start < lines.size();) {
      const size_t end = lines.find('\n', start) + 1;
      out_ += "  " + lines.substr(start, end - start);
      start = end;
    }
  }
  void table_or(const Table& shown, const char* none) {
    if (shown.rows.empty()) {
      out_ += std::string("  ") + none + "\n";
    } else {
      table(shown);
    }
  }

  [[nodiscard]] std::string age(const std::string& time) const {
    const auto since = api::from_rfc3339(time);
    return since ? format_age(style_.now - *since) : std::string(kNone);
  }
  [[nodiscard]] std::string age_of(const Json& object) const {
    return age(text_at(object, {"metadata", "creationTimestamp"}));
  }

  // What is one value each.
  void lines() {
    const Json& object = facts_.object;
    std::vector<std::pair<std::string, std::string>> shown;
    const auto add = [&shown](std::string name, std::string value) {
      if (!value.empty()) shown.emplace_back(std::move(name), std::move(value));
    };
    add("Namespace", line_at(object, {"metadata", "namespace"}));
    add("URL", line_at(object, {"status", "url"}));
    add("Service", kind_.plural == "services" ? "" : label(object, api::kServiceLabel));
    add("Revision", label(object, api::kRevisionLabel));
    add("State", label(object, api::kStateLabel));
    add("Phase", line_at(object, {"status", "phase"}));
    add("Node", line_at(object, {"spec", "nodeName"}));
    for (auto& [name, value] : settings_of(pod_template())) {
      // What a cold pod will be is not known yet.
      if (!is_cold_pod() || name == "Runtime") add(name, std::move(value));
    }
    add("Message", kind_.plural == "pods" ? headline(object, {"status", "message"}) : "");
    if (kind_.plural == "horizontalpodautoscalers") {
      add("Scales", one_line(api::reference_text(object)));
      add("Metrics", one_line(api::targets_text(object)));
      add("Bounds", bounds());
      add("Pods", line_at(object, {"status", "currentReplicas"}));
      add("Wanted", line_at(object, {"status", "desiredReplicas"}));
    }
    add("Generation", generation());
    add("Age", age_of(object));
    size_t widest = 0;
    for (const auto& [name, value] : shown) widest = std::max(widest, name.size());
    for (const auto& [name, value] : shown) {
      out_ += fmt::format("  {:<{}}   {}\n", name, widest, value);
    }
  }

  // "1 to 9 pods".
  [[nodiscard]] std::string bounds() const {
    const std::string least = line_at(facts_.object, {"spec", "minReplicas"});
    return fmt::format("{} to {} pods", least.empty() ? "1" : least,
                       line_at(facts_.object, {"spec", "maxReplicas"}));
  }

  // What says how pods are made: a revision, or the template of the next one.
  [[nodiscard]] const Json& pod_template() const {
    static const Json::json_pointer kTemplate("/spec/template");
    const bool has_one = kind_.plural == "services" || kind_.plural == "configurations";
    if (has_one && facts_.object.contains(kTemplate)) return facts_.object.at(kTemplate);
    const bool has_revision = kind_.plural == "pods" && !facts_.revisions.empty();
    return has_revision ? facts_.revisions.front() : facts_.object;
  }
  [[nodiscard]] bool is_cold_pod() const {
    return kind_.plural == "pods" && facts_.revisions.empty();
  }

  void environment() {
    const Json& containers = list_at(pod_template(), "/spec/containers");
    if (containers.empty()) return;
    Table shown{{"NAME", "VALUE"}, {}};
    for (const Json& variable : list_at(containers[0], "/env")) {
      shown.rows.push_back({line_at(variable, {"name"}), line_at(variable, {"value"})});
    }
    if (shown.rows.empty()) return;
    title("Environment");
    table(shown);
  }

  void annotations() {
    Table shown{{"NAME", "VALUE"}, {}};
    for (auto& [name, value] : annotations_of(pod_template())) {
      shown.rows.push_back({name, value});
    }
    if (shown.rows.empty()) return;
    title("Annotations");
    table(shown);
  }

  [[nodiscard]] std::string generation() const {
    std::string declared = line_at(facts_.object, {"metadata", "generation"});
    const std::string seen = line_at(facts_.object, {"status", "observedGeneration"});
    if (declared.empty() || kind_.plural == "pods" || declared == seen) return declared;
    return declared + " (not worked on yet)";
  }

  void conditions() {
    Table shown{{"TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"}, {}};
    for (const Json& condition : list_at(facts_.object, "/status/conditions")) {
      shown.rows.push_back({line_at(condition, {"type"}), line_at(condition, {"status"}),
                            age(text_at(condition, {"lastTransitionTime"})),
                            line_at(condition, {"reason"}), headline(condition, {"message"})});
    }
    title("Conditions");
    table_or(shown, "none yet");
  }

  // A revision's share of the traffic and its tags, as the route reports them.
  struct Share {
    int64_t percent = 0;
    std::string tags;
  };
  [[nodiscard]] std::map<std::string, Share> shares() const {
    std::map<std::string, Share> out;
    for (const Json& target : list_at(facts_.object, "/status/traffic")) {
      Share& share = out[line_at(target, {"revisionName"})];
      share.percent += std::strtoll(text_at(target, {"percent"}).c_str(), nullptr, 10);
      const std::string tag = line_at(target, {"tag"});
      if (!tag.empty()) share.tags += (share.tags.empty() ? "" : ",") + tag;
    }
    return out;
  }

  void revisions() {
    const auto shared = shares();
    Table shown{{"NAME", "TRAFFIC", "TAGS", "READY", "PODS", "AGE", "REASON"}, {}};
    for (const Json& revision : facts_.revisions) {
      const std::string name = name_of(revision);
      const auto found = shared.find(name);
      const Share share = found == shared.end() ? Share{} : found->second;
      const Json ready = condition_of(revision, "Ready");
      std::string why;
      if (text_at(ready, {"status"}) != "True") {
        why = line_at(ready, {"reason"});
        const std::string message = headline(ready, {"message"});
        if (!message.empty()) why += (why.empty() ? "" : ": ") + message;
      }
      shown.rows.push_back({name, fmt::format("{}%", share.percent), or_none(share.tags),
                            or_none(line_at(ready, {"status"})), std::to_string(pods_of(name)),
                            age_of(revision), why});
    }
    title("Revisions");
    table_or(shown, "none yet");
  }

  void tags() {
    Table shown{{"TAG", "REVISION", "URL"}, {}};
    for (const Json& target : list_at(facts_.object, "/status/traffic")) {
      if (text_at(target, {"tag"}).empty()) continue;
      shown.rows.push_back(
          {line_at(target, {"tag"}), line_at(target, {"revisionName"}), line_at(target, {"url"})});
    }
    if (shown.rows.empty()) return;
    title("Tags");
    table(shown);
  }

  [[nodiscard]] int64_t pods_of(const std::string& revision) const {
    return std::count_if(facts_.pods.begin(), facts_.pods.end(), [&revision](const Json& pod) {
      return label(pod, api::kRevisionLabel) == revision;
    });
  }

  // A service has the revisions that are its own; a revision is one itself.
  [[nodiscard]] const char* why_no_pods() const {
    if (kind_.plural == "nodes") return "none";
    const auto status = [](const Json& revision) {
      return text_at(condition_of(revision, "Ready"), {"status"});
    };
    const bool any = kind_.plural == "services"
                         ? std::any_of(facts_.revisions.begin(), facts_.revisions.end(),
                                       [&](const Json& one) { return status(one) == "True"; })
                         : status(facts_.object) == "True";
    if (any) return "none: the next request starts one";
    return kind_.plural == "services" ? "none: no revision is ready"
                                      : "none: the revision is not ready";
  }

  void pods() {
    Table shown{{"NAME", "REVISION", "STATE", "NODE", "AGE"}, {}};
    for (const Json& pod : facts_.pods) {
      if (shown.rows.size() == kMaxShownPods) break;
      shown.rows.push_back({name_of(pod), label(pod, api::kRevisionLabel),
                            label(pod, api::kStateLabel), line_at(pod, {"spec", "nodeName"}),
                            age_of(pod)});
    }
    title("Pods");
    table_or(shown, why_no_pods());
    if (facts_.pods.size() > kMaxShownPods) {
      out_ += fmt::format("  ... and {} more\n", facts_.pods.size() - kMaxShownPods);
    }
  }

  void autoscaler(const std::vector<Json>& autoscalers) {
    Table shown{{"REVISION", "CLASS", "DESIRED", "READY", "STARTING", "IN FLIGHT", "WAITING",
                 "CONCURRENCY", "RPS", "PANIC", "DECIDED", "WHY"},
                {}};
    for (const Json& one : autoscalers) {
      const auto status = [&one](const char* field) {
        return or_none(line_at(one, {"status", field}));
      };
      const std::string decided = age(text_at(one, {"status", "decidedAt"}));
      shown.rows.push_back({name_of(one), or_none(scaling_class(one)), status("desiredScale"),
                            status("actualScale"), status("starting"), status("inFlight"),
                            status("waiting"), decimal(one, "concurrency"),
                            decimal(one, "requestsPerSecond"),
                            text_at(one, {"status", "panic"}) == "true" ? "yes" : "no",
                            decided == kNone ? decided : decided + " ago",
                            or_none(headline(one, {"status", "reason"}))});
    }
    if (shown.rows.empty()) return;
    title("Autoscaler");
    table(shown);
    for (const Json& one : autoscalers) {
      const std::string error = headline(one, {"status", "error"});
      if (!error.empty()) out_ += fmt::format("  {}: the policy failed: {}\n", name_of(one), error);
    }
  }

  static std::string decimal(const Json& object, const char* field) {
    const std::string number = text_at(object, {"status", field});
    if (number.empty()) return kNone;
    return fmt::format("{:.1f}", std::strtod(number.c_str(), nullptr));
  }

  // What a person looks for first when something does not work.
  void failure() {
    std::string what;
    // The newest first: what one that is ready has left behind is past.
    for (const Json& revision : facts_.revisions) {
      if (kind_.plural != "services") break;
      const Json ready = condition_of(revision, "Ready");
      const std::string status = text_at(ready, {"status"});
      if (status == "False") what = name_of(revision) + ": " + text_at(ready, {"message"});
      if (status == "False" || status == "True") break;
    }
    const Json ready = condition_of(facts_.object, "Ready");
    if (what.empty() && text_at(ready, {"status"}) == "False") what = text_at(ready, {"message"});
    if (what.empty()) {
      for (const Json& event : facts_.events) {
        if (text_at(event, {"type"}) != "Warning") continue;
        what = fmt::format("{} ago: {}", age(text_at(event, {"lastTimestamp"})),
                           text_at(event, {"message"}));
      }
    }
    if (what.empty()) return;
    title("Last failure");
    // With its lines, such as those of a traceback.
    for (size_t start = 0; start < what.size();) {
      const size_t end = std::min(what.find('\n', start), what.size());
      out_ += "  " + one_line(what.substr(start, end - start)) + "\n";
      start = end + 1;
    }
  }

  void events() {
    const size_t skip =
        facts_.events.size() > kMaxShownEvents ? facts_.events.size() - kMaxShownEvents : 0;
    Table shown{{"LAST SEEN", "TYPE", "REASON", "COUNT", "MESSAGE"}, {}};
    for (size_t i = skip; i < facts_.events.size(); ++i) {
      const Json& event = facts_.events[i];
      shown.rows.push_back({age(text_at(event, {"lastTimestamp"})), line_at(event, {"type"}),
                            line_at(event, {"reason"}), line_at(event, {"count"}),
                            headline(event, {"message"})});
    }
    title("Events");
    table_or(shown, "none");
  }

  const api::Kind& kind_;
  const Facts& facts_;
  const DescriptionStyle& style_;
  std::string out_;
};

}  // namespace

std::string description_of(const api::Kind& kind, const Facts& facts,
                           const DescriptionStyle& style) {
  return Description(kind, facts, style).write();
}

}  // namespace ebb::cli
