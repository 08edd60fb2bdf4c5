// The public door: takes a request by its host to a revision of a function, holds it
// while there is no pod, passes it on, and tells metrics and access log of it.
//
// One per executor; used on its thread only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/server.h"
#include "serving/access_log.h"
#include "serving/activator.h"
#include "serving/failure_log.h"
#include "serving/forwarder.h"
#include "serving/metrics.h"
#include "serving/pod_connections.h"
#include "serving/routing_table.h"

namespace ebb::serving {

struct GatewaySettings {
  uint64_t max_body = 100ull << 20;  // bytes of a request's body; over it: 413
  ServerTiming server_timing = ServerTiming::kCold;
  // Where plain requests from outside are sent to, to come again over TLS; unset: nowhere.
  std::optional<uint16_t> https_port = std::nullopt;
};

// What is spoken over TLS (ALPN), best first.
inline constexpr auto kProtocols = std::to_array<std::string_view>({"h2", "http/1.1"});

// How a gateway's HTTP server is set up. With `tls` it speaks only that.
[[nodiscard]] http::ServerOptions server_options(const GatewaySettings& settings,
                                                 GatewayCounters& counters,
                                                 const net::TlsContexts* tls = nullptr);

// All must outlive the gateway.
struct GatewayParts {
  const RoutingPublisher& routes;
  Waker& waker;
  const Clock& clock;
  GatewayCounters& counters;
  AccessLog* access_log = nullptr;  // null: none
};

class Gateway final : public http::Handler {
 public:
  Gateway(net::Executor& executor, GatewayParts parts, GatewaySettings settings);

  [[nodiscard]] net::Task<void> serve(http::Exchange& exchange) override;
  [[nodiscard]] std::string refused(const http::RefusedHead& request) override;
  // The same for calls that come from functions.
  [[nodiscard]] http::Handler& inside() { return inside_; }

 private:
  class Inside final : public http::Handler {
   public:
    explicit Inside(Gateway& gateway) : gateway_(gateway) {}
    [[nodiscard]] net::Task<void> serve(http::Exchange& exchange) override {
      return gateway_.answer(exchange, true);
    }
    [[nodiscard]] std::string refused(const http::RefusedHead& request) override {
      return gateway_.refused(request);
    }

   private:
    Gateway& gateway_;
  };

  [[nodiscard]] const RoutingTable& table();
  [[nodiscard]] bool redirects(const http::Exchange& exchange) const;
  [[nodiscard]] const Backend* choose(const http::RequestHead& head, const Route& route) const;
  [[nodiscard]] net::RecycledString request_id(const http::RequestHead& head);
  [[nodiscard]] net::Task<void> answer(http::Exchange& exchange, bool inside);
  [[nodiscard]] net::Task<void> route(http::Exchange& exchange, RequestRecord& record, bool inside);
  [[nodiscard]] static net::Task<void> answer_health(http::Exchange& exchange,
                                                     RequestRecord& record);
  [[nodiscard]] net::Task<void> redirect(http::Exchange& exchange, RequestRecord& record,
                                         const std::string& host);
  [[nodiscard]] net::Task<void> pass_on(http::Exchange& exchange, RequestRecord& record);
  [[nodiscard]] net::Task<void> answer_refusal(http::Exchange& exchange, RequestRecord& record,
                                               Refused refused);
  void report(const http::RequestHead& head, const net::Address& client, RequestRecord& record);

  net::Executor& executor_;
  Inside inside_{*this};
  const GatewayParts parts_;
  const GatewaySettings settings_;
  PodConnections connections_;
  ClientWatch watch_;
  FailureLog failures_;
  uint64_t version_ = 0;
  std::shared_ptr<const RoutingTable> table_;  // shared: see RoutingPublisher
  const std::string id_prefix_;
  uint64_t ids_ = 0;
  std::string fresh_id_;  // these two: room that is used again
  std::string host_;
};

}  // namespace ebb::serving
