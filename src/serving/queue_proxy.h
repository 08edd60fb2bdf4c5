// Every pod's door: its address, how many requests are inside, and how its start went.
//
// The counts belong to the Throttler of the pod's revision and are guarded by its
// mutex; what the constructor sets and what is atomic may be read on any thread.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/one_shot.h"
#include "scheduling/scale_target.h"

namespace ebb::serving {

class Throttler;

class QueueProxy final {
 public:
  // `h2c`: its function speaks HTTP/2.
  QueueProxy(std::string pod, net::Address address, bool h2c = false)
      : pod_(std::move(pod)), address_(std::move(address)), h2c_(h2c) {}

  // How its code was loaded; `at` is when that was known here.
  struct Load {
    TimePoint at;
    Duration took;
  };

  [[nodiscard]] const std::string& pod() const { return pod_; }
  [[nodiscard]] const net::Address& address() const { return address_; }
  [[nodiscard]] bool h2c() const { return h2c_; }
  // nullopt while it loads, and for pods that were found loaded.
  [[nodiscard]] std::optional<Load> load() const {
    const TimePoint at = loaded_at_.load(std::memory_order_acquire);
    if (at == TimePoint{}) return std::nullopt;
    return Load{at, load_took_.load(std::memory_order_relaxed)};
  }
  // It has begun an answer: its code is loaded, though the Local Controller's word for
  // it may still be on the way.
  void answered() {
    if (starting()) starting_.store(false, std::memory_order_relaxed);
    if (silences_.load(std::memory_order_relaxed) != 0) {
      silences_.store(0, std::memory_order_relaxed);
    }
  }
  // True while its code loads.
  [[nodiscard]] bool starting() const { return starting_.load(std::memory_order_acquire); }
  // It takes no new requests and ends with its last one.
  [[nodiscard]] bool draining() const { return draining_.load(std::memory_order_relaxed); }

 private:
  friend class Throttler;
  using ExitShot = net::OneShot<scheduling::PodExit>;

  std::string pod_;
  net::Address address_;
  bool h2c_;
  std::atomic<TimePoint> loaded_at_{};
  std::atomic<Duration> load_took_{};
  std::atomic<bool> starting_ = false;
  std::atomic<bool> draining_ = false;  // written under the throttler's mutex
  // Requests in a row that ran out of time without a first byte; see Throttler::pod_silent.
  std::atomic<int> silences_ = 0;
  // Guarded by the throttler's mutex:
  int in_flight_ = 0;
  int elsewhere_ = 0;  // of those: that another front has sent
  bool ready_ = false;
  bool frozen_ = false;
  uint64_t freeze_turn_ = 0;  // see PodSource::set_frozen
  TimePoint idle_since_{};    // while nothing is in flight
  std::optional<scheduling::PodExit> exit_;
  std::vector<ExitShot::Sender> exit_waiters_;
};

}  // namespace ebb::serving
