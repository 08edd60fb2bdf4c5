// A number that a server outside tells, asked for again and again, so that whoever wants
// it has the latest at once. outside_metrics.h has one for each that is declared.
//
// Plain HTTP, one question at a time, each with a deadline and a bound on its answer. A
// value that has not been renewed for kExpiresAfter intervals, or for one interval and
// what a question may take where that is longer, is none any more. Belongs
// to one executor's thread.
//
//   OutsideMetric jobs(executor, *parse_outside_metric("json http://queue:8000/stats /length"));
//   jobs.start();
//   auto value = jobs.value(executor.now());     // or why there is none
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "control/outside_value.h"
#include "net/executor.h"

namespace ebb::control {

class OutsideMetric final {
 public:
  static constexpr int kExpiresAfter = 3;            // intervals
  static constexpr size_t kMaxAnswer = 1024 * 1024;  // bytes

  struct Value {
    double value = 0;
    TimePoint at{};  // when the answer came
  };

  // `spec` is one that parse_outside_metric has made, or as good.
  OutsideMetric(net::Executor& executor, OutsideMetricSpec spec);
  ~OutsideMetric();
  OutsideMetric(const OutsideMetric&) = delete;
  OutsideMetric& operator=(const OutsideMetric&) = delete;

  // Asks now and then every interval. Once.
  void start();

  // The latest; kUnavailable with the URL and the reason if there is none, or none that
  // is young enough.
  [[nodiscard]] Result<Value> value(TimePoint now) const;
  // Why the last question had no answer, with the URL; empty: it had one.
  [[nodiscard]] const std::string& problem() const;

 private:
  struct State;
  static void ask(const std::shared_ptr<State>& state);
  static net::Task<void> ask_once(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;  // shared: with a question under way
};

}  // namespace ebb::control
