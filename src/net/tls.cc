#include "net/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <new>

#include "net/stream_impl.h"
#include "net/tls_impl.h"
#include "net/tls_pem.h"

namespace ebb::net {
namespace {

// Of TLS 1.2; those of 1.3 are all good.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

SSL_CTX* new_context(const SSL_METHOD* method) {
  SSL_CTX* context = SSL_CTX_new(method);
  if (context == nullptr) throw std::bad_alloc();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, kCiphers);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  return context;
}

using Context = std::unique_ptr<SSL_CTX, OpensslFree<SSL_CTX_free>>;

// What a server answers to what a client asks for. Belongs to its first context, which
// every session holds, also one that was given another.
struct Choices {
  std::vector<std::string> protocols;       // best first
  std::map<std::string, SSL_CTX*> by_name;  // "a.example.com", "*.example.com"
  std::vector<Context> others;              // all but the first

  [[nodiscard]] SSL_CTX* find(std::string name) const {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (name.ends_with('.')) name.pop_back();
    auto found = by_name.find(name);
    const size_t label = name.find('.');
    if (found == by_name.end() && label != std::string::npos) {
      found = by_name.find("*" + name.substr(label));
    }
    return found != by_name.end() ? found->second : nullptr;
  }
};

void free_choices(void* /*context*/, void* choices, CRYPTO_EX_DATA* /*data*/, int /*index*/,
                  long /*number*/, void* /*pointer*/) {
  delete static_cast<Choices*>(choices);
}

int choose_certificate(SSL* ssl, int* /*alert*/, void* choices) {
  // A ticket of TLS 1.2 holds the key of the connection itself: whoever got hold of ours
  // could read all that was recorded. With 1.3 every connection agrees on a key of its own.
  if (SSL_version(ssl) < TLS1_3_VERSION) SSL_set_options(ssl, SSL_OP_NO_TICKET);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_OK;
  SSL_CTX* found = static_cast<const Choices*>(choices)->find(name);
  if (found != nullptr && SSL_set_SSL_CTX(ssl, found) == nullptr) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  return SSL_TLSEXT_ERR_OK;
}

int choose_protocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned int size, void* choices) {
  for (const std::string& ours : static_cast<const Choices*>(choices)->protocols) {
    for (unsigned int at = 0; at < size; at += 1U + offered[at]) {
      const std::string_view name(reinterpret_cast<const char*>(offered + at + 1), offered[at]);
      if (name != ours) continue;
      *out = offered + at + 1;
      *out_size = offered[at];
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// One that presents nothing yet.
Context new_server_context(Choices* choices) {
  Context context(new_context(TLS_server_method()));
  // Resumption spares the signature. Tickets carry the session, under keys that this
  // process makes for each context: all threads share them, and a new set of certificates
  // ends them. See choose_certificate().
  SSL_CTX_clear_options(context.get(), SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context.get(), 1);
  SSL_CTX_set_tlsext_servername_callback(context.get(), choose_certificate);
  SSL_CTX_set_tlsext_servername_arg(context.get(), choices);
  SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, choices);
  return context;
}

}  // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

Result<TlsContext> TlsContext::server(const std::vector<TlsCertificate>& certificates,
                                      std::span<const std::string_view> protocols) {
  static const int kIndex = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_choices);
  if (certificates.empty()) return fail(Errc::kInvalid, "a server needs a certificate");
  auto* choices = new Choices{{protocols.begin(), protocols.end()}, {}, {}};
  TlsContext out(new_server_context(choices).release());
  if (SSL_CTX_set_ex_data(out.native(), kIndex, choices) != 1) {
    delete choices;
    throw std::bad_alloc();
  }
  for (const TlsCertificate& each : certificates) {
    const auto chain = parse_certificates(each.certificate_pem);
    if (!chain) return fail(Errc::kInvalid, "the certificate: {}", chain.error().message);
    const auto key = parse_key(each.key_pem);
    if (!key) return fail(Errc::kInvalid, "the certificate's key: {}", key.error().message);
    SSL_CTX* context = out.native();
    if (&each != &certificates.front()) {
      choices->others.push_back(new_server_context(choices));
      context = choices->others.back().get();
    }
    if (auto used = use_certificate(context, *chain, *key); !used) return fail(used.error());
    for (auto& name : dns_names_of(chain->front().get())) {
      choices->by_name.emplace(std::move(name), context);  // the first one has it
    }
  }
  return out;
}

Result<TlsContext> TlsContext::client(std::string_view ca_pem) {
  ERR_clear_error();
  TlsContext out(new_context(TLS_client_method()));
  SSL_CTX_set_verify(out.native(), SSL_VERIFY_PEER, nullptr);
  if (ca_pem.empty()) {
    SSL_CTX_set_default_verify_paths(out.native());
    return out;
  }
  auto authorities = parse_certificates(ca_pem);
  if (!authorities) {
    return fail(Errc::kInvalid, "the certificate authority's text: {}",
                authorities.error().message);
  }
  for (const auto& ca : *authorities) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(out.native()), ca.get());
  }
  return out;
}

// --- One stream's side ---

// Lets OpenSSL read from and write to the stream's socket.
struct TlsSession::Transport {
  net::Socket& socket;
  bool ended = false;  // the peer closed the connection

  static Transport& of(BIO* bio) { return *static_cast<Transport*>(BIO_get_data(bio)); }

  static int write(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    net::Socket& socket = of(bio).socket;
    std::array<std::string_view, 3> parts{std::string_view(data, static_cast<size_t>(size))};
    const bool done = socket.send(parts);
    if (done && socket.write.error == 0) return size;
    const int taken = size - static_cast<int>(parts[0].size());
    if (!done && taken > 0) return taken;
    if (!done) BIO_set_retry_write(bio);
    errno = done ? socket.write.error : EAGAIN;
    return -1;
  }

  static int read(BIO* bio, char* data, int size) {
    BIO_clear_retry_flags(bio);
    net::Socket& socket = of(bio).socket;
    const bool done = socket.receive({data, static_cast<size_t>(size)});
    if (done && socket.read.error == 0) {
      if (socket.read.transferred == 0) of(bio).ended = true;
      return static_cast<int>(socket.read.transferred);
    }
    if (!done) BIO_set_retry_read(bio);
    errno = done ? socket.read.error : EAGAIN;
    return -1;
  }

  static long control(BIO* bio, int what, long /*number*/, void* /*pointer*/) {
    if (what == BIO_CTRL_EOF) return of(bio).ended ? 1 : 0;
    return what == BIO_CTRL_FLUSH ? 1 : 0;
  }

  static const BIO_METHOD* method() {
    static const BIO_METHOD* const kMethod = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ebb socket");
      if (made == nullptr) throw std::bad_alloc();
      BIO_meth_set_write(made, write);
      BIO_meth_set_read(made, read);
      BIO_meth_set_ctrl(made, control);
      return made;
    }();
    return kMethod;
  }
};

void TlsSession::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TlsSession::TlsSession(const TlsContext& context, Socket& socket, Role role)
    : transport_(std::make_unique<Transport>(Transport{socket})), ssl_(SSL_new(context.native())) {
  BIO* bio = BIO_new(Transport::method());
  if (!ssl_ || bio == nullptr) {
    BIO_free(bio);
    throw std::bad_alloc();
  }
  BIO_set_data(bio, transport_.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  if (role == Role::kServer) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
  }
}

TlsSession::~TlsSession() = default;

bool TlsSession::expect(const std::string& host) {
  in6_addr scratch{};
  const bool numeric = ::inet_pton(AF_INET, host.c_str(), &scratch) == 1 ||
                       ::inet_pton(AF_INET6, host.c_str(), &scratch) == 1;
  if (numeric) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), host.c_str()) == 1;
  SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set_tlsext_host_name(ssl_.get(), host.c_str()) == 1 &&
         SSL_set1_host(ssl_.get(), host.c_str()) == 1;
}

// What the last call's result means; call right after it.
TlsSession::Step TlsSession::step_of(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_ZERO_RETURN:
      return Step::kDone;
    case SSL_ERROR_WANT_READ:
      return Step::kWaitToRead;
    case SSL_ERROR_WANT_WRITE:
      return Step::kWaitToWrite;
    default:
      broken_ = true;
      return Step::kFailed;
  }
}

TlsSession::Step TlsSession::handshake() {
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(ssl_.get());
  const int err = errno;
  const Step step = step_of(result);
  established_ = result == 1;
  if (step == Step::kFailed) {
    plain_http_ = ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_HTTP_REQUEST;
    const long verified = SSL_get_verify_result(ssl_.get());
    untrusted_ = !SSL_is_server(ssl_.get()) && verified != X509_V_OK;
    const char* text = strerrordesc_np(err);
    reason_ = untrusted_                      ? X509_verify_cert_error_string(verified)
              : ERR_peek_last_error() != 0    ? openssl_reason()
              : transport_->ended || err == 0 ? "the peer closed the connection"
                                              : (text != nullptr ? text : "unknown error");
  }
  return step;
}

Error TlsSession::failure() const {
  if (plain_http_) return {Errc::kInvalid, "the peer speaks plain HTTP, not TLS"};
  if (untrusted_) return {Errc::kPermission, "the server's certificate is not valid: " + reason_};
  return {Errc::kUnavailable, "the TLS handshake failed: " + reason_};
}

std::string_view TlsSession::protocol() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

bool TlsSession::receive(std::span<char> buffer, size_t& bytes, int& error) {
  ERR_clear_error();
  errno = 0;
  bytes = 0;
  const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &bytes);
  const int err = errno;
  receive_step_ = step_of(result);
  error = 0;
  if (receive_step_ == Step::kWaitToRead || receive_step_ == Step::kWaitToWrite) return false;
  if (receive_step_ == Step::kFailed) {
    bytes = 0;
    // An end without goodbye, or nonsense: either way the connection is broken.
    const bool system = err != 0 && ERR_peek_last_error() == 0 && !transport_->ended;
    error = system ? err : ECONNRESET;
  }
  return true;
}

bool TlsSession::send(std::array<std::string_view, 3>& parts, int& error) {
  error = 0;
  for (;;) {
    for (std::string_view& part : parts) {
      const size_t taken = std::min(part.size(), kRecord - unsent_.size());
      unsent_.append(part.substr(0, taken));
      part.remove_prefix(taken);
    }
    if (unsent_.empty()) return true;
    ERR_clear_error();
    errno = 0;
    size_t sent = 0;
    const int result = SSL_write_ex(ssl_.get(), unsent_.data(), unsent_.size(), &sent);
    const int err = errno;
    send_step_ = step_of(result);
    if (send_step_ == Step::kWaitToRead || send_step_ == Step::kWaitToWrite) return false;
    if (send_step_ == Step::kFailed || result != 1) {
      const bool system = err != 0 && ERR_peek_last_error() == 0;
      error = system ? err : EPIPE;
      return true;
    }
    unsent_.erase(0, sent);
  }
}

bool TlsSession::has_received() const { return SSL_has_pending(ssl_.get()) == 1; }

void TlsSession::say_goodbye() {
  if (!established_ || broken_ || std::exchange(said_goodbye_, true)) return;
  ERR_clear_error();
  static_cast<void>(SSL_shutdown(ssl_.get()));
  ERR_clear_error();
}

// --- Handshakes ---

namespace {

Task<Result<void>> secure(Stream& stream, std::unique_ptr<TlsSession> session, TimePoint deadline) {
  Stream::Impl& impl = Stream::Impl::of(stream);
  for (;;) {
    if (impl.closed) co_return fail(Errc::kCanceled, "the connection was closed");
    const TlsSession::Step step = session->handshake();
    if (step == TlsSession::Step::kFailed) co_return fail(session->failure());
    if (step == TlsSession::Step::kDone) break;
    const bool to_read = step == TlsSession::Step::kWaitToRead;
    Direction& direction = to_read ? impl.socket.read : impl.socket.write;
    SocketReady ready{impl.socket, direction, to_read ? EPOLLIN : EPOLLOUT, deadline};
    const int failed = co_await ready;
    if (failed != 0 && direction.timed_out) {
      co_return fail(Errc::kTimeout, "the TLS handshake did not end in time");
    }
  }
  impl.tls = std::move(session);
  co_return Result<void>();
}

}  // namespace

Task<Result<void>> accept_tls(Stream& stream, const TlsContext& context, TimePoint deadline) {
  return secure(stream,
                std::make_unique<TlsSession>(context, Stream::Impl::of(stream).socket,
                                             TlsSession::Role::kServer),
                deadline);
}

Task<Result<void>> connect_tls(Stream& stream, const TlsContext& context, std::string host,
                               TimePoint deadline) {
  auto session = std::make_unique<TlsSession>(context, Stream::Impl::of(stream).socket,
                                              TlsSession::Role::kClient);
  if (!session->expect(host)) {
    co_return fail(Errc::kInvalid, "\"{}\" cannot be in a certificate", host);
  }
  auto securing = secure(stream, std::move(session), deadline);
  co_return co_await securing;
}

}  // namespace ebb::net
