#include "cli/traffic_plan.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "api/types.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

using api::Json;

constexpr int kWhole = 100;  // percent

int64_t generation_of(const Json& revision) {
  const std::string text =
      text_at(revision, {"metadata", "labels", std::string(api::kConfigurationGenerationLabel)});
  return std::strtoll(text.c_str(), nullptr, 10);
}

bool is_ready(const Json& revision) {
  return text_at(condition_of(revision, "Ready"), {"status"}) == "True";
}

const Json* find(const std::vector<Json>& revisions, const std::string& name) {
  for (const Json& revision : revisions) {
    if (name_of(revision) == name) return &revision;
  }
  return nullptr;
}

std::string names_of(const std::vector<Json>& revisions) {
  std::string out;
  for (const Json& revision : revisions) out += (out.empty() ? "" : ", ") + name_of(revision);
  return out.empty() ? "none" : out;
}

Result<void> check_known(const std::string& name, const std::vector<Json>& revisions) {
  if (name == kLatest || find(revisions, name) != nullptr) return {};
  return fail(Errc::kNotFound, "the service has no revision \"{}\"; it has: {}", name,
              names_of(revisions));
}

Json target_of(const std::string& revision) {
  if (revision == kLatest) return {{"latestRevision", true}};
  return {{"latestRevision", false}, {"revisionName", revision}};
}

bool has_tag(const Json& target, const std::string& tag) { return text_at(target, {"tag"}) == tag; }

int64_t percent_of(const Json& target) {
  return std::strtoll(text_at(target, {"percent"}).c_str(), nullptr, 10);
}

// The targets there are that have a tag, without their share.
Json tagged_only(const Json& service) {
  Json out = Json::array();
  for (Json target : list_at(service, "/spec/traffic")) {
    if (text_at(target, {"tag"}).empty()) continue;
    target["percent"] = 0;
    out.push_back(std::move(target));
  }
  return out;
}

// "TAG REVISION PERCENT" of each target, sorted; the name of what follows the latest
// revision is of no interest.
std::vector<std::string> keys_of(const Json& traffic) {
  std::vector<std::string> out;
  for (const Json& target : traffic) {
    const bool latest = text_at(target, {"latestRevision"}) == "true";
    out.push_back(fmt::format("{} {} {}", text_at(target, {"tag"}),
                              latest ? std::string(kLatest) : text_at(target, {"revisionName"}),
                              percent_of(target)));
  }
  std::sort(out.begin(), out.end());
  return out;
}

// The newest of those that `fits` and are older than `than`; null if there is none.
template <class Fits>
const Json* newest(const std::vector<Json>& revisions, int64_t than, const Fits& fits) {
  const Json* best = nullptr;
  for (const Json& revision : revisions) {
    const int64_t generation = generation_of(revision);
    if (generation >= than || !fits(revision)) continue;
    if (best == nullptr || generation > generation_of(*best)) best = &revision;
  }
  return best;
}

// Where a rollback goes: of several that serve, to the one before the newest, as that is
// the one on trial; else to the ready one before. Empty if there is none.
std::string revision_before(const Json& service, const std::vector<Json>& revisions) {
  std::set<std::string> serving;
  for (const Json& target : list_at(service, "/status/traffic")) {
    if (percent_of(target) > 0) serving.insert(text_at(target, {"revisionName"}));
  }
  const auto serves = [&serving](const Json& revision) {
    return serving.contains(name_of(revision));
  };
  const Json* latest = newest(revisions, INT64_MAX, serves);
  if (latest == nullptr) return {};
  const int64_t than = generation_of(*latest);
  const Json* before = newest(revisions, than, serves);
  if (before == nullptr) before = newest(revisions, than, is_ready);
  return before == nullptr ? std::string() : name_of(*before);
}

// A share goes to a target of its own, ahead of those that only have tags.
Json with_shares(const std::vector<std::pair<std::string, int>>& shares, const Json& tagged) {
  Json out = Json::array();
  for (const auto& [revision, percent] : shares) {
    Json target = target_of(revision);
    target["percent"] = percent;
    out.push_back(std::move(target));
  }
  for (const Json& target : tagged) out.push_back(target);
  return out;
}

}  // namespace

Result<Json> planned_traffic(const TrafficOptions& options, const Json& service,
                             const std::vector<Json>& revisions) {
  for (const auto& [revision, percent] : options.revisions) {
    if (auto ok = check_known(revision, revisions); !ok) return fail(ok.error());
  }
  for (const auto& [tag, revision] : options.tags) {
    if (auto ok = check_known(revision, revisions); !ok) return fail(ok.error());
  }
  Json traffic = list_at(service, "/spec/traffic");
  if (!options.revisions.empty()) {
    traffic = with_shares(options.revisions, tagged_only(service));
  } else if (traffic.empty()) {
    traffic = with_shares({{std::string(kLatest), kWhole}}, Json::array());
  }
  // A tag is taken off where it was; a target that has nothing left goes.
  const auto untag = [&traffic](const std::string& tag) {
    bool found = false;
    Json left = Json::array();
    for (Json target : traffic) {
      if (has_tag(target, tag)) {
        found = true;
        target.erase("tag");
        if (percent_of(target) == 0) continue;
      }
      left.push_back(std::move(target));
    }
    traffic = std::move(left);
    return found;
  };
  for (const std::string& tag : options.untag) {
    if (!untag(tag)) return fail(Errc::kNotFound, "the service has no tag \"{}\"", tag);
  }
  for (const auto& [tag, revision] : options.tags) {
    static_cast<void>(untag(tag));
    Json target = target_of(revision);
    target["tag"] = tag;
    target["percent"] = 0;
    traffic.push_back(std::move(target));
  }
  return traffic;
}

Result<Json> planned_rollback(const RollbackOptions& options, const Json& service,
                              const std::vector<Json>& revisions) {
  std::string to = options.to;
  if (!to.empty()) {
    if (auto ok = check_known(to, revisions); !ok) return fail(ok.error());
    const Json* revision = find(revisions, to);
    if (revision != nullptr && !is_ready(*revision)) {
      return fail(Errc::kInvalid, "revision \"{}\" is not ready: {}", to,
                  text_at(condition_of(*revision, "Ready"), {"message"}));
    }
  } else {
    to = revision_before(service, revisions);
    if (to.empty()) {
      return fail(Errc::kNotFound,
                  "no ready revision is older than the one that serves; revisions: {}. Choose one "
                  "with --to",
                  names_of(revisions));
    }
  }
  return with_shares({{to, kWhole}}, tagged_only(service));
}

Verdict traffic_verdict(const Json& service) {
  const auto number = [&service](const char* at, const char* name) {
    return std::strtoll(text_at(service, {at, name}).c_str(), nullptr, 10);
  };
  if (number("status", "observedGeneration") < number("metadata", "generation")) return {};
  const Json routes = condition_of(service, "RoutesReady");
  const std::string status = text_at(routes, {"status"});
  std::string message = text_at(routes, {"message"});
  if (status == "False") return {Verdict::Kind::kFailed, std::move(message)};
  const bool same =
      keys_of(list_at(service, "/spec/traffic")) == keys_of(list_at(service, "/status/traffic"));
  if (status == "True" && same) return {Verdict::Kind::kDone, {}};
  return {Verdict::Kind::kPending, std::move(message)};
}

}  // namespace ebb::cli
