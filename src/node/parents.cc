// Pods that fork others: LocalController::Parent.
#include <algorithm>
#include <csignal>
#include <utility>
#include <vector>

#include "base/log.h"
#include "node/local_controller.h"

namespace ebb::node {
namespace {

// Each holds a function's code in memory; more may be there that wait for their last fork.
constexpr size_t kMostParents = 8;
constexpr Duration kParentIdle = std::chrono::minutes(5);  // with no fork for so long, it goes
// What code read as it was loaded, from the network perhaps, is not much older in new pods.
constexpr Duration kParentLife = std::chrono::minutes(15);
constexpr Duration kParentLook = std::chrono::minutes(1);
constexpr Duration kLeavingTime = std::chrono::milliseconds(20);  // of killed processes

}  // namespace

LocalController::Parent* LocalController::as_parent(const PodProcess& pod) {
  const auto found = parents_.find(pod.id());
  return found == parents_.end() ? nullptr : &found->second;
}

PodProcess* LocalController::find_parent(const std::string& revision) {
  for (const auto& [id, parent] : parents_) {
    if (parent.retired || !parent.ready || parent.order.revision != revision) continue;
    const auto pod = pods_.find(id);
    if (pod != pods_.end() && pod->second->state() == PodState::kReady) return pod->second.get();
  }
  return nullptr;
}

bool LocalController::assign_forked(const Assign& order, PodProcess& pod) {
  PodProcess* parent = find_parent(order.revision);
  if (parent == nullptr) return false;
  as_parent(*parent)->used = executor_.now();
  auto asked = pod.assign_forked(order, *parent);
  if (!asked)
    log::warn("controller", "pod {} loads its code itself: {}", pod.id(), asked.error().message);
  return asked.has_value();
}

void LocalController::consider_parent(const PodProcess& pod, Duration took) {
  const TimePoint now = executor_.now();
  const Assign& order = pod.order();
  // Without groups what a fork leaves behind could not be ended.
  if (pod.forked() || !cgroups_) return;
  const auto of_revision = [&](const auto& entry) {
    return !entry.second.retired && entry.second.order.revision == order.revision;
  };
  if (std::any_of(parents_.begin(), parents_.end(), of_revision)) return;
  if (preload_policy_.loaded(order, took, now)) start_parent(order, pod.runtime());
}

void LocalController::start_parent(const Assign& order, const std::string& runtime) {
  const TimePoint now = executor_.now();
  const auto pool = pools_.find(runtime);
  if (pool == pools_.end() || !pool->second->runtime.forks || !pool->second->zygote) return;
  std::vector<std::pair<TimePoint, std::string>> in_use;
  for (const auto& [id, parent] : parents_) {
    if (!parent.retired) in_use.emplace_back(parent.used, id);
  }
  if (in_use.size() >= kMostParents) {
    const auto& [used, id] = *std::min_element(in_use.begin(), in_use.end());
    if (now - used < kParentLook) return;
    retire(id, parents_[id]);
  }
  const auto id = start_pod(*pool->second);
  if (!id) return;
  Parent& parent = parents_[*id];
  parent = {.order = order, .since = now, .used = now};
  parent.order.pod = *id;
  if (!parent_timer_.armed()) executor_.arm(parent_timer_, now + kParentLook);
}

void LocalController::parent_ready(const std::string& id, Parent& ready) {
  ready.ready = true;
  for (auto& [other, parent] : parents_) {  // that it succeeds
    if (other != id && parent.order.revision == ready.order.revision) retire(other, parent);
  }
}

// It forks no more, and ends with the last pod that it has forked.
void LocalController::retire(const std::string& id, Parent& parent) {
  if (std::exchange(parent.retired, true)) return;
  const auto pod = pods_.find(id);
  if (pod == pods_.end()) return;
  if (parent.ready) pod->second->say("the code is not kept loaded here any longer");
  end_if_childless(id);
}

void LocalController::end_if_childless(const std::string& id) {
  const auto parent = parents_.find(id);
  const auto pod = pods_.find(id);
  if (parent == parents_.end() || pod == pods_.end() || !parent->second.retired) return;
  if (!has_children(id)) pod->second->end("Stopped", "");
}

bool LocalController::has_children(const std::string& id) const {
  return std::any_of(pods_.begin(), pods_.end(),
                     [&](const auto& entry) { return entry.second->parent() == id; });
}

// What it forked did not become a pod: it is asked no more, nor is another for a while.
void LocalController::distrust(const std::string& id) {
  const auto parent = parents_.find(id);
  if (parent == parents_.end()) return;
  preload_policy_.pause(parent->second.order.revision, executor_.now());
  retire(id, parent->second);
}

void LocalController::look_at_parents() {
  const TimePoint now = executor_.now();
  std::vector<std::pair<Assign, std::string>> successors;  // order, runtime
  for (auto& [id, parent] : parents_) {
    const auto pod = pods_.find(id);
    if (parent.retired || pod == pods_.end()) continue;
    if (has_children(id)) parent.used = now;
    if (now - parent.used >= kParentIdle) {
      retire(id, parent);
    } else if (now - parent.since >= kParentLife && !std::exchange(parent.succeeded, true)) {
      successors.emplace_back(parent.order, pod->second->runtime());
    }
  }
  for (const auto& [order, runtime] : successors) start_parent(order, runtime);
  if (!parents_.empty()) executor_.arm(parent_timer_, now + kParentLook);
}

void LocalController::handle(const Forget& order) {
  for (auto& [id, parent] : parents_) {
    if (parent.order.revision == order.revision) retire(id, parent);
  }
}

// One that forked others has ended, and with the first process of their namespace they too.
void LocalController::bury_parent(const PodProcess& pod, const Parent& parent,
                                  const PodGone& gone) {
  std::vector<PodProcess*> children;
  for (const auto& [id, child] : pods_) {
    if (child->parent() == pod.id()) children.push_back(child.get());
  }
  for (PodProcess* child : children) {
    if (child->forked()) {
      child->end("Killed", "the pod that it was forked from has ended");
      bury(*child, SIGKILL);
    } else {
      child->give_up_fork("the pod that was to fork it has ended");
    }
  }
  if (parent.retired || gone.reason == "Stopped") return;
  log::info("controller", "pod {}, from which pods of {} were to be forked: {}: {}", pod.id(),
            pod.revision(), gone.reason, gone.message);
  if (gone.reason == kCannotFork) {
    preload_policy_.refuse(pod.revision(), executor_.now());
  } else {
    preload_policy_.pause(pod.revision(), executor_.now());
  }
}

void LocalController::clear_groups() {
  std::erase_if(ended_, [](const auto& pod) { return pod->clear_group(); });
  if (!ended_.empty()) executor_.arm(ended_timer_, executor_.now() + kLeavingTime);
}

}  // namespace ebb::node
