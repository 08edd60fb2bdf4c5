// For tests: pods of many revisions that start when they are wanted, and become ready or fail
// when the test says so.
#pragma once

#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scheduling/scale_target.h"

namespace ebb::control {

class StagedPods final : public scheduling::ScaleTarget, public scheduling::PodSource {
 public:
  void scale(const std::string& revision, int pods) override {
    auto& entry = revisions_[revision];
    while (static_cast<int>(entry.pods.size()) < pods) {
      const std::string pod = fmt::format("pod-{}", ++made);
      entry.pods.push_back(pod);
      entry.listener->pod_added({pod, "unix:/nowhere/" + pod, false});
      if (start_well) entry.listener->pod_ready(pod);
    }
    const int extra = static_cast<int>(entry.pods.size()) - pods;
    if (extra <= 0) return;
    for (const auto& pod : entry.listener->begin_drain(extra).chosen) std::erase(entry.pods, pod);
  }
  void subscribe(std::shared_ptr<const scheduling::PodTemplate> revision,
                 std::shared_ptr<scheduling::PodListener> listener) override {
    revisions_[revision->revision].listener = std::move(listener);
  }
  void unsubscribe(const std::string& uid) override { revisions_.erase(uid); }
  void pod_drained(const std::string& /*pod*/) override {}

  [[nodiscard]] bool starting(const std::string& uid) const {
    const auto found = revisions_.find(uid);
    return found != revisions_.end() && !found->second.pods.empty();
  }
  void ready(const std::string& uid) {
    auto& entry = revisions_.at(uid);
    entry.listener->pod_ready(entry.pods.front());
  }
  void fail(const std::string& uid, const std::string& message) {
    auto& entry = revisions_.at(uid);
    const std::string pod = entry.pods.front();
    entry.pods.erase(entry.pods.begin());
    entry.listener->pod_gone(pod, {.reason = "LoadFailed", .message = message});
  }
  [[nodiscard]] size_t subscribed() const { return revisions_.size(); }

  int made = 0;
  bool start_well = false;  // at once

 private:
  struct Entry {
    std::shared_ptr<scheduling::PodListener> listener;
    std::vector<std::string> pods;
  };
  std::map<std::string, Entry> revisions_;
};

}  // namespace ebb::control
