// Where to listen or connect: an IP address with port, or a Unix socket path.
// A value: copied and compared.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ebb::net {

struct Address {
  enum class Kind { kIp, kUnix };
  Kind kind = Kind::kIp;
  std::string host;   // numeric IP without brackets; for kUnix the path
  uint16_t port = 0;  // kIp only

  [[nodiscard]] static Address unix_path(std::string path);
  // "127.0.0.1:8080", "[::1]:8080", ":8080" (all IPv4 interfaces), "localhost:80",
  // "unix:/path". Names other than localhost are refused: nothing is looked up.
  [[nodiscard]] static Result<Address> parse(std::string_view text);

  // The form that parse() takes.
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const Address&, const Address&) = default;
};

// Where this machine's own programs reach what listens on `address`: itself, or the
// loopback address if it stands for all.
[[nodiscard]] Address reachable(const Address& address);

}  // namespace ebb::net
