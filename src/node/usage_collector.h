// Reads what pods and their node have used and reports it, once every interval: the
// pods that serve a revision, a few at a time, so that no order of the front waits for
// more than a few of them. Belongs to the Local Controller's only thread.
//
//   UsageCollector collector(executor, std::chrono::seconds(15), pods, report);
//   collector.start();   // a front is there: a round at once, then every 15 s
//   collector.stop();    // it has gone
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "net/executor.h"
#include "node/messages.h"
#include "node/pod_process.h"

namespace ebb::node {

class UsageCollector final {
 public:
  using Pods = std::map<std::string, std::unique_ptr<PodProcess>>;  // by id
  using Report = std::function<void(const FromController&)>;

  static constexpr size_t kPodsAtOnce = 8;
  static constexpr Duration kPause = std::chrono::milliseconds(5);  // between those

  // `pods` must outlive it.
  UsageCollector(net::Executor& executor, Duration interval, const Pods& pods, Report report);

  void start();
  void stop();

 private:
  void begin_round();
  void read_some();
  [[nodiscard]] uint64_t now_ns() const;

  net::Executor& executor_;
  const Duration interval_;
  const Pods& pods_;
  Report report_;
  std::string last_;  // the pod that was read last in this round
  net::Timer round_;
  net::Timer more_;
};

}  // namespace ebb::node
