#include "serving/gateway.h"

#include <algorithm>

#include "http/uri.h"
#include "serving/forwarder.h"
#include "serving/refusal.h"

namespace ebb::serving {
namespace {

// How often a request whose pod could not be reached is given to another.
constexpr int kAttempts = 2;

net::Task<void> answer_refusal(http::Exchange& exchange, std::string function, Refused refused) {
  switch (refused.why) {
    case Refused::Why::kStartFailed:
      co_await refuse(exchange, 503,
                      fmt::format("function {} failed to start: {}", function, refused.message),
                      refused.retry_after_s);
      co_return;
    case Refused::Why::kQueueFull:
      co_await refuse(exchange, 503,
                      fmt::format("function {} is overloaded: {}", function, refused.message),
                      refused.retry_after_s);
      co_return;
    case Refused::Why::kTimeout:
      co_await refuse(exchange, 503,
                      fmt::format("function {} was too busy: {}", function, refused.message),
                      refused.retry_after_s);
      co_return;
    case Refused::Why::kGone:
      co_await refuse(exchange, 404, fmt::format("function {} has been deleted", function));
      co_return;
  }
}

}  // namespace

Gateway::Gateway(net::Executor& executor, const RoutingPublisher& routes, Waker& waker)
    : connections_(executor), routes_(routes), waker_(waker), random_(std::random_device{}()) {}

const RoutingTable& Gateway::table() {
  if (const uint64_t now = routes_.version(); now != version_) {
    table_ = routes_.table();
    version_ = now;
  }
  return *table_;
}

const Target& Gateway::choose(const Route& route) {
  if (route.targets.size() == 1) return route.targets.front();
  int ticket = static_cast<int>(random_() % 100);
  for (const auto& target : route.targets) {
    ticket -= target.percent;
    if (ticket < 0) return target;
  }
  return route.targets.back();
}

net::Task<void> Gateway::serve(http::Exchange& exchange) {
  const std::string host = http::host_of(exchange.request().authority);
  const Route* route = table().find(host);
  if (route == nullptr) {
    co_await refuse(exchange, 404,
                    fmt::format("no function answers for the host {:?}: deploy one, or see `ebb "
                                "get services` for those that there are",
                                host));
    co_return;
  }
  if (route->targets.empty()) {
    co_await refuse(exchange, 503,
                    fmt::format("function {} is not ready: {}", route->name, route->not_ready), 1);
    co_return;
  }
  // Copies: the table may be replaced while the request waits.
  std::string name = route->name;
  Backend backend = choose(*route).backend;
  co_await serve_route(exchange, std::move(name), std::move(backend));
}

net::Task<void> Gateway::serve_route(http::Exchange& exchange, std::string function,
                                     Backend backend) {
  const TimePoint start = exchange.received_at();
  const TimePoint deadline = start + backend.timeout;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto grant = co_await admit(backend.throttler, waker_, exchange.executor(), deadline);
    if (!grant) {
      co_await answer_refusal(exchange, function, std::move(grant.error()));
      co_return;
    }
    ForwardOptions options{.function = function,
                           .deadline = deadline,
                           .response_start_deadline = start + backend.response_start,
                           .idle = backend.idle};
    const auto outcome = co_await forward(exchange, connections_, backend.throttler,
                                          std::move(*grant), std::move(options));
    if (outcome == Forwarded::kAnswered) co_return;
  }
  co_await refuse(exchange, 502, fmt::format("the pods of function {} cannot be reached", function),
                  1);
}

}  // namespace ebb::serving
