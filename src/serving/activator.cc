#include "serving/activator.h"

#include <algorithm>

namespace ebb::serving {

ClientWatch::ClientWatch(net::Executor& executor) : executor_(executor) {
  timer_.fire = [this] { look(); };
}

ClientWatch::Guard::Guard(ClientWatch& watch, http::Exchange& exchange,
                          Throttler::GrantShot::Sender sender)
    : watch_(watch), exchange_(exchange), sender_(std::move(sender)) {
  place_ = watch_.guards_.insert(watch_.guards_.end(), this);
  if (!watch_.timer_.armed()) {
    watch_.executor_.arm(watch_.timer_, watch_.executor_.now() + kPeriod);
  }
}

ClientWatch::Guard::~Guard() { watch_.guards_.erase(place_); }

void ClientWatch::look() {
  for (size_t n = std::min(guards_.size(), kLooksPerPeriod); n > 0; --n) {
    Guard& guard = *guards_.front();
    guards_.splice(guards_.end(), guards_, guards_.begin());
    if (!guard.exchange_.client_left()) continue;
    Throttler::Grant left = fail(Refused{Refusal::kClientLeft, "the client has gone", 0});
    static_cast<void>(guard.sender_.set(std::move(left)));  // resumes it later
  }
  if (!guards_.empty()) executor_.arm(timer_, executor_.now() + kPeriod);
}

namespace {

net::Task<Throttler::Grant> wait_for_slot(http::Exchange& exchange,
                                          const std::shared_ptr<Throttler>& throttler, Waker& waker,
                                          ClientWatch& watch, TimePoint deadline, Admission& how) {
  net::Executor& executor = exchange.executor();
  auto shot = Throttler::GrantShot::make(executor);
  const TimePoint asked = executor.now();
  const auto ticket = throttler->enqueue(shot.sender, exchange.held_bytes());
  if (ticket.queued) how.asked = asked;
  how.no_pods = ticket.no_pods;
  if (ticket.no_pods) waker.wake(throttler->revision());
  if (ticket.crowded) waker.crowded(throttler->revision());
  const ClientWatch::Guard guard(watch, exchange, shot.sender);
  auto waiting = shot.receiver.wait(deadline);
  auto grant = co_await waiting;
  const bool too_late = grant && *grant && executor.now() >= deadline;
  if (!grant) throttler->leave(ticket.number);
  if (too_late) (*grant)->give_back_unused();
  if (!grant || too_late) {
    co_return fail(
        Refused{Refusal::kQueueTimeout, "no pod had room for it before its deadline", 1});
  }
  if (!*grant && grant->error().why == Refusal::kClientLeft) throttler->leave(ticket.number);
  co_return std::move(*grant);
}

}  // namespace

net::Task<Throttler::Grant> admit(http::Exchange& exchange,
                                  const std::shared_ptr<Throttler>& throttler, Waker& waker,
                                  ClientWatch& watch, TimePoint deadline, Admission& how) {
  using Granted = net::Task<Throttler::Grant>;
  auto entry = throttler->try_acquire();
  if (entry.slot) return Granted::ready(std::move(*entry.slot));
  if (entry.refused) return Granted::ready(fail(std::move(*entry.refused)));
  return wait_for_slot(exchange, throttler, waker, watch, deadline, how);
}

}  // namespace ebb::serving
