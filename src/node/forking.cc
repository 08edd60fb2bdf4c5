// LocalController: pods that fork others (node/parents.h).
#include <algorithm>
#include <csignal>
#include <utility>
#include <vector>

#include "base/log.h"
#include "node/local_controller.h"

namespace ebb::node {
namespace {

constexpr Duration kLeavingTime = std::chrono::milliseconds(20);  // of killed processes
constexpr const char* kParentEnded = "the pod that it was forked from has ended";

}  // namespace

// False: the pod loads its code itself.
bool LocalController::assign_forked(const Assign& order, PodProcess& pod) {
  const auto id = parents_.serving(order.revision);
  const auto parent = id ? pods_.find(*id) : pods_.end();
  if (parent == pods_.end() || parent->second->state() != PodState::kReady) return false;
  parents_.used(*id, executor_.now());
  auto asked = pod.assign_forked(order, *parent->second);
  if (!asked)
    log::warn("controller", "pod {} loads its code itself: {}", pod.id(), asked.error().message);
  return asked.has_value();
}

void LocalController::consider_parent(const PodProcess& pod, Duration took) {
  const Assign& order = pod.order();
  // Without groups what a fork leaves behind could not be ended.
  if (pod.forked() || !cgroups_ || parents_.any_of(order.revision)) return;
  if (preload_policy_.loaded(order, took, executor_.now())) start_parent(order, pod.runtime());
}

void LocalController::start_parent(const Assign& order, const std::string& runtime) {
  const TimePoint now = executor_.now();
  const auto pool = pools_.find(runtime);
  if (pool == pools_.end() || !pool->second->runtime.forks || !pool->second->zygote) return;
  const auto room = parents_.room(order.revision, now);
  if (!room.is_there) return;
  if (room.retires) retire(*room.retires);
  const auto id = start_pod(*pool->second);
  if (!id) return;
  parents_.add(*id, order, now);
  if (!parent_timer_.armed()) executor_.arm(parent_timer_, now + Parents::kLook);
}

void LocalController::retire(const std::string& id) {
  const auto was = parents_.retire(id);
  const auto pod = pods_.find(id);
  if (!was || pod == pods_.end()) return;
  if (*was == Parents::State::kServing) {
    pod->second->say("the code is not kept loaded here any longer");
  }
  end_if_childless(id);
}

void LocalController::end_if_childless(const std::string& id) {
  const Parents::Parent* parent = parents_.find(id);
  const auto pod = pods_.find(id);
  if (parent == nullptr || parent->state != Parents::State::kRetired || pod == pods_.end()) return;
  if (!has_children(id)) pod->second->end("Stopped", "");
}

bool LocalController::has_children(const std::string& id) const {
  return std::any_of(pods_.begin(), pods_.end(),
                     [&](const auto& entry) { return entry.second->parent() == id; });
}

// What it forked did not become a pod: it is asked no more, nor is another for a while.
void LocalController::distrust(const std::string& id) {
  const Parents::Parent* parent = parents_.find(id);
  if (parent == nullptr) return;
  preload_policy_.pause(parent->order.revision, executor_.now());
  retire(id);
}

void LocalController::look_at_parents() {
  const TimePoint now = executor_.now();
  const auto due = parents_.look(now, [this](const std::string& id) { return has_children(id); });
  for (const std::string& id : due.retire) retire(id);
  for (const std::string& id : due.succeed) {
    const Parents::Parent* parent = parents_.find(id);
    const auto pod = pods_.find(id);
    if (parent == nullptr || pod == pods_.end()) continue;
    if (preload_policy_.barred(parent->order.revision, now)) continue;
    start_parent(Assign(parent->order), std::string(pod->second->runtime()));
  }
  if (!parents_.empty()) executor_.arm(parent_timer_, now + Parents::kLook);
}

void LocalController::handle(const Forget& order) {
  for (const std::string& id : parents_.of(order.revision)) retire(id);
}

// The kernel does so too, but for those that v1's freezer holds: for these it waits.
void LocalController::end_forks(const PodProcess& parent) {
  for (const auto& [id, pod] : pods_) {
    if (pod->forked() && pod->parent() == parent.id()) pod->end("Killed", kParentEnded);
  }
}

// One that forked others has ended, and with the first process of their namespace they too.
void LocalController::bury_parent(const PodProcess& pod, const PodGone& gone) {
  std::vector<PodProcess*> children;
  for (const auto& [id, child] : pods_) {
    if (child->parent() == pod.id()) children.push_back(child.get());
  }
  for (PodProcess* child : children) {
    if (child->forked()) {
      child->end("Killed", kParentEnded);
      bury(*child, SIGKILL);
    } else {
      child->give_up_fork("the pod that was to fork it has ended");
    }
  }
  const bool retired = parents_.find(pod.id())->state == Parents::State::kRetired;
  if (retired || gone.reason == "Stopped") return;
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
