#include "serving/upgrade.h"

#include <algorithm>

#include "http/tunnel.h"

namespace ebb::serving {
namespace {

// How often it is looked whether the pod drains.
constexpr Duration kDrainLook = std::chrono::seconds(1);

std::optional<Cut> cut_of(http::TunnelOutcome outcome, bool drained) {
  switch (outcome) {
    case http::TunnelOutcome::kEnded:
      return std::nullopt;
    case http::TunnelOutcome::kClientBroke:
      return Cut::kClientLeft;
    case http::TunnelOutcome::kServerBroke:
      return Cut::kPodFailed;
    case http::TunnelOutcome::kSilent:
      return Cut::kIdleTimeout;
    case http::TunnelOutcome::kClosedHere:
      return drained ? Cut::kPodDrained : Cut::kShutdown;
  }
  return std::nullopt;
}

}  // namespace

net::Task<bool> pass_upgraded(http::TunnelEnd client, http::TunnelEnd pod_end,
                              const QueueProxy& pod, const ForwardOptions& options,
                              RequestRecord& record) {
  net::Executor& executor = client.stream->executor();
  http::Tunnel tunnel(client, pod_end, options.idle);
  TimePoint drained_by = kNever;
  net::Timer look;
  look.fire = [&] {
    const TimePoint now = executor.now();
    if (drained_by == kNever && pod.draining()) drained_by = now + options.tunnel_grace;
    if (now >= drained_by) return tunnel.cut();
    executor.arm(look, std::min(drained_by, now + kDrainLook));
  };
  executor.arm(look, executor.now() + kDrainLook);
  if (options.counters != nullptr) options.counters->upgraded.add();
  const http::TunnelOutcome outcome = co_await tunnel.run();
  look.disarm();
  if (options.counters != nullptr) options.counters->upgraded.subtract();
  record.cut = cut_of(outcome, executor.now() >= drained_by);
  record.bytes_in += tunnel.to_server();
  record.bytes_out += tunnel.to_client();
  co_return tunnel.server_ended_first();
}

}  // namespace ebb::serving
