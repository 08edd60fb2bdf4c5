// The machines under the simulated pods: nodes with slots, on each a pool of cold pods,
// and how nodes come and go. Where a pod goes is decided by scheduling::PackOrder, how many
// nodes there are by a scaling::Policy, of which scaling::node_amount makes the number.
//
// Not thread-safe. Time is what the caller says; what the cluster does later it asks for
// through `later`, and the caller then calls `happen`.
//
//   Cluster cluster(options, [&](int64_t at, Cluster::Event e) { queue.push(at, e); });
//   cluster.start(0);
//   cluster.asked(1);
//   if (auto pod = cluster.assign(now)) ...   // nullopt: none is cold
//   cluster.release(*pod, now);
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "scaling/node_amount.h"
#include "scaling/policy.h"
#include "scheduling/pack_order.h"
#include "sim/node_policy.h"

namespace ebb::sim {

// When simulated time begins. An even second, so that buckets of 2 s are aligned; long
// after 0, so that a time of 0 is never recent.
inline constexpr TimePoint kSimStart{std::chrono::hours(1000)};

struct ClusterOptions {
  int min_nodes = 1;
  int max_nodes = 1;
  int slots = 64;  // pods that a node holds, cold ones included
  int pool = 8;    // cold pods that a node keeps, as far as it has room
  Duration pod_create = std::chrono::milliseconds(3);  // one after the other on a node
  Duration node_boot = std::chrono::seconds(60);
  Duration node_keep = std::chrono::minutes(5);   // an idle node beyond the buffer
  Duration node_rest = std::chrono::minutes(10);  // all idle, before the last ones go
  NodePolicy node_policy = node_pool();           // how many there are
  WallTime begin{};                               // date of time 0; 1970: not known
};

class Cluster final {
 public:
  struct Event {
    enum class Kind : uint8_t { kPodCreated, kNodeReady };
    Kind kind = Kind::kPodCreated;
    uint32_t node = 0;
  };
  using Later = std::function<void(int64_t at_ns, Event event)>;
  using Pod = uint32_t;

  struct Totals {
    double node_seconds = 0;      // booting ones included
    double cold_pod_seconds = 0;  // pods that waited in a pool
    uint64_t nodes_started = 0;
    int peak_nodes = 0;
    uint64_t pods_created = 0;
    uint64_t policy_errors = 0;  // decisions that the policy failed to make
    std::string first_policy_error;
  };

  Cluster(const ClusterOptions& options, Later later);

  // The nodes that are there from the start, their pools full.
  void start(int64_t now);
  // So many more pods are wanted, whether there are any or not.
  void asked(int pods);
  // A cold pod, the oldest of its node.
  [[nodiscard]] std::optional<Pod> assign(int64_t now);
  // The pod has ended; its slot is free.
  void release(Pod pod, int64_t now);
  // How many pods are wanted and could not be given. Nodes come for them at once.
  void set_missing(int missing, int64_t now);
  void happen(Event event, int64_t now);
  // Once a second: decides how many nodes there are to be.
  void tick(int64_t now);
  [[nodiscard]] bool settled() const;  // tick() would do nothing until something happens
  [[nodiscard]] Totals totals(int64_t now);
  [[nodiscard]] uint32_t node_of(Pod pod) const { return places_[pod].node; }
  [[nodiscard]] int nodes() const { return ready_ + booting_; }
  [[nodiscard]] int cold() const { return cold_ + creating_; }  // those on the way included

 private:
  struct Node {
    enum class State : uint8_t { kGone, kBooting, kReady } state = State::kGone;
    int used = 0;          // given to functions
    std::deque<Pod> cold;  // oldest first
    int creating = 0;
    int64_t creates_until = 0;
    [[nodiscard]] bool idle() const { return state == State::kReady && used == 0 && creating == 0; }
  };

  struct Place {  // of a pod
    uint32_t node = 0;
    int64_t given_at = 0;
  };
  // Since the last sample, in pods and ns.
  struct Seen {
    double used = 0;     // area
    double missing = 0;  // likewise
    double service = 0;  // of the pods that ended
    int64_t asked = 0;
    int64_t ended = 0;
  };

  uint32_t add_node(int64_t now);  // booting
  void remove_node(uint32_t node, int64_t now);
  void make_ready(uint32_t node, int64_t now);
  void create_cold(uint32_t node);
  void refill(uint32_t node, int64_t now);
  void sample(int64_t now);
  void decide(int64_t now);
  void account(int64_t now);

  ClusterOptions options_;
  Later later_;
  using Order = scheduling::PackOrder<uint32_t>;
  Order order_;  // of the nodes with a cold pod
  std::unique_ptr<scaling::Policy> policy_;
  scaling::NodeTimes times_;
  Seen seen_;
  int64_t sampled_ = 0;
  bool changed_ = false;  // since the last decision: what is wanted
  std::vector<Node> nodes_;
  std::vector<Place> places_;
  std::vector<Pod> free_pods_;
  int ready_ = 0;
  int booting_ = 0;
  int used_ = 0;
  int cold_ = 0;
  int creating_ = 0;
  int missing_ = 0;
  int64_t accounted_ = 0;
  Totals totals_;
};

}  // namespace ebb::sim
