#include "control/configuration_reconciler.h"

#include <cctype>
#include <charconv>

#include "api/defaults.h"
#include "control/conditions.h"
#include "control/routing_labels.h"

namespace ebb::control {
namespace {

bool belongs_to(const api::Revision& revision, const api::Configuration& configuration) {
  const auto* owner = controller_of(revision.meta);
  return owner != nullptr && owner->uid == configuration.meta.uid;
}

// Ends with a full stop, but for several lines, such as a traceback.
std::string sentence(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.pop_back();
  }
  if (text.ends_with('.') || text.find('\n') != std::string::npos) return text;
  return text + ".";
}

}  // namespace

int64_t generation_of(const api::Revision& revision) {
  const auto found = revision.meta.labels.find(std::string(api::kConfigurationGenerationLabel));
  int64_t generation = 0;
  if (found == revision.meta.labels.end()) return 0;
  const std::string& text = found->second;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), generation);
  return parsed.ec == std::errc() ? generation : 0;
}

api::Revision revision_of(const api::Configuration& configuration) {
  const auto& pattern = configuration.spec.revision_template;
  api::Revision revision;
  revision.meta.ns = configuration.meta.ns;
  revision.meta.name = pattern.meta.name.empty() ? fmt::format("{}-{:05}", configuration.meta.name,
                                                               configuration.meta.generation)
                                                 : pattern.meta.name;
  revision.meta.labels = pattern.meta.labels;
  revision.meta.annotations = pattern.meta.annotations;
  auto& labels = revision.meta.labels;
  labels[std::string(api::kConfigurationLabel)] = configuration.meta.name;
  labels[std::string(api::kConfigurationGenerationLabel)] =
      std::to_string(configuration.meta.generation);
  labels[std::string(kConfigurationUidLabel)] = configuration.meta.uid;
  const auto service = configuration.meta.labels.find(std::string(api::kServiceLabel));
  if (service != configuration.meta.labels.end()) {
    labels[std::string(api::kServiceLabel)] = service->second;
  }
  const auto* owner = controller_of(configuration.meta);
  if (owner != nullptr && owner->kind == api::Service::kind().kind) {
    labels[std::string(kServiceUidLabel)] = owner->uid;
  }
  labels[std::string(kRoutingState)] = kPending;
  revision.meta.owners.push_back(owned_by(api::Configuration::kind(), configuration.meta));
  revision.spec = pattern.spec;
  api::apply_defaults(revision);
  return revision;
}

net::Task<Result<void>> ConfigurationReconciler::reconcile(resources::ObjectKey key) {
  const auto* found = configurations_.find(key);
  if (found == nullptr) co_return Result<void>();
  api::Configuration configuration = *found;
  auto collecting = collector_.collect(api::Configuration::kind(), configuration.meta);
  const auto collected = co_await collecting;
  if (!collected) co_return fail(collected.error());
  if (*collected) co_return Result<void>();

  auto making = newest(configuration);
  const auto revision = co_await making;
  const bool final = revision || revision.error().code == Errc::kInvalid ||
                     revision.error().code == Errc::kAlreadyExists;
  if (!final) co_return fail(revision.error());

  const auto before = configuration.status;
  set_status(configuration, revision);
  if (configuration.status != before) {
    auto updating = resources::update_status<api::Configuration>(client_, std::move(configuration));
    const auto updated = co_await updating;
    if (!updated && updated.error().code != Errc::kNotFound) co_return fail(updated.error());
  }
  // The name may become free: tried again.
  if (!revision && revision.error().code == Errc::kAlreadyExists) co_return fail(revision.error());
  co_return Result<void>();
}

// The revision of the current generation, made if it is missing. kAlreadyExists if
// another object has its name.
net::Task<Result<api::Revision>> ConfigurationReconciler::newest(api::Configuration configuration) {
  const resources::ObjectKey key{configuration.meta.ns, configuration.meta.name};
  const api::Revision* found = nullptr;
  for_each_named_after(revisions_, key, [&](const api::Revision& revision) {
    if (belongs_to(revision, configuration) &&
        generation_of(revision) == configuration.meta.generation) {
      found = &revision;
    }
  });
  if (found != nullptr) co_return *found;

  api::Revision wanted = revision_of(configuration);
  const resources::ObjectKey wanted_key{wanted.meta.ns, wanted.meta.name};
  auto creating = resources::create<api::Revision>(client_, wanted);
  auto created = co_await creating;
  if (created && events_ != nullptr) {
    events_->record(api::Configuration::kind(), configuration.meta, EventRecorder::Type::kNormal,
                    "RevisionCreated", "created revision " + created->meta.name);
  }
  if (created || created.error().code != Errc::kAlreadyExists) co_return created;
  // Made before the news of it came, or named by the template as before.
  auto getting = resources::get<api::Revision>(client_, wanted_key);
  auto existing = co_await getting;
  if (!existing && existing.error().code == Errc::kNotFound) {
    co_return fail(Errc::kConflict, "{}", existing.error().message);
  }
  if (!existing) co_return fail(existing.error());
  if (belongs_to(*existing, configuration) && existing->spec == wanted.spec) co_return existing;
  co_return fail(Errc::kAlreadyExists, "{}", created.error().message);
}

std::string ConfigurationReconciler::latest_ready(const api::Configuration& configuration) const {
  const api::Revision* best = nullptr;
  const resources::ObjectKey key{configuration.meta.ns, configuration.meta.name};
  for_each_named_after(revisions_, key, [&](const api::Revision& revision) {
    if (!belongs_to(revision, configuration) || !is_true(revision.status.conditions, kReady)) {
      return;
    }
    if (best == nullptr || generation_of(revision) > generation_of(*best)) best = &revision;
  });
  return best ? best->meta.name : "";
}

void ConfigurationReconciler::set_status(api::Configuration& configuration,
                                         const Result<api::Revision>& newest) const {
  auto& status = configuration.status;
  status.observed_generation = configuration.meta.generation;
  status.latest_ready_revision = latest_ready(configuration);
  Conditions conditions(status.conditions, clock_.wall());
  if (!newest) {
    conditions.mark_false(
        kReady, "RevisionFailed",
        fmt::format("Revision creation failed with message: {}", sentence(newest.error().message)));
    return;
  }
  status.latest_created_revision = newest->meta.name;
  const auto* ready = api::find_condition(newest->status.conditions, kReady);
  if (ready != nullptr && ready->status == api::Condition::Status::kFalse) {
    conditions.mark_false(kReady, "RevisionFailed",
                          fmt::format("Revision \"{}\" failed with message: {}", newest->meta.name,
                                      sentence(ready->message)));
  } else {
    conditions.mirror(kReady, ready);
  }
}

}  // namespace ebb::control
