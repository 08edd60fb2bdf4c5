#include "control/scheduler.h"

#include <algorithm>
#include <limits>
#include <set>

#include "base/log.h"

namespace ebb::control {
namespace {

// In a row, of pods that load: then it counts as the function's failure, with its back-off.
constexpr int kForgivenKills = 2;

node::Preload preload_of(scheduling::Preload wish) {
  switch (wish) {
    case scheduling::Preload::kNever:
      return node::Preload::kNever;
    case scheduling::Preload::kAutomatic:
      return node::Preload::kAutomatic;
    case scheduling::Preload::kAlways:
      break;
  }
  return node::Preload::kAlways;
}

node::Assign order_for(const std::string& pod, const scheduling::PodTemplate& what) {
  using std::chrono::milliseconds;
  return {.pod = pod,
          .revision = what.revision,
          .code = what.code,
          .env = what.env,
          .memory_bytes = what.memory_bytes,
          .cpu_millis = what.cpu_millis,
          .concurrency = what.concurrency,
          .start_deadline_ms = static_cast<uint32_t>(
              std::chrono::duration_cast<milliseconds>(what.start_deadline).count()),
          .network = static_cast<uint8_t>(what.egress ? node::PodNetwork::kEgress
                                                      : node::PodNetwork::kNone),
          .command = what.command,
          .args = what.args,
          .port = what.port,
          .probe_path = what.probe_path,
          .preload = static_cast<uint8_t>(preload_of(what.preload))};
}

}  // namespace

Scheduler::Scheduler(SchedulerOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock) {}

std::string Scheduler::address(const std::string& pod) const {
  return "unix:" + options_.pods_folder + "/" + pod + ".sock";
}

// --- Nodes ---

void Scheduler::add_node(const std::string& node, Send send) {
  const std::lock_guard lock(mutex_);
  if (!retired_) nodes_[node] = std::move(send);
}

void Scheduler::remove_node(const std::string& node) {
  const std::lock_guard lock(mutex_);
  if (nodes_.erase(node) == 0) return;
  std::vector<std::string> here;
  std::set<std::string> bereft;  // revisions
  for (const auto& [id, pod] : pods_) {
    if (pod.ref.node != node) continue;
    here.push_back(id);
    bereft.insert(pod.revision);
  }
  for (const auto& id : here) lost(id, {.reason = "NodeLost", .message = "its node has gone"});
  static_cast<void>(placement_.remove_node(node));
  node_states_.erase(node);
  if (options_.events != nullptr) {
    options_.events->record(about_node(node), EventRecorder::Type::kWarning, "NodeLost",
                            "its Local Controller has gone, and all its pods with it");
  }
  for (const auto& uid : bereft) {
    if (const auto found = revisions_.find(uid); found != revisions_.end()) fill(found->second);
  }
}

void Scheduler::on_message(const std::string& node, const node::FromController& message) {
  const std::lock_guard lock(mutex_);
  if (const auto* welcome = std::get_if<node::Welcome>(&message)) on_welcome(node, *welcome);
  if (const auto* cold = std::get_if<node::PodCold>(&message)) on_cold(node, *cold);
  if (const auto* ready = std::get_if<node::PodReady>(&message)) on_ready(*ready);
  if (const auto* gone = std::get_if<node::PodGone>(&message)) on_gone(*gone);
  if (const auto* failed = std::get_if<node::PoolFailed>(&message)) on_pool_failed(node, *failed);
}

void Scheduler::on_welcome(const std::string& node, const node::Welcome& welcome) {
  if (auto added = placement_.add_node(node, static_cast<int>(welcome.slots)); !added) {
    log::error("scheduler", "node {}: {}", node, added.error().message);
    return;
  }
  if (options_.events != nullptr) {
    options_.events->record(about_node(node), EventRecorder::Type::kNormal, "NodeReady",
                            fmt::format("room for {} pods", welcome.slots));
  }
  network_problems_.erase(node);
  if (welcome.node_address.empty() && !welcome.network_problem.empty()) {
    network_problems_[node] = welcome.network_problem;
    if (options_.events != nullptr) {
      options_.events->record(about_node(node), EventRecorder::Type::kWarning, "NetworkUnavailable",
                              "pods reach only themselves: " + welcome.network_problem);
    }
  }
  for (const auto& report : welcome.pods) {
    if (report.revision.empty()) {
      on_cold(node, {.pod = report.pod, .runtime = report.runtime});
      continue;
    }
    auto adopted = placement_.adopt_warm(node, report.pod, report.runtime, report.revision);
    if (!adopted) {
      log::error("scheduler", "pod {}: {}", report.pod, adopted.error().message);
      continue;
    }
    const bool ready = report.state == static_cast<uint8_t>(node::PodState::kReady);
    Pod& pod = pods_[report.pod];
    pod = {.ref = {node, report.pod},
           .runtime = report.runtime,
           .revision = report.revision,
           .code = {},
           .ready = ready,
           .since = clock_.wall()};
    const auto found = revisions_.find(report.revision);
    if (found == revisions_.end()) continue;
    pod.code = found->second.what->code;
    ++found->second.have;
    note_shortage(found->second);
    found->second.listener->pod_added({report.pod, address(report.pod), ready});
    tell_busy(found->second, report.pod);
  }
  if (claimed_) end_unclaimed_pods();
  std::vector<std::string> names;
  for (auto& [name, runtime] : runtimes_) {
    runtime.told.reset();
    names.push_back(name);
  }
  for (const auto& name : names) set_pool(name);
  note_node(node);
}

void Scheduler::on_cold(const std::string& node, const node::PodCold& message) {
  // The order to load code got lost with the front that gave it: requests wait there, which are
  // not for other code.
  if (busy_.contains(message.pod)) {
    if (const auto to = nodes_.find(node); to != nodes_.end()) {
      static_cast<void>(to->second(node::Stop{message.pod}));
    }
    return;
  }
  if (auto added = placement_.pod_cold(node, message.pod, message.runtime); !added) {
    log::error("scheduler", "pod {}: {}", message.pod, added.error().message);
    return;
  }
  pods_[message.pod] = {.ref = {node, message.pod},
                        .runtime = message.runtime,
                        .revision = {},
                        .code = {},
                        .since = clock_.wall()};
  const auto found = runtimes_.find(message.runtime);
  if (found == runtimes_.end()) return;
  Runtime& runtime = found->second;
  const int64_t wanted = runtime.told ? runtime.told->cold : 0;
  runtime.pool.arrived(clock_.now(), wanted + 1 - placement_.cold_count(message.runtime));
  if (Revision* next = next_in_line(runtime)) {
    runtime.waiting.turn_taken(next->what->revision);
    fill(*next);
  } else {
    set_pool(message.runtime);
  }
}

void Scheduler::on_ready(const node::PodReady& message) {
  const auto found = pods_.find(message.pod);
  if (found == pods_.end()) return;
  found->second.ready = true;
  log::debug("scheduler", "pod {} loaded its code in {} us", message.pod, message.load_us);
  if (const auto revision = revisions_.find(found->second.revision); revision != revisions_.end()) {
    revision->second.killed = 0;
    revision->second.listener->pod_ready(message.pod, std::chrono::microseconds(message.load_us));
  }
}

void Scheduler::on_gone(const node::PodGone& message) {
  const auto pod = pods_.find(message.pod);
  if (pod == pods_.end()) return;
  const bool was_ready = pod->second.ready;
  const bool was_draining = pod->second.draining;
  const std::string uid = pod->second.revision;
  const std::string node = pod->second.ref.node;
  // To callers: what it printed while it served may be about the requests of others.
  scheduling::PodExit exit{.reason = message.reason,
                           .message = was_ready ? message.message : node::whole_message(message)};
  const auto found = revisions_.find(uid);
  // Whoever kills every one, the code by a limit of its own perhaps, must not have the next at
  // once.
  if (exit.reason == scheduling::kKilledFromOutside && found != revisions_.end() &&
      ++found->second.killed > kForgivenKills) {
    exit.reason = "Killed";
  }
  lost(message.pod, exit);
  note_node(node);
  if (found == revisions_.end()) return;
  Revision& revision = found->second;
  if (message.reason != "Stopped") record_end(revision, message, was_ready);
  // One that served is replaced at once. A failed start is tried again when the
  // AutoScaler or a request asks, with their back-off.
  if (!was_ready && !was_draining && !scheduling::is_blameless(exit)) {
    revision.want = std::min(revision.want, revision.have);
  }
  fill(revision);
}

void Scheduler::record_end(const Revision& revision, const node::PodGone& gone,
                           bool was_ready) const {
  if (options_.events == nullptr) return;
  const char* reason = gone.reason == "OOMKilled" ? "OOMKilled"
                       : was_ready                ? "PodFailed"
                                                  : "StartFailed";
  options_.events->record(
      *revision.what, EventRecorder::Type::kWarning, reason,
      (was_ready ? "a pod ended while it served: " : "a pod could not be started: ") +
          node::whole_message(gone));
}

void Scheduler::on_pool_failed(const std::string& node, const node::PoolFailed& message) {
  log::warn("scheduler", "no new pods of runtime {}: {}", message.runtime, message.message);
  const std::string text =
      fmt::format("no new pods of runtime {}: {}", message.runtime, message.message);
  if (options_.events != nullptr) {
    options_.events->record(about_node(node), EventRecorder::Type::kWarning, "PoolFailed", text);
  }
  const auto runtime = runtimes_.find(message.runtime);
  if (runtime == runtimes_.end()) return;
  for (const auto& [uid, revision] : revisions_) {
    if (!runtime->second.waiting.contains(uid)) continue;
    revision.listener->pods_unavailable(message.message);
    if (options_.events == nullptr) continue;
    options_.events->record(*revision.what, EventRecorder::Type::kWarning, "PoolFailed", text);
  }
}

// The caller sees to what its revision lacks now.
void Scheduler::lost(const std::string& id, const scheduling::PodExit& exit) {
  const auto found = pods_.find(id);
  if (found == pods_.end()) return;
  const Pod pod = std::move(found->second);
  pods_.erase(found);
  placement_.remove_pod(pod.ref);
  const auto revision = revisions_.find(pod.revision);
  if (revision == revisions_.end()) return;
  if (!pod.draining) --revision->second.have;
  revision->second.listener->pod_gone(id, exit);
}

void Scheduler::note_node(const std::string& node) {
  if (options_.events == nullptr) return;
  const auto view = placement_.find_node(node);
  if (!view) return;
  const auto [known, first] = node_states_.try_emplace(node, view->state);
  if (!first && known->second == view->state) return;
  known->second = view->state;
  const std::string state = scheduling::to_string(view->state);
  options_.events->record(about_node(node), EventRecorder::Type::kNormal, "Node" + state,
                          "the node is " + state);
}

// --- Pods for revisions ---

void Scheduler::scale(const std::string& uid, int pods) {
  const std::lock_guard lock(mutex_);
  const auto found = revisions_.find(uid);
  if (found == revisions_.end()) return;
  Revision& revision = found->second;
  const int more = pods - std::max(revision.want, revision.have);
  if (more > 0) runtimes_[revision.what->runtime].pool.asked(clock_.now(), more);
  revision.want = pods;
  if (revision.have > pods) drain(revision, revision.have - pods);
  fill(revision);
}

void Scheduler::fill(Revision& revision) {
  while (revision.have < revision.want && give(revision)) {
  }
  note_shortage(revision);
  set_pool(revision.what->runtime);
}

void Scheduler::note_shortage(Revision& revision) {
  Runtime& runtime = runtimes_[revision.what->runtime];
  const int missing = std::max(0, revision.want - revision.have);
  runtime.missing += missing - revision.missing;
  revision.missing = missing;
  if (missing > 0) {
    runtime.waiting.set(revision.what->revision, revision.listener->oldest_waiting());
  } else {
    runtime.waiting.remove(revision.what->revision);
  }
}

Scheduler::Revision* Scheduler::next_in_line(Runtime& runtime) {
  // Its oldest request may have got a slot or left since: then it may be another's turn.
  for (auto next = runtime.waiting.next(); next; next = runtime.waiting.next()) {
    Revision& revision = revisions_.at(*next);
    runtime.waiting.set(*next, revision.listener->oldest_waiting());
    if (runtime.waiting.next() == next) return &revision;
  }
  return nullptr;
}

bool Scheduler::give(Revision& revision) {
  if (retired_) return false;
  const auto ref = placement_.assign(revision.what->runtime, revision.what->revision);
  if (!ref) return false;
  runtimes_[revision.what->runtime].pool.handed_out(clock_.now());
  Pod& pod = pods_.at(ref->pod);
  pod.revision = revision.what->revision;
  pod.code = revision.what->code;
  ++revision.have;
  // First the order, so that the code is being loaded while a request connects. Not
  // ready yet, but its socket listens.
  const auto sent = nodes_.at(ref->node)(order_for(ref->pod, *revision.what));
  revision.listener->pod_added({ref->pod, address(ref->pod), false});
  note_node(ref->node);
  if (!sent) {
    log::error("scheduler", "pod {}: {}", ref->pod, sent.error().message);
    // Nobody reads orders any more: the news of that is on its way.
    const bool gone = sent.error().code == Errc::kUnavailable;
    lost(ref->pod, {.reason = gone ? "NodeLost" : "StartFailed", .message = sent.error().message});
  }
  return sent.has_value();
}

void Scheduler::drain(Revision& revision, int count) {
  const auto drain = revision.listener->begin_drain(count);
  for (const auto& id : drain.chosen) {
    const auto found = pods_.find(id);
    if (found == pods_.end() || found->second.draining) continue;
    found->second.draining = true;
    --revision.have;
    placement_.begin_drain(found->second.ref);
  }
  for (const auto& id : drain.idle) {
    if (const auto found = pods_.find(id); found != pods_.end()) stop(found->second);
  }
}

void Scheduler::stop(Pod& pod) {
  const auto node = nodes_.find(pod.ref.node);
  if (node == nodes_.end()) return;
  if (auto sent = node->second(node::Stop{pod.ref.pod}); !sent) {
    log::error("scheduler", "cannot stop pod {}: {}", pod.ref.pod, sent.error().message);
  }
}

void Scheduler::pod_drained(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = pods_.find(id);
  if (found == pods_.end()) return;
  put_out_of_use(found->second);  // if its socket broke
  stop(found->second);
}

void Scheduler::put_out_of_use(Pod& pod) {
  if (pod.draining) return;
  pod.draining = true;
  placement_.begin_drain(pod.ref);
  if (const auto revision = revisions_.find(pod.revision); revision != revisions_.end()) {
    --revision->second.have;
  }
}

void Scheduler::pod_hung(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = pods_.find(id);
  if (found == pods_.end() || found->second.draining) return;
  put_out_of_use(found->second);
  const auto revision = revisions_.find(found->second.revision);
  if (revision == revisions_.end()) return;
  const auto& what = *revision->second.what;
  log::warn("scheduler", "{}/{}: pod {} has stopped answering and is replaced", what.ns, what.name,
            id);
  if (options_.events != nullptr) {
    options_.events->record(what, EventRecorder::Type::kWarning, "PodHung",
                            fmt::format("the pod {} has stopped answering: it gets no more "
                                        "requests, and another takes its place",
                                        id));
  }
  fill(revision->second);
}

bool Scheduler::set_frozen(const std::string& id, bool frozen, uint64_t turn) {
  const std::lock_guard lock(mutex_);
  const auto found = pods_.find(id);
  if (found == pods_.end()) return true;
  const auto node = nodes_.find(found->second.ref.node);
  if (node == nodes_.end()) return true;  // and the pod with it
  const node::Freeze order{.pod = id, .frozen = static_cast<uint8_t>(frozen), .turn = turn};
  if (auto sent = node->second(order); !sent) {
    log::error("scheduler", "cannot {} pod {}: {}", frozen ? "freeze" : "thaw", id,
               sent.error().message);
    return false;
  }
  return true;
}

void Scheduler::pod_misbehaved(const std::string& id, const std::string& reason,
                               const std::string& message) {
  if (options_.events == nullptr) return;
  const std::lock_guard lock(mutex_);
  const auto found = pods_.find(id);
  if (found == pods_.end()) return;
  const auto revision = revisions_.find(found->second.revision);
  if (revision == revisions_.end()) return;
  options_.events->record(*revision->second.what, EventRecorder::Type::kWarning, reason, message);
}

void Scheduler::announce(const std::string& uid, const std::string& runtime) {
  const std::lock_guard lock(mutex_);
  if (revisions_.contains(uid) || !announced_.emplace(uid, runtime).second) return;
  ++runtimes_[runtime].revisions;
  set_pool(runtime);
}

void Scheduler::subscribe(std::shared_ptr<const scheduling::PodTemplate> what,
                          std::shared_ptr<scheduling::PodListener> listener) {
  const std::lock_guard lock(mutex_);
  const std::string uid = what->revision;
  const auto [entry, first] = revisions_.try_emplace(uid);
  Revision& revision = entry->second;
  if (first) ++runtimes_[what->runtime].revisions;
  revision.what = std::move(what);
  revision.listener = std::move(listener);
  revision.have = 0;
  for (const auto& view : placement_.pods_of(uid)) {
    Pod& pod = pods_.at(view.ref.pod);
    pod.code = revision.what->code;
    if (pod.draining) continue;
    ++revision.have;
    revision.listener->pod_added({view.ref.pod, address(view.ref.pod), pod.ready});
    tell_busy(revision, view.ref.pod);
  }
  revision.want = revision.have;
  note_shortage(revision);
  if (const auto announced = announced_.extract(uid)) --runtimes_[announced.mapped()].revisions;
  set_pool(revision.what->runtime);
}

void Scheduler::unsubscribe(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  if (const auto announced = announced_.extract(uid)) {
    --runtimes_[announced.mapped()].revisions;
    set_pool(announced.mapped());
  }
  const auto found = revisions_.find(uid);
  if (found == revisions_.end()) return;
  Revision& revision = found->second;
  const std::string runtime = revision.what->runtime;
  revision.want = 0;
  drain(revision, revision.have);
  note_shortage(revision);
  --runtimes_[runtime].revisions;
  // Pods that still hold requests go on draining; pod_drained() ends them.
  for (auto& [id, pod] : pods_) {
    if (pod.revision == uid) pod.listener = revision.listener;
  }
  revisions_.erase(found);
  set_pool(runtime);
  // One that does not hear it lets go of what it keeps for the revision when it is unused.
  for (const auto& [name, send] : nodes_) static_cast<void>(send(node::Forget{.revision = uid}));
}

void Scheduler::resize_pools() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;  // set_pool() may forget one
  names.reserve(runtimes_.size());
  for (const auto& [name, runtime] : runtimes_) names.push_back(name);
  for (const auto& name : names) set_pool(name);
}

void Scheduler::end_unclaimed() {
  const std::lock_guard lock(mutex_);
  claimed_ = true;
  end_unclaimed_pods();
}

void Scheduler::end_unclaimed_pods() {
  std::set<std::string> unused;  // runtimes that an earlier front held pools of
  for (const auto& [id, pod] : pods_) {
    if (pod.revision.empty() && !runtimes_.contains(pod.runtime)) unused.insert(pod.runtime);
  }
  for (const auto& runtime : unused) {
    runtimes_.try_emplace(runtime);
    set_pool(runtime);
  }
  for (auto& [id, pod] : pods_) {
    if (pod.revision.empty() || pod.draining || revisions_.contains(pod.revision)) continue;
    log::info("scheduler", "ending pod {}: its revision is not there any more", id);
    pod.draining = true;
    placement_.begin_drain(pod.ref);
    if (!busy_.contains(id)) stop(pod);
  }
}

void Scheduler::tell_busy(const Revision& revision, const std::string& pod) const {
  const auto busy = busy_.find(pod);
  if (busy != busy_.end()) static_cast<void>(revision.listener->pod_busy(pod, busy->second));
}

void Scheduler::retire() {
  const std::lock_guard lock(mutex_);
  retired_ = true;
  nodes_.clear();
}

void Scheduler::set_busy(std::map<std::string, int> busy) {
  const std::lock_guard lock(mutex_);
  std::map<std::string, int> changed = busy;
  for (const auto& [pod, requests] : busy_) {
    const auto [now, ended] = changed.try_emplace(pod, 0);
    if (!ended && now->second == requests) changed.erase(now);
  }
  busy_ = std::move(busy);
  for (const auto& [id, requests] : changed) {
    const auto pod = pods_.find(id);
    if (pod == pods_.end()) continue;
    const auto revision = revisions_.find(pod->second.revision);
    auto* listener =
        revision != revisions_.end() ? revision->second.listener.get() : pod->second.listener.get();
    const bool drained = listener != nullptr ? listener->pod_busy(id, requests)
                                             : pod->second.draining && requests == 0;
    if (drained) stop(pod->second);
  }
}

void Scheduler::set_pool(const std::string& name) {
  const auto found = runtimes_.find(name);
  if (found == runtimes_.end()) return;
  Runtime& runtime = found->second;
  node::SetPool size{.runtime = name, .cold = 0};
  if (runtime.revisions > 0) {
    runtime.pool.set_bounds(options_.pool_of(name));
    runtime.pool.settle(clock_.now());
    constexpr int64_t kMost = std::numeric_limits<uint32_t>::max();  // a node holds what it can
    size.cold = static_cast<uint32_t>(std::min(kMost, runtime.pool.size() + runtime.missing));
  }
  if (runtime.told != size) {
    bool told = !nodes_.empty();
    for (const auto& [node, send] : nodes_) {
      if (!send(size)) told = false;
    }
    runtime.told = told ? std::optional(size) : std::nullopt;
  }
  if (runtime.revisions == 0 && (runtime.told == node::SetPool{.runtime = name} || nodes_.empty()))
    runtimes_.erase(found);
}

// --- To be seen ---

std::vector<PodStatus> Scheduler::pods() const {
  const std::lock_guard lock(mutex_);
  std::vector<PodStatus> out;
  for (auto& view : placement_.snapshot().pods) {
    const auto found = pods_.find(view.ref.pod);
    if (found == pods_.end()) continue;
    const auto revision = revisions_.find(view.revision);
    auto what = revision == revisions_.end() ? nullptr : revision->second.what;
    out.push_back({std::move(view), found->second.ready, found->second.since, std::move(what)});
  }
  return out;
}

std::string Scheduler::network_problem(const std::string& node) const {
  const std::lock_guard lock(mutex_);
  const auto found = network_problems_.find(node);
  return found == network_problems_.end() ? std::string() : found->second;
}

std::vector<scheduling::NodeView> Scheduler::nodes() const {
  const std::lock_guard lock(mutex_);
  return placement_.snapshot().nodes;
}

CodeInUse Scheduler::code_in_use() const {
  const std::lock_guard lock(mutex_);
  CodeInUse out;
  for (const auto& [id, pod] : pods_) {
    if (pod.revision.empty()) continue;
    out.revisions.insert(pod.revision);
    if (pod.code.empty()) out.complete = false;
    out.codes.insert(pod.code);
  }
  return out;
}

}  // namespace ebb::control
