// The TLS side of one Stream, for net/*.cc only: OpenSSL over the stream's socket.
// Never waits; says what it would have to wait for.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/tls.h"

struct ssl_st;

namespace ebb::net {

class Socket;

class TlsSession final {
 public:
  static constexpr size_t kRecord = 16 * 1024;  // bytes of one TLS record

  enum class Role { kServer, kClient };
  enum class Step { kDone, kWaitToRead, kWaitToWrite, kFailed };

  // `socket` must stay open as long as this is used.
  TlsSession(const TlsContext& context, Socket& socket, Role role);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Of the server, before the handshake: only a certificate for it is accepted.
  [[nodiscard]] bool expect(const std::string& host);
  [[nodiscard]] Step handshake();
  // Why the handshake failed.
  [[nodiscard]] Error failure() const;
  // That both agreed on (ALPN); "" for none.
  [[nodiscard]] std::string_view protocol() const;

  // True when it ended: `bytes` is 0 at the end of the stream; or `error` is an errno. False:
  // wait for the socket and call again.
  [[nodiscard]] bool receive(std::span<char> buffer, size_t& bytes, int& error);
  [[nodiscard]] bool receive_waits_to_write() const { return receive_step_ == Step::kWaitToWrite; }
  // Takes bytes out of `parts`; true when none is left anywhere, or `error` is set.
  [[nodiscard]] bool send(std::array<std::string_view, 3>& parts, int& error);
  [[nodiscard]] bool send_waits_to_read() const { return send_step_ == Step::kWaitToRead; }
  // Something was received that nobody has taken yet.
  [[nodiscard]] bool has_received() const;
  // Tells the peer that nothing follows, if the kernel takes it now.
  void say_goodbye();

 private:
  struct Transport;  // what OpenSSL reads from and writes to
  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  [[nodiscard]] Step step_of(int result);

  std::unique_ptr<Transport> transport_;
  std::unique_ptr<ssl_st, Free> ssl_;
  Step receive_step_ = Step::kDone;
  Step send_step_ = Step::kDone;
  bool established_ = false;
  bool said_goodbye_ = false;
  bool broken_ = false;
  std::string unsent_;  // taken from the writer, not yet encrypted; at most kRecord
  std::string reason_;  // of a failure
  bool plain_http_ = false;
  bool untrusted_ = false;
};

}  // namespace ebb::net
