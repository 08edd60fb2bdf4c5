#include "net/address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "net/sockaddr.h"

namespace ebb::net {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

Result<uint16_t> parse_port(std::string_view digits, std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port > 65535) {
    return fail(Errc::kInvalid, "\"{}\": the port must be a number from 0 to 65535", text);
  }
  return static_cast<uint16_t>(port);
}

// The one spelling of a numeric IP address, or nothing.
std::string canonical_ip(int family, const std::string& host) {
  in6_addr raw{};  // large enough for both families
  char text[INET6_ADDRSTRLEN];
  if (::inet_pton(family, host.c_str(), &raw) != 1) return {};
  return ::inet_ntop(family, &raw, text, sizeof text) ? text : std::string();
}

Result<Address> parse_ip(std::string_view text) {
  std::string_view host;
  std::string_view port;
  const bool bracketed = text.starts_with('[');
  if (bracketed) {
    const auto close = text.find("]:");
    if (close == std::string_view::npos) {
      return fail(Errc::kInvalid, "\"{}\": write an IPv6 address as [ADDRESS]:PORT", text);
    }
    host = text.substr(1, close - 1);
    port = text.substr(close + 2);
  } else {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) {
      return fail(Errc::kInvalid, "\"{}\": write HOST:PORT, :PORT or unix:PATH", text);
    }
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.find(':') != std::string_view::npos) {
      return fail(Errc::kInvalid, "\"{}\": write an IPv6 address as [ADDRESS]:PORT", text);
    }
    if (host.empty()) host = "0.0.0.0";
    if (host == "localhost") host = "127.0.0.1";
  }
  auto number = parse_port(port, text);
  if (!number) return fail(number.error());
  std::string canonical;
  // An embedded NUL would hide the rest from inet_pton.
  if (host.find('\0') == std::string_view::npos) {
    canonical = canonical_ip(bracketed ? AF_INET6 : AF_INET, std::string(host));
  }
  if (canonical.empty()) {
    return fail(Errc::kInvalid, "\"{}\": the host must be a numeric IP address or localhost", text);
  }
  return Address{Address::Kind::kIp, std::move(canonical), *number};
}

Result<SocketAddress> unix_address(std::string_view path) {
  SocketAddress out;
  auto& un = reinterpret_cast<sockaddr_un&>(out.storage);
  if (path.empty() || path.size() >= sizeof un.sun_path) {
    return fail(Errc::kInvalid, "\"{}\" is not a usable Unix socket path", path);
  }
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, path.data(), path.size());  // the rest is zero already
  out.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return out;
}

}  // namespace

Address Address::unix_path(std::string path) { return {Kind::kUnix, std::move(path), 0}; }

Result<Address> Address::parse(std::string_view text) {
  if (!text.starts_with(kUnixPrefix)) return parse_ip(text);
  const std::string_view path = text.substr(kUnixPrefix.size());
  if (path.empty() || path.find('\0') != std::string_view::npos || path.ends_with('/')) {
    return fail(Errc::kInvalid, "\"{}\": write unix:PATH with the path of a socket file", text);
  }
  return unix_path(std::string(path));
}

std::string Address::to_string() const {
  if (kind == Kind::kUnix) return fmt::format("{}{}", kUnixPrefix, host);
  if (host.find(':') != std::string::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

Result<SocketAddress> unix_socket_at(int dir_fd, std::string_view name) {
  return unix_address(fmt::format("/proc/self/fd/{}/{}", dir_fd, name));
}

Result<SocketAddress> to_socket_address(const Address& address) {
  if (address.kind == Address::Kind::kUnix) {
    if (address.host.size() < sizeof(sockaddr_un::sun_path)) return unix_address(address.host);
    const auto slash = address.host.rfind('/');
    if (slash == std::string::npos) return unix_address(address.host);  // says what is wrong
    const std::string folder = address.host.substr(0, slash + 1);
    UniqueFd dir(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!dir) return fail_errno(errno, fmt::format("cannot open {}", folder));
    auto out = unix_socket_at(dir.get(), std::string_view(address.host).substr(slash + 1));
    if (out) out->folder = std::move(dir);
    return out;
  }
  SocketAddress out;
  auto& v4 = reinterpret_cast<sockaddr_in&>(out.storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out.storage);
  if (::inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    out.size = sizeof v4;
  } else if (::inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    out.size = sizeof v6;
  } else {
    return fail(Errc::kInvalid, "\"{}\" is not a numeric IP address", address.host);
  }
  return out;
}

Address from_socket_address(const SocketAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  switch (address.family()) {
    case AF_INET: {
      const auto& v4 = reinterpret_cast<const sockaddr_in&>(address.storage);
      ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
      return {Address::Kind::kIp, text, ntohs(v4.sin_port)};
    }
    case AF_INET6: {
      const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address.storage);
      if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        ::inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
      } else {
        ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
      }
      return {Address::Kind::kIp, text, ntohs(v6.sin6_port)};
    }
    default: {
      const auto& un = reinterpret_cast<const sockaddr_un&>(address.storage);
      const size_t header = offsetof(sockaddr_un, sun_path);
      const size_t room = address.size > header ? address.size - header : 0;
      return Address::unix_path(std::string(un.sun_path, ::strnlen(un.sun_path, room)));
    }
  }
}

Address reachable(const Address& address) {
  Address out = address;
  if (address.kind != Address::Kind::kIp) return out;
  if (out.host == "0.0.0.0") out.host = "127.0.0.1";
  if (out.host == "::") out.host = "::1";
  return out;
}

}  // namespace ebb::net
