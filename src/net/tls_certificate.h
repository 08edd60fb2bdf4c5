// A certificate that a server presents, with its key, as PEM texts: so whoever may read
// the files can hand it to a process that may not. Blocking.
//
//   auto pair = read_tls_certificate("/etc/ssl/a.pem", "/etc/ssl/private/a.key");
//   if (!pair) return fail(pair.error());            // names the file, and what is wrong
//   auto context = TlsContext::server({*pair}, kProtocols);
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace ebb::net {

inline constexpr size_t kMaxPem = 64 * 1024;  // bytes of a file

struct TlsCertificate {
  std::string certificate_pem;  // the server's own first; the chain above it may follow
  std::string key_pem;
};

// Reads both files (which may be one) and makes sure that a server can use them. The
// message of an error names the file.
[[nodiscard]] Result<TlsCertificate> read_tls_certificate(const std::string& certificate_file,
                                                          const std::string& key_file);

// Why clients refuse it at `now`, though it can be used: "has expired (Nov 26 2026 ...)", or
// that it is not valid yet. Empty if they do not.
[[nodiscard]] std::string lifetime_problem(const TlsCertificate& certificate, WallTime now);

}  // namespace ebb::net
