#include "serving/pod_connections.h"

#include <algorithm>

namespace ebb::serving {

PodConnections::PodConnections(net::Executor& executor) : executor_(executor) {
  sweep_.fire = [this] { sweep(); };
}

std::unique_ptr<http::ClientExchange> PodConnections::take(const QueueProxy& pod, bool may_break) {
  const auto found = pools_.find(&pod);
  // The address may be that of an earlier pod, whose object is gone.
  if (found == pools_.end() || found->second.pod.expired()) return nullptr;
  if (!pod.h2c()) return found->second.idle.take(may_break);
  auto& sessions = found->second.sessions;
  std::erase_if(sessions, [](const auto& session) { return session->ended(); });
  const auto free =
      std::ranges::find_if(sessions, [](auto& session) { return session->has_room(); });
  return free == sessions.end() ? nullptr : std::make_unique<http::H2ClientExchange>(*free);
}

std::unique_ptr<http::ClientExchange> PodConnections::open(const std::shared_ptr<QueueProxy>& pod,
                                                           net::Stream stream) {
  if (!pod->h2c()) return std::make_unique<http::ClientConnection>(std::move(stream));
  auto session = http::open_h2_client(executor_, std::move(stream));
  pool_of(pod).sessions.push_back(session);
  return std::make_unique<http::H2ClientExchange>(std::move(session));
}

void PodConnections::put(const std::shared_ptr<QueueProxy>& pod,
                         std::unique_ptr<http::ClientExchange> connection) {
  if (pod->h2c()) return;  // what is used again is its session
  // Of another kind there is none.
  std::unique_ptr<http::ClientConnection> idle(
      static_cast<http::ClientConnection*>(connection.release()));
  pool_of(pod).idle.put(std::move(idle), executor_.turn_time());
}

PodConnections::Pool& PodConnections::pool_of(const std::shared_ptr<QueueProxy>& pod) {
  Pool& pool = pools_[pod.get()];
  if (pool.pod.expired()) {
    pool.idle.clear();
    pool.sessions.clear();
    pool.pod = pod;
  }
  if (!sweep_.armed()) executor_.arm(sweep_, executor_.now() + kSweep);
  return pool;
}

size_t PodConnections::idle() const {
  size_t all = 0;
  for (const auto& [pod, pool] : pools_) all += pool.idle.idle();
  return all;
}

void PodConnections::close_idle() {
  close_unused_since(TimePoint::max());
  for (auto& [pod, pool] : pools_) {
    std::erase_if(pool.sessions, [](const auto& session) {
      if (!session->idle()) return false;
      session->drain();
      return true;
    });
  }
}

void PodConnections::close_unused_since(TimePoint before) {
  for (auto& [pod, pool] : pools_) pool.idle.sweep(before);
}

void PodConnections::sweep() {
  if (reserve_.reached()) {
    close_idle();
  } else {
    close_unused_since(executor_.turn_time() - kIdleTime);
  }
  std::erase_if(pools_, [](const auto& entry) {
    if (!entry.second.pod.expired()) return false;
    for (const auto& session : entry.second.sessions) session->drain();
    return true;
  });
  if (!pools_.empty()) executor_.arm(sweep_, executor_.now() + kSweep);
}

}  // namespace ebb::serving
