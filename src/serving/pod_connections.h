// One executor's idle keep-alive connections to pods.
//
// Belongs to that executor's thread, as the connections do: pods come and go on
// others. Connections to pods that have gone are dropped within kSweep.
//
//   auto connection = connections.take(pod, may_break);   // nullptr: connect
//   ...
//   connections.put(pod, std::move(connection));
#pragma once

#include <memory>
#include <unordered_map>

#include "http/client.h"
#include "net/executor.h"
#include "serving/queue_proxy.h"

namespace ebb::serving {

class PodConnections final {
 public:
  static constexpr size_t kIdlePerPod = 128;
  static constexpr Duration kSweep = std::chrono::seconds(2);
  // A connection in use this short a time ago is taken without a look at it.
  static constexpr Duration kTrusted = std::chrono::seconds(1);

  explicit PodConnections(net::Executor& executor);

  // `may_break`: the request can be sent again if the pod has just closed it.
  [[nodiscard]] std::unique_ptr<http::ClientConnection> take(const QueueProxy& pod, bool may_break);
  void put(const std::shared_ptr<QueueProxy>& pod,
           std::unique_ptr<http::ClientConnection> connection);
  void clear() { pools_.clear(); }
  [[nodiscard]] size_t pods() const { return pools_.size(); }

 private:
  struct Pool {
    std::weak_ptr<QueueProxy> pod;
    http::ConnectionPool idle{kIdlePerPod};
  };
  void sweep();

  net::Executor& executor_;
  std::unordered_map<const QueueProxy*, Pool> pools_;
  net::Timer sweep_;
};

}  // namespace ebb::serving
