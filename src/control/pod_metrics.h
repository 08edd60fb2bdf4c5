// What pods and nodes use, as their Local Controllers report it: of each the last two
// samples, between which CPU time becomes a rate. For `kubectl top`, /metrics and class hpa.
//
// A pod or node is there from its second sample on, as with the metrics server, and
// until kStaleAfter times its window has passed without another. Thread-safe.
//
//   metrics.on_message(node, message);                    // the rest is ignored
//   auto usage = metrics.of_revision(uid);                // as scaling::Metric::pods
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "node/messages.h"
#include "scaling/policy.h"

namespace ebb::control {

// Between two samples.
struct ResourceUse {
  double cores = 0;           // CPU seconds in a second
  uint64_t memory_bytes = 0;  // at its end
  Duration window{};
  TimePoint sampled{};  // its end
  WallTime at;          // the same, for users
};

struct PodUse {
  std::string pod;
  std::string node;
  std::string revision;  // uid
  ResourceUse use;
  bool ready = false;
  TimePoint started{};        // given to its revision
  TimePoint ready_changed{};  // when `ready` became what it is
};

// The part of the window in which processes were held up for want of a resource.
struct PressureShare {
  std::string resource;  // "cpu", "memory", "io"
  double some = 0;       // at least one was: 0 to 1
  double full = 0;       // all were
  uint64_t some_us = 0;  // since the machine started
  uint64_t full_us = 0;
};

struct NodeUse {
  std::string node;
  ResourceUse use;
  uint32_t cores = 0;
  uint64_t memory_total = 0;
  uint64_t cpu_ns = 0;  // since the machine started
  std::vector<PressureShare> pressure;
};

class PodMetrics final {
 public:
  static constexpr int kStaleAfter = 3;  // windows

  explicit PodMetrics(const Clock& clock) : clock_(clock) {}

  // A Local Controller said something.
  void on_message(const std::string& node, const node::FromController& message);
  // It has gone, and its pods with it.
  void remove_node(const std::string& node);

  [[nodiscard]] std::vector<PodUse> pods() const;  // by id
  [[nodiscard]] std::vector<NodeUse> nodes() const;
  // The pods of one revision as a policy takes them.
  [[nodiscard]] std::vector<scaling::PodUsage> of_revision(const std::string& uid) const;
  // Of all nodes, as a policy takes it; null while none has been measured.
  [[nodiscard]] std::shared_ptr<const scaling::NodeLoad> node_load() const;
  // What is to be freed so that all pods use at most `budget` bytes (0: as many as they like),
  // and so that kSpareMemory of each node's memory is available. By the newest samples.
  static constexpr double kSpareMemory = 0.05;
  struct MemoryLack {
    uint64_t bytes = 0;
    bool of_budget = false;  // false: the nodes', which is the larger one
    uint64_t sample = 0;     // changes when there are newer samples
  };
  [[nodiscard]] MemoryLack memory_lack(uint64_t budget) const;
  // Of one of the revision's pods, the mean; 0: not known.
  [[nodiscard]] uint64_t memory_of_pod(const std::string& revision) const;
  // How large a node is; known from its first sample on.
  struct NodeSize {
    uint32_t cores = 0;
    uint64_t memory_bytes = 0;
  };
  [[nodiscard]] std::optional<NodeSize> size_of(const std::string& node) const;

 private:
  struct Pod {
    uint64_t number = 0;
    std::string node;
    node::PodSample last;
    std::optional<ResourceUse> use;
    TimePoint started{};
    TimePoint ready_changed{};
  };
  struct Node {
    node::NodeUsage last;
    std::optional<NodeUse> use;
  };
  void take(const std::string& node, const node::PodSample& sample);
  void take(const std::string& node, const node::NodeUsage& sample);
  void forget(const std::string& pod);
  [[nodiscard]] ResourceUse between(uint64_t from_ns, uint64_t to_ns, uint64_t cpu_ns) const;
  [[nodiscard]] bool fresh(const ResourceUse& use) const;

  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Pod> pods_;                           // by id
  std::map<std::string, std::set<std::string>> by_revision_;  // uid -> pods
  std::map<std::string, Node> nodes_;
  uint64_t last_number_ = 0;
  uint64_t node_samples_ = 0;  // that have come
};

}  // namespace ebb::control
