// GET /metrics for Prometheus on a listener of its own, without a token.
#pragma once

#include "http/server.h"
#include "serving/metrics.h"

namespace ebb::serving {

class MetricsPage final : public http::Handler {
 public:
  explicit MetricsPage(const Metrics& metrics) : metrics_(metrics) {}

  [[nodiscard]] net::Task<void> serve(http::Exchange& exchange) override;

 private:
  const Metrics& metrics_;
};

}  // namespace ebb::serving
