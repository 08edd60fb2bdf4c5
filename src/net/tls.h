// TLS 1.2 and 1.3 over a Stream. A handshake turns a connected stream into an
// encrypted one; everything above it reads and writes as before. A plain stream pays
// one branch for it.
//
//   auto context = TlsContext::server(certificate_pem, key_pem);
//   auto secured = co_await accept_tls(stream, *context, deadline);
//   if (!secured) co_return;             // secured.error().message says why
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/stream.h"
#include "net/task.h"

struct ssl_ctx_st;

namespace ebb::net {

// Keys, certificates and what is allowed. Never changes: any thread may use it, and
// streams may outlive it.
class TlsContext final {
 public:
  // Presents the certificate; speaks HTTP/1.1 where the client asks (ALPN). kInvalid for
  // PEM texts that are none, or do not belong together.
  [[nodiscard]] static Result<TlsContext> server(std::string_view certificate_pem,
                                                 std::string_view key_pem);
  // Trusts the certificates in `ca_pem`; if it is empty, those that the machine trusts.
  [[nodiscard]] static Result<TlsContext> client(std::string_view ca_pem);

  [[nodiscard]] ssl_ctx_st* native() const { return context_.get(); }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  std::unique_ptr<ssl_ctx_st, Free> context_;
};

// The server's and the client's handshake. On success `stream` is encrypted from here
// on. kInvalid if the peer speaks plain HTTP (and may be answered so), kPermission if
// the server is not who `host` (a name or a numeric address) says, kTimeout at the
// deadline, kUnavailable for the rest. Nothing else may be pending on the stream,
// which must outlive the task.
[[nodiscard]] Task<Result<void>> accept_tls(Stream& stream, const TlsContext& context,
                                            TimePoint deadline);
[[nodiscard]] Task<Result<void>> connect_tls(Stream& stream, const TlsContext& context,
                                             std::string host, TimePoint deadline);

}  // namespace ebb::net
