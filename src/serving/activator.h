// Holds a request while its revision has no room (at zero, or in a burst), tells the
// AutoScaler at once, and lets it go on the moment a pod has a slot.
//
//   Admission how;
//   auto grant = co_await admit(exchange, throttler, waker, watch, deadline, how);
//   if (!grant) ...   // Refused: why
#pragma once

#include <list>
#include <memory>

#include "http/server.h"
#include "net/executor.h"
#include "net/task.h"
#include "serving/throttler.h"

namespace ebb::serving {

// What the activator needs of the AutoScaler. Any thread; never waits.
class Waker {
 public:
  virtual ~Waker() = default;
  // A request waits for a revision that has no pods. When it returns, the pod may
  // already be there.
  virtual void wake(const std::string& revision) = 0;
  // Requests wait although there are pods: all are full. Said once until the
  // throttler's crowd_seen().
  virtual void crowded(const std::string& revision) = 0;
};

// Looks whether the clients of waiting requests are still there, so that nobody
// computes an answer that nobody reads. A client that has ended its side counts as
// gone, as with nginx, Envoy and Go's server: almost all that do so have closed.
//
// One per executor; used on its thread only.
class ClientWatch final {
 public:
  static constexpr Duration kPeriod = std::chrono::milliseconds(50);
  // With more waiting, a round takes several periods.
  static constexpr size_t kLooksPerPeriod = 500;

  explicit ClientWatch(net::Executor& executor);

  // Watches while it lives; sets kClientLeft on `sender`.
  class [[nodiscard]] Guard final {
   public:
    Guard(ClientWatch& watch, http::Exchange& exchange, Throttler::GrantShot::Sender sender);
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard();

   private:
    friend class ClientWatch;
    ClientWatch& watch_;
    http::Exchange& exchange_;
    Throttler::GrantShot::Sender sender_;
    std::list<Guard*>::iterator place_;
  };

  [[nodiscard]] size_t waiting() const { return guards_.size(); }

 private:
  void look();

  net::Executor& executor_;
  std::list<Guard*> guards_;  // next to be looked at first
  net::Timer timer_;
};

// How a request came to its slot.
struct Admission {
  TimePoint asked{};     // when it had to wait; {}: it had not
  bool no_pods = false;  // then: there was no pod at all
};

// All arguments must outlive the task.
[[nodiscard]] net::Task<Throttler::Grant> admit(http::Exchange& exchange,
                                                const std::shared_ptr<Throttler>& throttler,
                                                Waker& waker, ClientWatch& watch,
                                                TimePoint deadline, Admission& how);

}  // namespace ebb::serving
