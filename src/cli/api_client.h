// Calls the REST API over HTTP or HTTPS and waits for the answer.
//
// One thread, blocking; a private event loop turns inside each call. Every call ends
// by its deadline.
//
//   auto client = ApiClient::open(connection.server, connection.token, connection.ca);
//   auto service = (*client)->get("/apis/...", deadline);   // Error: the API's message
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "api/object.h"
#include "base/clock.h"
#include "base/result.h"
#include "http/client.h"
#include "net/address.h"
#include "net/executor.h"
#include "net/tls.h"

namespace ebb::cli {

struct Request {
  std::string_view method;
  std::string path;               // with the query
  std::string_view content_type;  // empty: no body
  std::string_view body;
};

struct Response {
  int status = 0;
  std::string body;
};

inline constexpr size_t kMaxResponse = 256 << 20;  // bytes of a whole answer
inline constexpr size_t kMaxWatchLine = 4 << 20;   // bytes of one watch event
inline constexpr Duration kCallTimeout = std::chrono::seconds(30);

class ApiClient final {
 public:
  // `url`: https://HOST:PORT or http://HOST:PORT with a numeric host or localhost. `ca`:
  // PEM certificates that an https server's must be signed by; if empty, those that the
  // machine trusts. kInvalid for others.
  [[nodiscard]] static Result<std::unique_ptr<ApiClient>> open(const std::string& url,
                                                               const std::string& token,
                                                               const std::string& ca);
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;
  ~ApiClient();

  // Any answer is a value; errors are those of the connection.
  [[nodiscard]] Result<Response> call(const Request& request, TimePoint deadline);

  // The same, where an answer other than 2xx is an Error with the message of the
  // API's Status object, and the code that fits the HTTP status.
  [[nodiscard]] Result<api::Json> call_json(const Request& request, TimePoint deadline);
  [[nodiscard]] Result<api::Json> get(std::string path, TimePoint deadline);
  [[nodiscard]] Result<api::Json> send(std::string_view method, std::string path,
                                       std::string_view content_type, const api::Json& body,
                                       TimePoint deadline);

  // Reads a stream of lines until `on_line` returns false, or the API ends it. kTimeout
  // at the deadline.
  [[nodiscard]] Result<void> watch(const std::string& path,
                                   const std::function<bool(std::string_view)>& on_line,
                                   TimePoint deadline);

  // Reads an answer of any length piece by piece until `on_piece` returns false. An
  // answer that is cut, or not 2xx, is an error.
  [[nodiscard]] Result<void> download(const std::string& path,
                                      const std::function<bool(std::string_view)>& on_piece,
                                      TimePoint deadline);

  [[nodiscard]] TimePoint now() const { return executor_.now(); }
  [[nodiscard]] const net::Address& address() const { return address_; }

 private:
  ApiClient(net::Address address, std::string authority, const std::string& token,
            std::optional<net::TlsContext> tls);

  struct Begun;  // a connection whose answer has begun

  template <class T>
  T run(net::Task<T> task);
  net::Task<Result<net::Stream>> connect(TimePoint deadline);
  net::Task<Result<Begun>> begin(const Request& request, TimePoint deadline);
  net::Task<Result<Response>> exchange(const Request& request, TimePoint deadline);
  net::Task<Result<void>> read_lines(const Request& request,
                                     const std::function<bool(std::string_view)>& on_line,
                                     TimePoint deadline);
  net::Task<Result<void>> read_pieces(const Request& request,
                                      const std::function<bool(std::string_view)>& on_piece,
                                      TimePoint deadline);
  [[nodiscard]] tl::unexpected<Error> broken(std::string_view why) const;

  net::Address address_;
  std::string authority_;
  std::optional<net::TlsContext> tls_;
  std::string authorization_;  // header value; empty: none
  net::Executor executor_;
};

}  // namespace ebb::cli
