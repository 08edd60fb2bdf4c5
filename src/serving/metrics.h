// What the request path counts, for Prometheus.
//
// Every executor counts for itself, without locks and without shared cache lines: its
// counters have one writer, and a scrape reads them as they are. A revision's counters
// are made with its first request on an executor and go when the revision goes.
//
//   Metrics metrics(traffic, executors);
//   Gateway gateway(executor, {.counters = metrics.gateway(0), ...}, settings);
//   metrics.add_collector([&](Exposition& out) { ... });   // what other layers know
//   std::string text = metrics.exposition();               // any thread
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "serving/exposition.h"
#include "serving/request_record.h"

namespace ebb::serving {

class Traffic;

// A number with one writer, which any thread may read.
class Counter final {
 public:
  void add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void subtract(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  [[nodiscard]] uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Knative's bounds for request latencies, in seconds.
inline constexpr auto kDurationBounds = std::to_array<double>(
    {0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4,
     0.45,  0.5,  0.6,  0.7,  0.8,  0.9,  1,   2,    5,   10,   20,  50,   100});
// A cold start here takes from parts of a millisecond to seconds.
inline constexpr auto kStartBounds =
    std::to_array<double>({0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                           0.25, 0.5, 1, 2.5, 5, 10, 30, 60});

// A histogram with one writer.
template <const auto& kBounds>
class Histogram final {
 public:
  static constexpr size_t kBuckets = kBounds.size() + 1;
  void observe(Duration took) {
    const double seconds = std::chrono::duration<double>(took).count();
    size_t i = 0;
    while (i < kBounds.size() && seconds > kBounds[i]) ++i;
    buckets_[i].add();
    nanoseconds_.add(static_cast<uint64_t>(std::max<int64_t>(0, took.count())));
  }
  // Adds this one's counts to `buckets`; returns its sum in seconds.
  double add_to(std::array<uint64_t, kBuckets>& buckets) const {
    for (size_t i = 0; i < kBuckets; ++i) buckets[i] += buckets_[i].value();
    return static_cast<double>(nanoseconds_.value()) * 1e-9;
  }

 private:
  std::array<Counter, kBuckets> buckets_;
  Counter nanoseconds_;
};

// One revision's numbers on one executor.
struct RevisionCounters {
  std::array<Counter, 5> by_class;  // 1xx .. 5xx
  Histogram<kDurationBounds> duration;
  Histogram<kStartBounds> wait;
  std::array<Counter, kRefusalNames.size()> refused;
  std::array<Counter, kCutNames.size()> cut;
  Counter retries;
  Counter retries_denied;
  Counter cold_starts;
  Counter bytes_in;
  Counter bytes_out;
};

struct RevisionLabels {
  std::string ns;
  std::string service;
  std::string revision;
};

class RevisionMetrics final {
 public:
  RevisionMetrics(RevisionLabels labels, size_t executors)
      : labels_(std::move(labels)), counters_(executors) {}
  ~RevisionMetrics();
  RevisionMetrics(const RevisionMetrics&) = delete;
  RevisionMetrics& operator=(const RevisionMetrics&) = delete;

  [[nodiscard]] const RevisionLabels& labels() const { return labels_; }
  // For that executor's thread only.
  [[nodiscard]] RevisionCounters& on(size_t executor);
  // Null where it has had no request yet.
  [[nodiscard]] std::vector<const RevisionCounters*> all() const;

 private:
  const RevisionLabels labels_;
  std::vector<std::atomic<RevisionCounters*>> counters_;
};

// One executor's numbers that belong to no revision.
struct alignas(64) GatewayCounters {
  explicit GatewayCounters(size_t i) : index(i) {}

  // Counts a request that has ended.
  void count(const RequestRecord& record);

  const size_t index;  // of the executor
  std::array<Counter, kRefusalNames.size()> unrouted;
  std::array<Histogram<kStartBounds>, kPhases> phases;
  Histogram<kStartBounds> cold_start;  // from the first byte in to the first byte out
  Counter upgraded;                    // open now
  std::atomic<uint64_t> connections{0};
  std::atomic<uint64_t> tls_failures{0};  // handshakes that came to nothing
};

class Metrics final {
 public:
  Metrics(const Traffic& traffic, size_t executors);

  [[nodiscard]] GatewayCounters& gateway(size_t executor) { return *gateways_[executor]; }
  // `collect` writes whole families; it may be called on any thread.
  void add_collector(std::function<void(Exposition&)> collect);
  [[nodiscard]] std::string exposition() const;

 private:
  void write_requests(Exposition& out) const;
  void write_gateways(Exposition& out) const;

  const Traffic& traffic_;
  std::vector<std::unique_ptr<GatewayCounters>> gateways_;
  mutable std::mutex mutex_;
  std::vector<std::function<void(Exposition&)>> collectors_;
};

}  // namespace ebb::serving
