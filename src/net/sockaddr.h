// Between Address and the kernel's socket addresses. For net/*.cc only.
#pragma once

#include <sys/socket.h>

#include "base/unique_fd.h"
#include "net/address.h"

namespace ebb::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  UniqueFd folder;  // keeps a long Unix path reachable while this lives

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
};

// kInvalid if `address.host` is not numeric. A Unix path that is too long for the
// kernel goes through /proc/self/fd.
[[nodiscard]] Result<SocketAddress> to_socket_address(const Address& address);
// Unix socket `name` in the folder `dir_fd`; kInvalid if the name is too long.
[[nodiscard]] Result<SocketAddress> unix_socket_at(int dir_fd, std::string_view name);
// IPv4 addresses inside IPv6 (::ffff:1.2.3.4) become IPv4.
[[nodiscard]] Address from_socket_address(const SocketAddress& address);

}  // namespace ebb::net
