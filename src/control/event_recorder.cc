#include "control/event_recorder.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/types.h"
#include "base/random.h"
#include "control/garbage_collector.h"
#include "control/routing_labels.h"

namespace ebb::control {
namespace {

constexpr size_t kRunBytes = 4;
// Events of what has no namespace are found here, as in Kubernetes.
constexpr const char* kNodeNamespace = "default";

std::string group_of(const EventRecorder::Subject& about, std::string_view reason) {
  std::string key;
  key.reserve(about.kind.size() + about.ns.size() + about.name.size() + about.uid.size() +
              reason.size() + 4);
  for (const std::string_view part : {std::string_view(about.kind), std::string_view(about.ns),
                                      std::string_view(about.name), std::string_view(about.uid)}) {
    key.append(part);
    key.push_back('/');
  }
  return key.append(reason);
}

// At most `most` bytes, cut between two characters of UTF-8.
std::string cut(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return std::string(text.substr(0, end));
}

}  // namespace

EventRecorder::EventRecorder(const Clock& clock)
    : clock_(clock),
      run_(random_hex(kRunBytes)),
      version_(clock.wall().time_since_epoch() / std::chrono::milliseconds(1)),
      forgotten_(version_) {}

void EventRecorder::record(const Subject& about, Type type, std::string_view reason,
                           std::string_view message) {
  const std::string now = api::to_rfc3339(clock_.wall());
  const std::string text = cut(message, kMaxMessage);
  std::string key = group_of(about, reason);
  const std::lock_guard lock(mutex_);
  auto& group = groups_[key];
  const auto same = std::find_if(group.begin(), group.end(), [&](const auto& known) {
    return known->event.message == text && known->event.type == type;
  });
  if (same != group.end()) {
    const Ring::iterator known = *same;
    ++known->event.count;
    known->event.last_timestamp = now;
    known->changed = ++version_;
    ring_.splice(ring_.end(), ring_, known);
    std::rotate(same, same + 1, group.end());
    return;
  }
  Numbered made;
  made.made = made.changed = ++version_;
  api::Event& event = made.event;
  event.meta.name = fmt::format("{}.{}{:x}", about.name, run_, made.made);
  event.meta.ns = about.ns.empty() ? kNodeNamespace : about.ns;
  event.meta.uid = event.meta.name;
  event.meta.creation_timestamp = now;
  event.involved = about;
  event.type = type;
  event.reason = reason;
  event.message = text;
  event.first_timestamp = now;
  event.last_timestamp = now;
  group.push_back(ring_.insert(ring_.end(), std::move(made)));
  if (group.size() > kMaxPerReason) drop(group.front());
  if (ring_.size() > kMaxEvents) drop(ring_.begin());
}

void EventRecorder::drop(Ring::iterator which) {
  const auto group = groups_.find(group_of(which->event.involved, which->event.reason));
  std::erase(group->second, which);
  if (group->second.empty()) groups_.erase(group);
  which->gone = true;
  which->changed = ++version_;
  gone_.push_back(std::move(*which));
  ring_.erase(which);
  if (gone_.size() <= kMaxGone) return;
  forgotten_ = gone_.front().changed;
  gone_.pop_front();
}

void EventRecorder::record(const scheduling::PodTemplate& revision, Type type,
                           std::string_view reason, std::string_view message) {
  record(about_revision(revision), type, reason, message);
  if (revision.service.empty()) return;
  record(about_service(revision), type, reason, fmt::format("{}: {}", revision.name, message));
}

void EventRecorder::record(const api::Revision& revision, Type type, std::string_view reason,
                           std::string_view message) {
  record(about(api::Revision::kind(), revision.meta), type, reason, message);
  const auto service = revision.meta.labels.find(std::string(api::kServiceLabel));
  const auto uid = revision.meta.labels.find(std::string(kServiceUidLabel));
  if (service == revision.meta.labels.end() || uid == revision.meta.labels.end()) return;
  record({.api_version = api::Service::kind().api_version(),
          .kind = "Service",
          .ns = revision.meta.ns,
          .name = service->second,
          .uid = uid->second},
         type, reason, fmt::format("{}: {}", revision.meta.name, message));
}

void EventRecorder::record(const api::Kind& kind, const api::ObjectMeta& meta, Type type,
                           std::string_view reason, std::string_view message) {
  record(about(kind, meta), type, reason, message);
  const auto* owner = controller_of(meta);
  if (owner == nullptr || owner->kind != api::Service::kind().kind) return;
  record({.api_version = owner->api_version,
          .kind = owner->kind,
          .ns = meta.ns,
          .name = owner->name,
          .uid = owner->uid},
         type, reason, message);
}

int64_t EventRecorder::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

std::vector<EventRecorder::Numbered> EventRecorder::list() const {
  const std::lock_guard lock(mutex_);
  return {ring_.begin(), ring_.end()};
}

bool EventRecorder::changes(int64_t after, std::vector<Numbered>* out) const {
  const std::lock_guard lock(mutex_);
  if (after < forgotten_ || after > version_) return false;
  for (const auto& went : gone_) {
    // What came and went since then was never seen.
    if (went.changed > after && went.made <= after) out->push_back(went);
  }
  const size_t gone = out->size();
  for (auto at = ring_.rbegin(); at != ring_.rend() && at->changed > after; ++at) {
    out->push_back(*at);
  }
  std::reverse(out->begin() + static_cast<std::ptrdiff_t>(gone), out->end());
  std::inplace_merge(out->begin(), out->begin() + static_cast<std::ptrdiff_t>(gone), out->end(),
                     [](const auto& a, const auto& b) { return a.changed < b.changed; });
  return true;
}

EventRecorder::Subject about_revision(const scheduling::PodTemplate& pod) {
  return {.api_version = api::Revision::kind().api_version(),
          .kind = "Revision",
          .ns = pod.ns,
          .name = pod.name,
          .uid = pod.revision};
}

EventRecorder::Subject about_service(const scheduling::PodTemplate& pod) {
  return {.api_version = api::Service::kind().api_version(),
          .kind = "Service",
          .ns = pod.ns,
          .name = pod.service,
          .uid = pod.service_uid};
}

EventRecorder::Subject about_node(const std::string& node) {
  return {.api_version = "v1", .kind = "Node", .ns = {}, .name = node, .uid = node};
}

EventRecorder::Subject about(const api::Kind& kind, const api::ObjectMeta& meta) {
  return {.api_version = kind.api_version(),
          .kind = std::string(kind.kind),
          .ns = meta.ns,
          .name = meta.name,
          .uid = meta.uid};
}

}  // namespace ebb::control
