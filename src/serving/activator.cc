#include "serving/activator.h"

namespace ebb::serving {

net::Task<Throttler::Grant> admit(std::shared_ptr<Throttler> throttler, Waker& waker,
                                  net::Executor& executor, TimePoint deadline) {
  auto entry = throttler->try_acquire();
  if (entry.slot) co_return std::move(*entry.slot);
  if (entry.refused) co_return fail(std::move(*entry.refused));

  auto shot = Throttler::GrantShot::make(executor);
  const auto ticket = throttler->enqueue(shot.sender);
  if (ticket.no_pods) waker.wake(throttler->revision());
  auto waiting = shot.receiver.wait(deadline);
  auto grant = co_await waiting;
  if (!grant) {
    throttler->leave(ticket.number);
    co_return fail(
        Refused{Refused::Why::kTimeout, "no pod had room for it before its deadline", 1});
  }
  co_return std::move(*grant);
}

}  // namespace ebb::serving
