// For tests: a node without processes, as the AutoScaler and a throttler see it.
//
//   FakeNode node;
//   node.listener = throttler;   // which has the node as its PodSource
//   node.scale("uid", 2);        // two pods, ready at once
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "scheduling/scale_target.h"

namespace ebb::control {

// Remembers what was wanted; pods start at once, as from a full pool.
class FakeNode final : public scheduling::ScaleTarget, public scheduling::PodSource {
 public:
  void scale(const std::string& /*revision*/, int pods) override {
    wanted.push_back(pods);
    while (!full && std::ssize(names) < pods) {
      names.push_back("pod-" + std::to_string(next++));
      listener->pod_added({names.back(), "unix:/x", false});
      if (start_well) listener->pod_ready(names.back());
    }
    if (const int extra = static_cast<int>(names.size()) - pods; extra > 0) {
      for (const auto& name : listener->begin_drain(extra).chosen) std::erase(names, name);
    }
  }
  void subscribe(std::shared_ptr<const scheduling::PodTemplate> /*revision*/,
                 std::shared_ptr<scheduling::PodListener> who) override {
    listener = std::move(who);
  }
  void unsubscribe(const std::string& /*revision*/) override {}
  void pod_drained(const std::string& /*pod*/) override {}

  std::shared_ptr<scheduling::PodListener> listener;
  std::vector<std::string> names;
  std::vector<int> wanted;
  bool start_well = true;
  bool full = false;
  int next = 0;
};

}  // namespace ebb::control
