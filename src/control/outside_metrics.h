// The outside metrics that somebody is scaled by: who declares the same one shares it, so
// that its server is asked once, and only as long as somebody holds a source of it.
//
// Control executor only, the sources too.
//
//   OutsideMetrics metrics(executor);
//   auto source = metrics.source("jobs", "json http://queue:8000/stats /length");
//   source.read();     // the newest value, or why there is none
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "control/outside_metric.h"
#include "net/executor.h"

namespace ebb::control {

// A number from outside under the name that policies know it by.
struct OutsideSource {
  std::string name;
  std::function<Result<double>()> read;
};

class OutsideMetrics final {
 public:
  // `interval`: from one question to a server to the next.
  explicit OutsideMetrics(net::Executor& executor, Duration interval = OutsideMetricSpec().interval)
      : executor_(executor), interval_(interval) {}

  // Different ones at a time, each with a socket and an answer of up to 1 MiB.
  static constexpr size_t kMost = 256;
  // Of a declaration that cannot be read, or is one too many, the source says so.
  [[nodiscard]] OutsideSource source(const std::string& name, const std::string& declaration);
  // How many are asked for.
  [[nodiscard]] size_t asked() const;

 private:
  net::Executor& executor_;
  const Duration interval_;
  // By declaration. What nobody holds any more is swept when a new one comes.
  std::map<std::string, std::weak_ptr<OutsideMetric>> known_;
};

}  // namespace ebb::control
