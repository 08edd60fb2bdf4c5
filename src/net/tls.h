// TLS 1.2 and 1.3 over a Stream. A handshake turns a connected stream into an
// encrypted one; everything above it reads and writes as before. A plain stream pays
// one branch for it.
//
//   auto context = TlsContext::server({{certificate_pem, key_pem}}, kProtocols);
//   auto accepting = accept_tls(stream, *context, deadline);
//   const auto secured = co_await accepting;
//   if (!secured) co_return;             // secured.error().message says why
//   if (stream.protocol() == "h2") ...
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/stream.h"
#include "net/task.h"
#include "net/tls_certificate.h"

struct ssl_ctx_st;

namespace ebb::net {

// Keys, certificates and what is allowed. Never changes: any thread may use it, and
// streams may outlive it.
class TlsContext final {
 public:
  // Presents the certificate for the name that the client asks for (SNI): one that has it,
  // else one with a wildcard in place of its first label, else the first. Of `protocols`
  // (ALPN), the first that the client offers is spoken; a client that offers only others is
  // refused, one that offers none is served. kInvalid for PEM texts that are none, or do not
  // belong together.
  [[nodiscard]] static Result<TlsContext> server(const std::vector<TlsCertificate>& certificates,
                                                 std::span<const std::string_view> protocols);
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

// The context of the handshakes to come, which may be replaced while others use it.
// Thread-safe.
class TlsContexts final {
 public:
  explicit TlsContexts(TlsContext first) { set(std::move(first)); }
  // Shared: a handshake may begin with one while it is being replaced.
  [[nodiscard]] std::shared_ptr<const TlsContext> current() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }
  void set(TlsContext next) {
    auto fresh = std::make_shared<const TlsContext>(std::move(next));
    const std::lock_guard lock(mutex_);
    current_.swap(fresh);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const TlsContext> current_;
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
