#include "serving/metrics_page.h"

namespace ebb::serving {

net::Task<void> MetricsPage::serve(http::Exchange& exchange) {
  const std::string_view target = exchange.request().target;
  if (target.substr(0, target.find('?')) != "/metrics") {
    const auto told = co_await exchange.respond(404, "text/plain", "only /metrics is here\n");
    static_cast<void>(told);
    co_return;
  }
  const std::string text = metrics_.exposition();
  const auto sent = co_await exchange.respond(200, Exposition::kContentType, text);
  static_cast<void>(sent);
}

}  // namespace ebb::serving
