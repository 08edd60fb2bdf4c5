// Nodes with a buffer: Ebb's own policy for how many there are.
//
// As many as hold what is in use, what found no place, and a buffer as large as what is
// asked for while a node boots, learned as the pools of cold pods are (scaling/pool.h).
// Once nothing was in use for `rest` there is no buffer either: the first who comes then
// waits for a boot. What a Situation says of nodes: scaling/node_amount.h. Not
// thread-safe.
//
//   NodePool policy({.share = 0.99});
//   policy.observe({.at = now, .concurrency = 30, .requests = 2});
//   policy.decide({.now = now, .ready = 2, .in_flight = 30, .pod_concurrency = 16,
//                  .start_time = seconds(60)}).desired;   // 2: 30 and a buffer of 2
#pragma once

#include <optional>

#include "scaling/lasting.h"
#include "scaling/policy.h"
#include "scaling/pool.h"

namespace ebb::scaling {

struct NodePoolSettings {
  double share = 0.99;                       // as in StockSettings
  int least = 0;                             // slots of the buffer
  int most = 65536;                          // likewise
  Duration boot = std::chrono::seconds(60);  // until Situation::start_time says it
  Duration rest = std::chrono::minutes(10);
};

class NodePool final : public Policy {
 public:
  explicit NodePool(const NodePoolSettings& settings);

  void observe(const Metric& metric) override;  // Metric::requests: instances asked for
  [[nodiscard]] Decision decide(const Situation& situation) override;

 private:
  void look_ahead(TimePoint now, int instances);

  Stock buffer_;
  Duration rest_;
  Duration boot_{};  // as it was told last
  Lasting at_rest_;
  std::optional<int> instances_;  // at the first decision after the newest metric
  int ahead_ = 0;                 // asked for since then: told to buffer_ before their metric
};

}  // namespace ebb::scaling
