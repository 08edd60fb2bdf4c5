// Calls a service through the gateway, as any client would, and hands its answer on
// piece by piece. Blocking, one thread.
//
//   GatewayClient gateway(address);
//   auto answer = gateway.call({.host = "hello.default.localhost"}, {}, deadline);
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/api_client.h"
#include "http/message.h"
#include "net/address.h"
#include "net/executor.h"

namespace ebb::cli {

struct GatewayRequest {
  std::string host;
  std::string method = "GET";
  std::string path = "/";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool has_body = false;
};

struct GatewayAnswer {
  int status = 0;
  Duration first_byte{};  // from the begin of the connection
};

// Each returns false to end the call.
struct GatewayReader {
  std::function<bool(const http::ResponseHead&)> on_head;
  std::function<bool(std::string_view)> on_body;
};

class GatewayClient final {
 public:
  explicit GatewayClient(net::Address address);

  // Any answer is a value; errors are those of the connection.
  [[nodiscard]] Result<GatewayAnswer> call(const GatewayRequest& request,
                                           const GatewayReader& reader, TimePoint deadline);
  [[nodiscard]] TimePoint now() const { return executor_.now(); }

 private:
  net::Task<Result<GatewayAnswer>> exchange(const GatewayRequest& request,
                                            const GatewayReader& reader, TimePoint deadline);
  net::Task<void> store(const GatewayRequest& request, const GatewayReader& reader,
                        TimePoint deadline, std::optional<Result<GatewayAnswer>>& out);
  [[nodiscard]] tl::unexpected<Error> broken(std::string_view why) const;

  net::Address address_;
  net::Executor executor_;
};

// Where the gateway is, seen from here: ADDR:PORT in `wish`, else what the API says; a
// gateway that listens everywhere is at the API's address.
[[nodiscard]] Result<net::Address> find_gateway(const std::string& wish, ApiClient& api);
// And where it speaks HTTPS; kNotFound if it does not.
[[nodiscard]] Result<net::Address> find_https(ApiClient& api);

// The host of "http://hello.default.localhost:8080/".
[[nodiscard]] std::string host_of_url(const std::string& url);

}  // namespace ebb::cli
