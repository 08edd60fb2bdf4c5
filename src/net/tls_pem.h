// What PEM texts hold, as OpenSSL's objects; for net/*.cc only.
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/tls_certificate.h"

namespace ebb::net {

template <auto kFree>
struct OpensslFree {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Certificate = std::unique_ptr<X509, OpensslFree<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, OpensslFree<BIO_free>>;

// The reason of this thread's last error, or "unknown error".
[[nodiscard]] std::string openssl_reason();
// Reads `text`, which must outlive it.
[[nodiscard]] Bio view_of(std::string_view text);

// All certificates in `pem`, at least one. Messages say what is wrong with the text.
[[nodiscard]] Result<std::vector<Certificate>> parse_certificates(std::string_view pem);
// The first key in `pem`; one with a pass phrase is refused.
[[nodiscard]] Result<PrivateKey> parse_key(std::string_view pem);

// The DNS names that a certificate is for (subjectAltName), in lower case.
[[nodiscard]] std::vector<std::string> dns_names_of(X509* certificate);

// Lets `context` present `chain`, whose first one `key` belongs to.
[[nodiscard]] Result<void> use_certificate(SSL_CTX* context, const std::vector<Certificate>& chain,
                                           const PrivateKey& key);

}  // namespace ebb::net
