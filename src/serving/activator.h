// Holds a request while its revision has no room (at zero, or in a burst), tells the
// AutoScaler at once, and lets it go on the moment a pod has a slot.
//
//   auto slot = co_await admit(throttler, waker, executor, deadline);
//   if (!slot) co_return refuse(slot.error());
#pragma once

#include <memory>

#include "net/executor.h"
#include "net/task.h"
#include "serving/throttler.h"

namespace ebb::serving {

// What the activator needs of the AutoScaler.
class Waker {
 public:
  virtual ~Waker() = default;
  // A request waits for a revision that has no pods. Any thread; never waits. When it
  // returns, the pod may already be there.
  virtual void wake(const std::string& revision) = 0;
};

[[nodiscard]] net::Task<Throttler::Grant> admit(std::shared_ptr<Throttler> throttler, Waker& waker,
                                                net::Executor& executor, TimePoint deadline);

}  // namespace ebb::serving
