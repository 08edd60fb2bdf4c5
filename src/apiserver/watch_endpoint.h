// A watch over HTTP: one JSON line for each change, until the client has enough.
// Control executor only.
#pragma once

#include "apiserver/request.h"
#include "base/clock.h"
#include "http/server.h"
#include "net/task.h"
#include "resources/resource_client.h"

namespace ebb::apiserver {

class WatchEndpoint final {
 public:
  static constexpr int kMaxWatches = 512;  // at the same time; over it: 429
  static constexpr Duration kMaxTime = std::chrono::hours(1);
  static constexpr Duration kDefaultTime = std::chrono::minutes(30);
  // How long a quiet watch says nothing; finds clients that are gone.
  static constexpr Duration kHeartbeat = std::chrono::seconds(15);
  // How soon a watch notices end().
  static constexpr Duration kPatience = std::chrono::milliseconds(250);

  // `clock` must outlive it.
  explicit WatchEndpoint(const Clock& clock) : clock_(clock) {}

  // Answers `exchange` with the changes that `client` tells. `table`: as Tables.
  [[nodiscard]] net::Task<void> serve(http::Exchange& exchange, const ApiRequest& request,
                                      resources::ResourceClient& client, bool table);
  // Ends all watches, in order, within kPatience; later ones at once.
  void end() { ended_ = true; }
  [[nodiscard]] int active() const { return active_; }

 private:
  class Stream;
  const Clock& clock_;
  int active_ = 0;
  bool ended_ = false;
};

}  // namespace ebb::apiserver
