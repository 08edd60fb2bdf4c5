#include "serving/pod_connections.h"

namespace ebb::serving {

PodConnections::PodConnections(net::Executor& executor) : executor_(executor) {
  sweep_.fire = [this] { sweep(); };
}

std::unique_ptr<http::ClientConnection> PodConnections::take(const QueueProxy& pod,
                                                             bool may_break) {
  const auto found = pools_.find(&pod);
  // The address may be that of an earlier pod, whose object is gone.
  if (found == pools_.end() || found->second.pod.expired()) return nullptr;
  return found->second.idle.take(may_break ? executor_.now() - kTrusted : kNever);
}

void PodConnections::put(const std::shared_ptr<QueueProxy>& pod,
                         std::unique_ptr<http::ClientConnection> connection) {
  Pool& pool = pools_[pod.get()];
  if (pool.pod.expired()) {
    pool.idle.clear();
    pool.pod = pod;
  }
  const TimePoint now = executor_.now();
  pool.idle.put(std::move(connection), now);
  if (!sweep_.armed()) executor_.arm(sweep_, now + kSweep);
}

void PodConnections::sweep() {
  std::erase_if(pools_, [](const auto& entry) { return entry.second.pod.expired(); });
  if (!pools_.empty()) executor_.arm(sweep_, executor_.now() + kSweep);
}

}  // namespace ebb::serving
