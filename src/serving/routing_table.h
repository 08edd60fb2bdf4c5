// Which revision answers for a host: an immutable snapshot that every gateway reads
// and the route publisher replaces.
//
// A table shares all that did not change with the one it was made from, so a change of
// one route among 10,000 copies about fifty pointers.
//
//   publisher.apply({{"hello.default.localhost", std::make_shared<const Route>(...)}});
//   const auto route = publisher.table()->find("hello.default.localhost");
//   const Backend* tagged = route->tagged("next");   // nullptr: no such tag
//   const Backend& backend = route->choose();
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serving/throttler.h"

namespace ebb::serving {

class RevisionMetrics;

// How requests to one revision are treated.
struct Backend {
  std::shared_ptr<Throttler> throttler;                 // shared: with requests in flight
  std::string name;                                     // of the revision
  Duration timeout = std::chrono::seconds(300);         // the whole request
  Duration response_start = std::chrono::seconds(300);  // until the first byte
  Duration idle{};                                      // longest silence of the pod; 0: none
  std::shared_ptr<RevisionMetrics> metrics;  // shared: with requests in flight; may be null
};

struct Target {
  int percent = 100;
  Backend backend;
};

// Deals the numbers 0..99 so that after any few draws each range of them has had its
// share: a Weyl sequence with the golden ratio, which no alternation of clients can be
// in step with. After n draws a share is off by about log(n)/n. Thread-safe.
class Splitter final {
 public:
  explicit Splitter(uint64_t start = 0) : drawn_(start) {}
  [[nodiscard]] int draw() {
    constexpr uint64_t kGoldenRatio = 0x9E3779B97F4A7C15;  // of 2^64
    const uint64_t at = drawn_.fetch_add(1, std::memory_order_relaxed) * kGoldenRatio;
    return static_cast<int>(((at >> 32) * 100) >> 32);
  }

 private:
  std::atomic<uint64_t> drawn_;
};

struct Route {
  std::string ns;
  std::string name;
  std::vector<Target> targets;  // percents sum to 100; empty: not ready
  std::string not_ready;        // why, if there is no target
  bool only_inside = false;     // for functions' calls only
  // By tag, for requests that name one in a header; sorted by tag.
  std::vector<std::pair<std::string, Backend>> tags;
  // Shared: a route that replaces this one goes on dealing where it stopped.
  std::shared_ptr<Splitter> splitter = std::make_shared<Splitter>();

  // The tagged revision, or nullptr if there is no such tag.
  [[nodiscard]] const Backend* tagged(std::string_view tag) const;
  // The revision whose turn it is; there must be a target.
  [[nodiscard]] const Backend& choose() const;
};

class RoutingTable final {
 public:
  using RoutePtr = std::shared_ptr<const Route>;  // shared: between tables
  // A host (lower case, without port) and its route; nullptr: none any more.
  using Change = std::pair<std::string, RoutePtr>;

  // nullptr if there is no such host.
  [[nodiscard]] RoutePtr find(std::string_view host) const;
  [[nodiscard]] std::shared_ptr<const RoutingTable> with(const std::vector<Change>& changes) const;

 private:
  static constexpr size_t kShards = 256;
  struct Entry {
    std::string host;
    RoutePtr route;
  };
  using Shard = std::vector<std::shared_ptr<const Entry>>;  // sorted by host
  [[nodiscard]] static size_t shard_of(std::string_view host);
  static void change(Shard& shard, const Change& change);

  std::array<std::shared_ptr<const Shard>, kShards> shards_;  // nullptr: empty
};

// Where the current table is. Thread-safe.
class RoutingPublisher final {
 public:
  void apply(const std::vector<RoutingTable::Change>& changes);
  // Grows with every apply(); a cheap look whether a reader's copy is old.
  [[nodiscard]] uint64_t version() const { return version_.load(std::memory_order_acquire); }
  [[nodiscard]] std::shared_ptr<const RoutingTable> table() const;

 private:
  mutable std::mutex mutex_;
  // Shared: each gateway keeps the table it looked a request up in.
  std::shared_ptr<const RoutingTable> table_ = std::make_shared<RoutingTable>();
  std::atomic<uint64_t> version_{1};
};

}  // namespace ebb::serving
