// One executor's connections to pods that can carry more: idle ones of HTTP/1.1, and those
// of HTTP/2 that have room.
//
// Belongs to that executor's thread, as the connections do: pods come and go on
// others. Connections to pods that have gone are dropped within kSweep.
// Idle ones that were closed, or not used for kIdleTime, are dropped within it too, and all
// of them where descriptors are short: clients that wait for one need it more.
//
//   auto connection = connections.take(pod, may_break);   // nullptr: connect
//   ...
//   connections.put(pod, std::move(connection));
#pragma once

#include <memory>
#include <unordered_map>

#include "http/client.h"
#include "http/h2_client.h"
#include "net/descriptor_reserve.h"
#include "net/executor.h"
#include "serving/queue_proxy.h"

namespace ebb::serving {

class PodConnections final {
 public:
  static constexpr size_t kIdlePerPod = 128;
  static constexpr Duration kSweep = std::chrono::seconds(2);
  static constexpr Duration kIdleTime = std::chrono::seconds(60);

  explicit PodConnections(net::Executor& executor);

  // `may_break`: the request can be sent again if the pod has just closed it.
  [[nodiscard]] std::unique_ptr<http::ClientExchange> take(const QueueProxy& pod, bool may_break);
  // On a new connection to the pod: of HTTP/1.1, or a stream of HTTP/2 on one that others
  // share from then on.
  [[nodiscard]] std::unique_ptr<http::ClientExchange> open(const std::shared_ptr<QueueProxy>& pod,
                                                           net::Stream stream);
  // Keeps it, if it can be used again.
  void put(const std::shared_ptr<QueueProxy>& pod,
           std::unique_ptr<http::ClientExchange> connection);
  // Closes the idle ones: descriptors are short.
  void close_idle();
  // Of HTTP/1.1 those that have been idle since before that (those of HTTP/2 know themselves).
  void close_unused_since(TimePoint before);
  void clear() { pools_.clear(); }
  [[nodiscard]] size_t pods() const { return pools_.size(); }
  [[nodiscard]] size_t idle() const;

 private:
  struct Pool {
    std::weak_ptr<QueueProxy> pod;
    http::ConnectionPool idle{kIdlePerPod};
    std::vector<std::shared_ptr<http::H2Session>> sessions;  // shared: with their requests
  };
  Pool& pool_of(const std::shared_ptr<QueueProxy>& pod);
  void sweep();

  net::Executor& executor_;
  net::DescriptorReserve reserve_;
  std::unordered_map<const QueueProxy*, Pool> pools_;
  net::Timer sweep_;
};

}  // namespace ebb::serving
