#include "serving/metrics.h"

#include <algorithm>

#include "serving/traffic.h"

namespace ebb::serving {
namespace {

// A revision's numbers of all executors together, and how it is now.
struct Sum {
  std::shared_ptr<const RevisionMetrics> metrics;
  Throttler::Counts now;
  bool called = false;
  std::array<uint64_t, 5> by_class{};
  std::array<uint64_t, Histogram<kDurationBounds>::kBuckets> duration{};
  std::array<uint64_t, Histogram<kStartBounds>::kBuckets> wait{};
  double duration_sum = 0;
  double wait_sum = 0;
  std::array<uint64_t, kRefusalNames.size()> refused{};
  std::array<uint64_t, kCutNames.size()> cut{};
  uint64_t retries = 0;
  uint64_t retries_denied = 0;
  uint64_t cold_starts = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;

  void add(const RevisionCounters& c) {
    called = true;
    for (size_t i = 0; i < by_class.size(); ++i) by_class[i] += c.by_class[i].value();
    duration_sum += c.duration.add_to(duration);
    wait_sum += c.wait.add_to(wait);
    for (size_t i = 0; i < refused.size(); ++i) refused[i] += c.refused[i].value();
    for (size_t i = 0; i < cut.size(); ++i) cut[i] += c.cut[i].value();
    retries += c.retries.value();
    retries_denied += c.retries_denied.value();
    cold_starts += c.cold_starts.value();
    bytes_in += c.bytes_in.value();
    bytes_out += c.bytes_out.value();
  }
  [[nodiscard]] std::array<Label, 3> labels() const {
    const RevisionLabels& l = metrics->labels();
    return {{{"namespace", l.ns}, {"service", l.service}, {"revision", l.revision}}};
  }
};

// One number of every revision that was ever called.
void write(Exposition& out, const std::vector<Sum>& sums, std::string_view name,
           std::string_view type, std::string_view help, double (*value)(const Sum&)) {
  out.family(name, type, help);
  for (const Sum& sum : sums) {
    if (sum.called) out.sample(name, sum.labels(), value(sum));
  }
}

// A counter for each of some kinds, those that there were.
template <size_t N>
void write_kinds(Exposition& out, const std::vector<Sum>& sums, std::string_view name,
                 std::string_view help, std::string_view label,
                 const std::array<std::string_view, N>& kinds,
                 std::array<uint64_t, N> Sum::* counts) {
  out.family(name, "counter", help);
  for (const Sum& sum : sums) {
    for (size_t i = 0; i < N; ++i) {
      const uint64_t count = (sum.*counts)[i];
      if (count == 0) continue;
      const auto l = sum.labels();
      out.sample(name, {l[0], l[1], l[2], {label, kinds[i]}}, static_cast<double>(count));
    }
  }
}

}  // namespace

RevisionMetrics::~RevisionMetrics() {
  for (auto& each : counters_) delete each.load(std::memory_order_relaxed);
}

RevisionCounters& RevisionMetrics::on(size_t executor) {
  auto& place = counters_[executor % counters_.size()];
  if (auto* found = place.load(std::memory_order_relaxed)) return *found;
  auto fresh = std::make_unique<RevisionCounters>();
  place.store(fresh.get(), std::memory_order_release);
  return *fresh.release();
}

std::vector<const RevisionCounters*> RevisionMetrics::all() const {
  std::vector<const RevisionCounters*> out;
  out.reserve(counters_.size());
  for (const auto& each : counters_) out.push_back(each.load(std::memory_order_acquire));
  return out;
}

void GatewayCounters::count(const RequestRecord& record) {
  const bool routed = record.backend != nullptr && record.backend->metrics;
  if (!routed) {
    if (record.refused) unrouted[index_of(*record.refused)].add();
    return;
  }
  RevisionCounters& counters = record.backend->metrics->on(index);
  const int status_class = std::clamp(record.status / 100, 1, 5);
  counters.by_class[static_cast<size_t>(status_class - 1)].add();
  if (!record.upgraded) counters.duration.observe(record.ended_at - record.received_at);
  if (record.waited > Duration::zero()) counters.wait.observe(record.waited);
  if (record.refused) counters.refused[index_of(*record.refused)].add();
  if (record.cut) counters.cut[index_of(*record.cut)].add();
  if (record.retries() > 0) counters.retries.add(static_cast<uint64_t>(record.retries()));
  if (record.retry_denied) counters.retries_denied.add();
  counters.bytes_in.add(record.bytes_in);
  counters.bytes_out.add(record.bytes_out);
  if (!record.cold || record.first_byte_at == TimePoint{}) return;
  counters.cold_starts.add();
  const ColdStart start = cold_start_of(record);
  cold_start.observe(record.first_byte_at - record.received_at);
  const size_t known = start.split ? kPhases : static_cast<size_t>(Phase::kPod);
  for (size_t i = 0; i < known; ++i) phases[i].observe(start.phases[i]);
}

Metrics::Metrics(const Traffic& traffic, size_t executors) : traffic_(traffic) {
  for (size_t i = 0; i < executors; ++i) gateways_.push_back(std::make_unique<GatewayCounters>(i));
}

void Metrics::add_collector(std::function<void(Exposition&)> collect) {
  const std::lock_guard lock(mutex_);
  collectors_.push_back(std::move(collect));
}

std::string Metrics::exposition() const {
  Exposition out;
  write_requests(out);
  write_gateways(out);
  const std::lock_guard lock(mutex_);
  for (const auto& collect : collectors_) collect(out);
  return out.take();
}

void Metrics::write_requests(Exposition& out) const {
  std::vector<Sum> sums;
  for (const auto& [throttler, metrics] : traffic_.all()) {
    Sum sum{.metrics = metrics, .now = throttler->counts()};
    for (const auto* counters : metrics->all()) {
      if (counters != nullptr) sum.add(*counters);
    }
    sum.called = sum.called || sum.now.waiting > 0 || sum.now.in_flight > 0;
    sums.push_back(std::move(sum));
  }

  static constexpr auto kClasses =
      std::to_array<std::string_view>({"1xx", "2xx", "3xx", "4xx", "5xx"});
  write_kinds(out, sums, "ebb_requests_total",
              "Requests answered, by the class of the status; 499: the client left.", "code",
              kClasses, &Sum::by_class);
  out.family("ebb_request_duration_seconds", "histogram",
             "From the first byte of a request to the last of its answer.");
  for (const Sum& sum : sums) {
    if (!sum.called) continue;
    out.histogram("ebb_request_duration_seconds", sum.labels(), kDurationBounds, sum.duration,
                  sum.duration_sum);
  }
  out.family("ebb_request_wait_seconds", "histogram",
             "How long requests waited for a slot, those that had to.");
  for (const Sum& sum : sums) {
    if (sum.wait_sum <= 0) continue;
    out.histogram("ebb_request_wait_seconds", sum.labels(), kStartBounds, sum.wait, sum.wait_sum);
  }
  write_kinds(out, sums, "ebb_requests_refused_total",
              "Requests that the gateway answered in the function's place, by reason.", "reason",
              kRefusalNames, &Sum::refused);
  write_kinds(out, sums, "ebb_answers_cut_total",
              "Answers that were begun and not finished, and upgraded connections that did not "
              "come to their own end, by reason.",
              "reason", kCutNames, &Sum::cut);
  write(out, sums, "ebb_request_retries_total", "counter", "Requests sent to a pod once more.",
        [](const Sum& s) { return static_cast<double>(s.retries); });
  write(out, sums, "ebb_request_retries_denied_total", "counter",
        "Requests that were not sent once more, since too many of their revision had been.",
        [](const Sum& s) { return static_cast<double>(s.retries_denied); });
  write(out, sums, "ebb_cold_starts_total", "counter",
        "Answered requests that had waited for a pod's start.",
        [](const Sum& s) { return static_cast<double>(s.cold_starts); });
  write(out, sums, "ebb_pods_hung_total", "counter", "Pods replaced since they stopped answering.",
        [](const Sum& s) { return static_cast<double>(s.now.hung); });
  write(out, sums, "ebb_pods_frozen", "gauge", "Pods told to stand still, without requests.",
        [](const Sum& s) { return static_cast<double>(s.now.frozen); });
  write(out, sums, "ebb_request_body_bytes_total", "counter", "Bytes of request bodies.",
        [](const Sum& s) { return static_cast<double>(s.bytes_in); });
  write(out, sums, "ebb_response_body_bytes_total", "counter", "Bytes of response bodies.",
        [](const Sum& s) { return static_cast<double>(s.bytes_out); });
  write(out, sums, "ebb_requests_in_flight", "gauge", "Requests inside pods.",
        [](const Sum& s) { return static_cast<double>(s.now.in_flight); });
  write(out, sums, "ebb_requests_waiting", "gauge", "Requests that wait for a slot.",
        [](const Sum& s) { return static_cast<double>(s.now.waiting); });
  write(out, sums, "ebb_requests_waiting_bytes", "gauge", "Memory that waiting requests hold.",
        [](const Sum& s) { return static_cast<double>(s.now.waiting_bytes); });
}

void Metrics::write_gateways(Exposition& out) const {
  using Buckets = std::array<uint64_t, Histogram<kStartBounds>::kBuckets>;
  out.family("ebb_cold_start_seconds", "histogram",
             "From the first byte of a request that waited for a pod's start to the first byte of "
             "its answer.");
  Buckets whole{};
  double whole_sum = 0;
  for (const auto& gateway : gateways_) whole_sum += gateway->cold_start.add_to(whole);
  out.histogram("ebb_cold_start_seconds", {}, kStartBounds, whole, whole_sum);
  out.family("ebb_cold_start_phase_seconds", "histogram", "The phases of cold starts.");
  for (size_t i = 0; i < kPhases; ++i) {
    Buckets buckets{};
    double sum = 0;
    for (const auto& gateway : gateways_) sum += gateway->phases[i].add_to(buckets);
    const Label label{"phase", kPhaseNames[i]};
    out.histogram("ebb_cold_start_phase_seconds", {&label, 1}, kStartBounds, buckets, sum);
  }
  out.family("ebb_requests_unrouted_total", "counter",
             "Requests for which there was no revision, by reason.");
  for (size_t i = 0; i < kRefusalNames.size(); ++i) {
    uint64_t sum = 0;
    for (const auto& gateway : gateways_) sum += gateway->unrouted[i].value();
    if (sum == 0) continue;
    out.sample("ebb_requests_unrouted_total", {{"reason", kRefusalNames[i]}},
               static_cast<double>(sum));
  }
  uint64_t upgraded = 0;
  uint64_t connections = 0;
  uint64_t tls_failures = 0;
  for (const auto& gateway : gateways_) {
    upgraded += gateway->upgraded.value();
    connections += gateway->connections.load(std::memory_order_relaxed);
    tls_failures += gateway->tls_failures.load(std::memory_order_relaxed);
  }
  out.family("ebb_upgraded_connections", "gauge",
             "Upgraded connections (WebSocket) that are open.");
  out.sample("ebb_upgraded_connections", {}, static_cast<double>(upgraded));
  out.family("ebb_gateway_connections", "gauge", "Client connections that are open.");
  out.sample("ebb_gateway_connections", {}, static_cast<double>(connections));
  out.family("ebb_gateway_tls_failures_total", "counter", "TLS handshakes that came to nothing.");
  out.sample("ebb_gateway_tls_failures_total", {}, static_cast<double>(tls_failures));
}

}  // namespace ebb::serving
