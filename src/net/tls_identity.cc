#include "net/tls_identity.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>

#include "base/file.h"
#include "base/log.h"
#include "net/tls_pem.h"

namespace ebb::net {
namespace {

constexpr size_t kMaxNames = 64;  // in a certificate
// The clock may have been ahead when it was made, and have been put right since.
constexpr auto kBackdated = std::chrono::days(365);

using Number = std::unique_ptr<BIGNUM, OpensslFree<BN_free>>;

struct Pair {
  Certificate certificate;
  PrivateKey key;
};

tl::unexpected<Error> openssl_failure(const char* what) {
  const char* text = ERR_reason_error_string(ERR_peek_last_error());
  return fail(Errc::kInternal, "cannot {}: {}", what, text != nullptr ? text : "OpenSSL failed");
}

std::string to_pem(const Pair& pair, bool key) {
  const Bio bio(BIO_new(BIO_s_mem()));
  const int ok = key ? PEM_write_bio_PrivateKey(bio.get(), pair.key.get(), nullptr, nullptr, 0,
                                                nullptr, nullptr)
                     : PEM_write_bio_X509(bio.get(), pair.certificate.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return ok == 1 && size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

bool is_address(const std::string& name) {
  in6_addr scratch{};
  return ::inet_pton(AF_INET, name.c_str(), &scratch) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), &scratch) == 1;
}

bool is_host_name(const std::string& name) {
  if (name.empty() || name.size() > 253) return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_';
  });
}

// "DNS:localhost,IP:127.0.0.1", sorted: the same names give the same text.
std::string alternative_names(const std::vector<std::string>& names) {
  std::set<std::string> entries;
  for (const auto& name : names) {
    if (entries.size() == kMaxNames) break;
    if (is_address(name)) {
      entries.insert("IP:" + name);
    } else if (is_host_name(name)) {
      entries.insert("DNS:" + name);
    }
  }
  std::string out;
  for (const auto& entry : entries) out += (out.empty() ? "" : ",") + entry;
  return out;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  const bool added = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool set_name(X509_NAME* name, const char* text) {
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>(text), -1, -1, 0) == 1;
}

bool set_serial(X509* certificate) {
  constexpr int kBits = 127;  // positive, unguessable, at most 20 bytes (RFC 5280 4.1.2.2)
  const Number number(BN_new());
  return number && BN_rand(number.get(), kBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_lifetime(X509* certificate, WallTime from, WallTime until) {
  const auto to_time = [](WallTime time) { return std::chrono::system_clock::to_time_t(time); };
  return ASN1_TIME_set(X509_getm_notBefore(certificate), to_time(from)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), to_time(until)) != nullptr;
}

// Signed by `ca`, or by itself if that is nullptr: then it is an authority.
Result<Pair> make(const char* common_name, const std::string& names, Pair* ca, WallTime now) {
  ERR_clear_error();
  Pair out{Certificate(X509_new()), PrivateKey(EVP_EC_gen("P-256"))};
  X509* certificate = out.certificate.get();
  if (certificate == nullptr || !out.key) return openssl_failure("make a key");
  X509* issuer = ca != nullptr ? ca->certificate.get() : certificate;
  EVP_PKEY* signing = ca != nullptr ? ca->key.get() : out.key.get();
  const WallTime until =
      now + (ca != nullptr ? std::chrono::hours(kServerLifetime) : std::chrono::hours(kCaLifetime));
  bool ok = X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
            set_lifetime(certificate, now - kBackdated, until) &&
            set_name(X509_get_subject_name(certificate), common_name) &&
            X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
            X509_set_pubkey(certificate, out.key.get()) == 1;
  const auto extend = [&](int nid, const std::string& value) {
    ok = ok && add_extension(certificate, issuer, nid, value);
  };
  extend(NID_subject_key_identifier, "hash");
  if (ca == nullptr) {
    extend(NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    extend(NID_key_usage, "critical,keyCertSign,cRLSign");
  } else {
    extend(NID_authority_key_identifier, "keyid");
    extend(NID_basic_constraints, "critical,CA:FALSE");
    extend(NID_key_usage, "critical,digitalSignature");
    extend(NID_ext_key_usage, "serverAuth");
    extend(NID_subject_alt_name, names);
  }
  if (!ok || X509_sign(certificate, signing, EVP_sha256()) == 0) {
    return openssl_failure("make a certificate");
  }
  return out;
}

// What is in the files, if it is a certificate with its key; else what is wrong.
Result<Pair> load(const std::string& base) {
  auto certificate = read_file(base + ".crt", kMaxPem);
  if (!certificate) return fail(certificate.error());
  auto key = read_file(base + ".key", kMaxPem);
  if (!key) return fail(key.error());
  ERR_clear_error();
  const Bio first(BIO_new_mem_buf(certificate->data(), static_cast<int>(certificate->size())));
  const Bio second(BIO_new_mem_buf(key->data(), static_cast<int>(key->size())));
  Pair out{Certificate(PEM_read_bio_X509(first.get(), nullptr, nullptr, nullptr)),
           PrivateKey(PEM_read_bio_PrivateKey(second.get(), nullptr, nullptr, nullptr))};
  if (!out.certificate || !out.key ||
      X509_check_private_key(out.certificate.get(), out.key.get()) != 1) {
    return fail(Errc::kInvalid, "{}.crt and {}.key do not belong together", base, base);
  }
  return out;
}

Result<void> save(const std::string& base, const Pair& pair) {
  // The certificate last: a crash in between leaves a pair that does not match.
  auto saved = write_file_atomic(base + ".key", to_pem(pair, true), 0600);
  if (saved) saved = write_file_atomic(base + ".crt", to_pem(pair, false), 0600);
  return saved;
}

bool is_valid_until(const X509* certificate, WallTime now, WallTime until) {
  time_t begin = std::chrono::system_clock::to_time_t(now);
  time_t end = std::chrono::system_clock::to_time_t(until);
  return X509_cmp_time(X509_get0_notBefore(certificate), &begin) < 0 &&
         X509_cmp_time(X509_get0_notAfter(certificate), &end) > 0;
}

// The alternative names in the form of alternative_names().
std::string names_in(const X509* certificate) {
  auto* found = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  std::vector<std::string> names;
  for (int i = 0; i < sk_GENERAL_NAME_num(found); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(found, i);
    if (name->type == GEN_DNS) {
      names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                         static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    } else if (name->type == GEN_IPADD) {
      const int size = ASN1_STRING_length(name->d.iPAddress);
      char text[INET6_ADDRSTRLEN] = {};
      ::inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress), text,
                  sizeof text);
      names.emplace_back(text);
    }
  }
  GENERAL_NAMES_free(found);
  return alternative_names(names);
}

bool is_signed_by(const Pair& server, const Pair& ca) {
  return X509_check_issued(ca.certificate.get(), server.certificate.get()) == X509_V_OK &&
         X509_verify(server.certificate.get(), ca.key.get()) == 1;
}

}  // namespace

Result<TlsIdentity> load_tls_identity(const std::string& dir, const std::vector<std::string>& names,
                                      WallTime now) {
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(errno, "cannot make the folder " + dir);
  }
  const std::string wanted = alternative_names(names);
  auto ca = load(dir + "/ca");
  if (!ca && ca.error().code != Errc::kNotFound) log::warn("tls", "{}", ca.error().message);
  if (!ca || !is_valid_until(ca->certificate.get(), now, now + kCaRenew)) {
    ca = make("ebb", "", nullptr, now);
    if (!ca) return fail(ca.error());
    if (auto saved = save(dir + "/ca", *ca); !saved) return fail(saved.error());
  }
  auto server = load(dir + "/server");
  if (!server || !is_valid_until(server->certificate.get(), now, now + kServerRenew) ||
      !is_signed_by(*server, *ca) || names_in(server->certificate.get()) != wanted) {
    server = make("ebb-api", wanted, &*ca, now);
    if (!server) return fail(server.error());
    if (auto saved = save(dir + "/server", *server); !saved) return fail(saved.error());
  }
  return TlsIdentity{to_pem(*ca, false), to_pem(*server, false), to_pem(*server, true)};
}

std::vector<std::string> tls_names_of(const Address& address) {
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) == 0) names.emplace_back(host);
  if (address.host != "0.0.0.0" && address.host != "::") {
    names.push_back(address.host);
    return names;
  }
  ifaddrs* interfaces = nullptr;
  if (::getifaddrs(&interfaces) != 0) return names;
  for (const ifaddrs* at = interfaces; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || (at->ifa_flags & IFF_UP) == 0) continue;
    char text[INET6_ADDRSTRLEN] = {};
    if (at->ifa_addr->sa_family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(at->ifa_addr);
      ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    } else if (at->ifa_addr->sa_family == AF_INET6) {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(at->ifa_addr);
      if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) continue;
      ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    }
    if (text[0] != '\0') names.emplace_back(text);
  }
  ::freeifaddrs(interfaces);
  return names;
}

}  // namespace ebb::net
