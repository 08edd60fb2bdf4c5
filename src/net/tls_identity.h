// Who the API server is: a certificate authority of our own and the server's
// certificate, made when they are missing and kept in a folder. Clients are given the
// authority's certificate. Blocking; ECDSA P-256.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/address.h"

namespace ebb::net {

struct TlsIdentity {
  std::string ca_pem;           // for clients
  std::string certificate_pem;  // for TlsContext::server
  std::string key_pem;
};

// Lifetimes. What has less than its `kRenew` left is made anew at the next start, so
// that a server may run for a year without it.
inline constexpr auto kCaLifetime = std::chrono::days(20 * 365);
inline constexpr auto kCaRenew = std::chrono::days(5 * 365);
inline constexpr auto kServerLifetime = std::chrono::days(3 * 365);
inline constexpr auto kServerRenew = std::chrono::days(365);

// Loads DIR/{ca.crt, ca.key, server.crt, server.key}, making what is missing, broken,
// near its end or, for the server, not valid for exactly `names` (host names and
// numeric addresses; others are left out). Makes DIR with mode 0700; keys have 0600.
[[nodiscard]] Result<TlsIdentity> load_tls_identity(const std::string& dir,
                                                    const std::vector<std::string>& names,
                                                    WallTime now);

// What a server that listens on `address` is called: localhost, the loopback addresses,
// this machine's host name, and the address itself; if it listens on all of them, those
// of the network interfaces that are up.
[[nodiscard]] std::vector<std::string> tls_names_of(const Address& address);

}  // namespace ebb::net
