#include "net/tls_certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <new>

#include "base/file.h"
#include "net/tls_pem.h"

namespace ebb::net {
namespace {

// OpenSSL would ask at the terminal.
int refuse_to_ask(char* /*out*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Result<std::string> read_pem(const std::string& file) {
  auto text = read_regular_file(file, kMaxPem);
  if (text) return text;
  return fail(text.error().code, "{}: name a PEM file that can be read", text.error().message);
}

std::string text_of(const ASN1_TIME* time) {
  const Bio bio(BIO_new(BIO_s_mem()));
  char* data = nullptr;
  if (!bio || ASN1_TIME_print(bio.get(), time) != 1) return "?";
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(std::max(size, 0L))};
}

}  // namespace

std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* text = code != 0 ? ERR_reason_error_string(code) : nullptr;
  return text != nullptr ? text : "unknown error";
}

Bio view_of(std::string_view text) {
  Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (!bio) throw std::bad_alloc();
  return bio;
}

Result<std::vector<Certificate>> parse_certificates(std::string_view pem) {
  ERR_clear_error();
  std::vector<Certificate> out;
  const Bio bio = view_of(pem);
  while (Certificate next{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    out.push_back(std::move(next));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!at_end) {
    return fail(Errc::kInvalid, "certificate {} in it is broken: {}", out.size() + 1,
                openssl_reason());
  }
  ERR_clear_error();
  if (out.empty()) {
    return fail(Errc::kInvalid,
                "no certificate in it: PEM is wanted, with a line BEGIN CERTIFICATE");
  }
  return out;
}

Result<PrivateKey> parse_key(std::string_view pem) {
  ERR_clear_error();
  bool asked = false;
  PrivateKey key(PEM_read_bio_PrivateKey(view_of(pem).get(), nullptr, refuse_to_ask, &asked));
  if (key) return key;
  const std::string reason = openssl_reason();
  ERR_clear_error();
  if (asked) {
    return fail(Errc::kInvalid,
                "the key has a pass phrase, which nobody is there to type: take it away with "
                "openssl pkey");
  }
  if (pem.find("PRIVATE KEY-----") == std::string_view::npos) {
    return fail(Errc::kInvalid, "no key in it: PEM is wanted, with a line BEGIN PRIVATE KEY");
  }
  return fail(Errc::kInvalid, "the key in it is broken: {}", reason);
}

std::vector<std::string> dns_names_of(X509* certificate) {
  using Names = std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>>;
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> out;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    std::string text(data, static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    out.push_back(std::move(text));
  }
  return out;
}

Result<void> use_certificate(SSL_CTX* context, const std::vector<Certificate>& chain,
                             const PrivateKey& key) {
  ERR_clear_error();
  if (X509_check_private_key(chain.front().get(), key.get()) != 1) {
    ERR_clear_error();
    return fail(Errc::kInvalid,
                "the key does not belong to the certificate: name two that were issued together, "
                "and in a chain put the server's own certificate first");
  }
  bool used = SSL_CTX_use_certificate(context, chain.front().get()) == 1 &&
              SSL_CTX_use_PrivateKey(context, key.get()) == 1;
  for (size_t i = 1; used && i < chain.size(); ++i) {
    used = SSL_CTX_add1_chain_cert(context, chain[i].get()) == 1;
  }
  if (used) return {};
  const std::string reason = openssl_reason();
  ERR_clear_error();
  return fail(Errc::kInvalid, "the certificate cannot be used: {}", reason);
}

Result<TlsCertificate> read_tls_certificate(const std::string& certificate_file,
                                            const std::string& key_file) {
  auto certificate = read_pem(certificate_file);
  if (!certificate) return fail(certificate.error());
  auto key = read_pem(key_file);
  if (!key) return fail(key.error());
  const auto chain = parse_certificates(*certificate);
  if (!chain) return fail(Errc::kInvalid, "{}: {}", certificate_file, chain.error().message);
  const auto parsed_key = parse_key(*key);
  if (!parsed_key) return fail(Errc::kInvalid, "{}: {}", key_file, parsed_key.error().message);
  using Context = std::unique_ptr<SSL_CTX, OpensslFree<SSL_CTX_free>>;
  const Context trial(SSL_CTX_new(TLS_server_method()));
  if (!trial) throw std::bad_alloc();
  if (auto used = use_certificate(trial.get(), *chain, *parsed_key); !used) {
    return fail(Errc::kInvalid, "{} with {}: {}", certificate_file, key_file, used.error().message);
  }
  return TlsCertificate{.certificate_pem = std::move(*certificate), .key_pem = std::move(*key)};
}

std::string lifetime_problem(const TlsCertificate& certificate, WallTime now) {
  const auto chain = parse_certificates(certificate.certificate_pem);
  if (!chain) return {};
  std::time_t time = std::chrono::system_clock::to_time_t(now);
  const X509* own = chain->front().get();
  const ASN1_TIME* from = X509_get0_notBefore(own);
  const ASN1_TIME* until = X509_get0_notAfter(own);
  if (X509_cmp_time(until, &time) < 0) return fmt::format("has expired ({})", text_of(until));
  if (X509_cmp_time(from, &time) > 0) {
    return fmt::format("is not valid before {}", text_of(from));
  }
  return {};
}

}  // namespace ebb::net
