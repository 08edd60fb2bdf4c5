#include "control/scheduler.h"

#include <algorithm>
#include <set>

#include "base/log.h"

namespace ebb::control {
namespace {

constexpr const char* kLog = "scheduler";

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
          .command = what.command,
          .args = what.args,
          .port = what.port,
          .probe_path = what.probe_path};
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
  nodes_[node] = std::move(send);
}

void Scheduler::remove_node(const std::string& node) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> here;
  for (const auto& [id, pod] : pods_) {
    if (pod.ref.node == node) here.push_back(id);
  }
  for (const auto& id : here) lost(id, {.reason = "NodeLost", .message = "its node has gone"});
  static_cast<void>(placement_.remove_node(node));
  nodes_.erase(node);
}

void Scheduler::on_message(const std::string& node, const node::FromController& message) {
  const std::lock_guard lock(mutex_);
  if (const auto* welcome = std::get_if<node::Welcome>(&message)) on_welcome(node, *welcome);
  if (const auto* cold = std::get_if<node::PodCold>(&message)) on_cold(node, *cold);
  if (const auto* ready = std::get_if<node::PodReady>(&message)) on_ready(*ready);
  if (const auto* gone = std::get_if<node::PodGone>(&message)) on_gone(*gone);
  if (const auto* failed = std::get_if<node::PoolFailed>(&message)) on_pool_failed(*failed);
}

void Scheduler::on_welcome(const std::string& node, const node::Welcome& welcome) {
  if (auto added = placement_.add_node(node, static_cast<int>(welcome.slots)); !added) {
    log::error(kLog, "node {}: {}", node, added.error().message);
    return;
  }
  for (const auto& report : welcome.pods) {
    if (report.revision.empty()) {
      on_cold(node, {.pod = report.pod, .runtime = report.runtime});
      continue;
    }
    auto adopted = placement_.adopt_warm(node, report.pod, report.runtime, report.revision);
    if (!adopted) {
      log::error(kLog, "pod {}: {}", report.pod, adopted.error().message);
      continue;
    }
    log::info(kLog, "adopted pod {} of an earlier front", report.pod);
    const bool ready = report.state == static_cast<uint8_t>(node::PodState::kReady);
    pods_[report.pod] = {.ref = {node, report.pod},
                         .runtime = report.runtime,
                         .revision = report.revision,
                         .ready = ready,
                         .since = clock_.wall()};
    // Its revision's request path may be there already, or comes with subscribe().
    if (const auto found = revisions_.find(report.revision); found != revisions_.end()) {
      ++found->second.have;
      found->second.want = std::max(found->second.want, found->second.have);
      found->second.listener->pod_added({report.pod, address(report.pod), ready});
    }
  }
  pool_sizes_.clear();
  set_pools();
}

void Scheduler::on_cold(const std::string& node, const node::PodCold& message) {
  if (auto added = placement_.pod_cold(node, message.pod, message.runtime); !added) {
    log::error(kLog, "pod {}: {}", message.pod, added.error().message);
    return;
  }
  pods_[message.pod] = {.ref = {node, message.pod},
                        .runtime = message.runtime,
                        .revision = {},
                        .since = clock_.wall()};
  for (size_t i = 0; i < short_of_pods_.size(); ++i) {
    Revision& revision = revisions_.at(short_of_pods_[i]);
    if (revision.what->runtime != message.runtime) continue;
    fill(revision);
    break;
  }
  std::erase_if(short_of_pods_, [this](const std::string& uid) {
    const Revision& revision = revisions_.at(uid);
    return revision.have >= revision.want;
  });
  set_pools();
}

void Scheduler::on_ready(const node::PodReady& message) {
  const auto found = pods_.find(message.pod);
  if (found == pods_.end()) return;
  found->second.ready = true;
  log::debug(kLog, "pod {} loaded its code in {} us", message.pod, message.load_us);
  if (const auto revision = revisions_.find(found->second.revision); revision != revisions_.end()) {
    revision->second.listener->pod_ready(message.pod);
  }
}

void Scheduler::on_gone(const node::PodGone& message) {
  const bool was_ready = pods_.contains(message.pod) && pods_[message.pod].ready;
  const std::string uid = pods_.contains(message.pod) ? pods_[message.pod].revision : "";
  lost(message.pod, {.reason = message.reason, .message = message.message});
  // One that served is replaced at once. A failed start is tried again when the
  // AutoScaler or a request asks, with their back-off.
  const auto revision = revisions_.find(uid);
  if (revision == revisions_.end()) return;
  if (was_ready) {
    fill(revision->second);
  } else {
    revision->second.want = std::min(revision->second.want, revision->second.have);
  }
  set_pools();
}

void Scheduler::on_pool_failed(const node::PoolFailed& message) {
  log::warn(kLog, "no new pods of runtime {}: {}", message.runtime, message.message);
  for (const auto& uid : short_of_pods_) {
    const Revision& revision = revisions_.at(uid);
    if (revision.what->runtime == message.runtime) {
      revision.listener->pods_unavailable(message.message);
    }
  }
}

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

// --- Pods for revisions ---

void Scheduler::scale(const std::string& uid, int pods) {
  const std::lock_guard lock(mutex_);
  const auto found = revisions_.find(uid);
  if (found == revisions_.end()) return;
  Revision& revision = found->second;
  revision.want = pods;
  if (revision.have > pods) drain(revision, revision.have - pods);
  fill(revision);
  set_pools();
}

void Scheduler::fill(Revision& revision) {
  while (revision.have < revision.want && give(revision)) {
  }
  const std::string& uid = revision.what->revision;
  const auto waiting = std::find(short_of_pods_.begin(), short_of_pods_.end(), uid);
  const bool is_short = revision.have < revision.want;
  if (is_short && waiting == short_of_pods_.end()) short_of_pods_.push_back(uid);
  if (!is_short && waiting != short_of_pods_.end()) short_of_pods_.erase(waiting);
}

bool Scheduler::give(Revision& revision) {
  const auto ref = placement_.assign(revision.what->runtime, revision.what->revision);
  if (!ref) return false;
  Pod& pod = pods_.at(ref->pod);
  pod.revision = revision.what->revision;
  ++revision.have;
  // First the order, so that the code is being loaded while a request connects. Not
  // ready yet, but its socket listens.
  const auto sent = nodes_.at(ref->node)(order_for(ref->pod, *revision.what));
  revision.listener->pod_added({ref->pod, address(ref->pod), false});
  if (!sent) {
    log::error(kLog, "pod {}: {}", ref->pod, sent.error().message);
    lost(ref->pod, {.reason = "StartFailed", .message = sent.error().message});
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
  if (auto sent = nodes_.at(pod.ref.node)(node::Stop{pod.ref.pod}); !sent) {
    log::error(kLog, "cannot stop pod {}: {}", pod.ref.pod, sent.error().message);
  }
}

void Scheduler::pod_drained(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = pods_.find(id);
  if (found == pods_.end()) return;
  Pod& pod = found->second;
  if (!pod.draining) {  // its socket broke: out of use without our asking
    pod.draining = true;
    placement_.begin_drain(pod.ref);
    if (const auto revision = revisions_.find(pod.revision); revision != revisions_.end()) {
      --revision->second.have;
    }
  }
  stop(pod);
}

void Scheduler::subscribe(std::shared_ptr<const scheduling::PodTemplate> what,
                          std::shared_ptr<scheduling::PodListener> listener) {
  const std::lock_guard lock(mutex_);
  const std::string uid = what->revision;
  Revision& revision = revisions_[uid];
  revision.what = std::move(what);
  revision.listener = std::move(listener);
  for (const auto& [id, pod] : pods_) {
    if (pod.revision != uid || pod.draining) continue;
    ++revision.have;
    revision.listener->pod_added({id, address(id), pod.ready});
  }
  revision.want = revision.have;
  set_pools();
}

void Scheduler::unsubscribe(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  const auto found = revisions_.find(uid);
  if (found == revisions_.end()) return;
  found->second.want = 0;
  drain(found->second, found->second.have);
  std::erase(short_of_pods_, uid);
  // Pods that still hold requests go on draining; pod_drained() ends them.
  revisions_.erase(found);
  set_pools();
}

void Scheduler::set_pools() {
  // By runtime: how many, and whether they come on top of its manifest's.
  using Size = std::pair<uint32_t, bool>;
  std::map<std::string, Size> wanted;
  for (const auto& [uid, revision] : revisions_) {
    const Size empty{options_.pool.value_or(0), !options_.pool};
    Size& size = wanted.try_emplace(revision.what->runtime, empty).first->second;
    size.first += static_cast<uint32_t>(std::max(0, revision.want - revision.have));
  }
  for (const auto& [runtime, size] : pool_sizes_) wanted.try_emplace(runtime, 0, false);
  for (const auto& [runtime, size] : wanted) {
    const auto before = pool_sizes_.find(runtime);
    if (before != pool_sizes_.end() && before->second == size) continue;
    bool told = !nodes_.empty();
    for (const auto& [name, send] : nodes_) {
      if (!send(node::SetPool{.runtime = runtime,
                              .cold = size.first,
                              .on_top = size.second ? uint8_t{1} : uint8_t{0}})) {
        told = false;
      }
    }
    if (told) pool_sizes_[runtime] = size;
  }
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

std::vector<scheduling::NodeView> Scheduler::nodes() const {
  const std::lock_guard lock(mutex_);
  return placement_.snapshot().nodes;
}

}  // namespace ebb::control
