#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "net/listener.h"
#include "net/sockaddr.h"

namespace ebb::net {
namespace {

constexpr int kBacklog = 4096;  // connections not accepted yet; the kernel caps it at somaxconn

Result<UniqueFd> new_socket_to_bind(int family) {
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "cannot create a socket");
  return fd;
}

tl::unexpected<Error> bind_failure(int err, const Address& address) {
  const std::string name = address.to_string();
  switch (err) {
    case EADDRINUSE:
      return fail(Errc::kAlreadyExists,
                  "{} is in use: choose another address or stop what listens there", name);
    case EACCES:
    case EPERM:
      return fail(
          Errc::kPermission, "no right to listen on {}: choose {}, or grant the right to it", name,
          address.kind == Address::Kind::kIp ? "a port from 1024 on" : "a folder that is writable");
    case EADDRNOTAVAIL:
      return fail(Errc::kInvalid, "cannot listen on {}: no network interface has this address",
                  name);
    case EAFNOSUPPORT:
      return fail(Errc::kUnavailable, "cannot listen on {}: the kernel has no IPv6", name);
    default:
      return fail_errno(err, fmt::format("cannot listen on {}", name));
  }
}

enum class Sharing { kAlone, kShared };

// A bound TCP socket that does not listen yet.
Result<UniqueFd> bind_ip(const Address& address, const SocketAddress& where, Sharing sharing) {
  auto fd = new_socket_to_bind(where.family());
  if (!fd) return fd;
  const int on = 1;
  const int off = 0;
  // Lets a restart bind while old connections linger in TIME_WAIT.
  ::setsockopt(fd->get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (sharing == Sharing::kShared) {
    ::setsockopt(fd->get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  }
  // "[::]" also takes IPv4, whatever the machine's default is.
  if (where.family() == AF_INET6) {
    ::setsockopt(fd->get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  if (::bind(fd->get(), where.get(), where.size) != 0) return bind_failure(errno, address);
  return fd;
}

Result<std::vector<UniqueFd>> bind_all_ip(Address address, int count) {
  std::vector<UniqueFd> out;
  const Sharing sharing = count > 1 ? Sharing::kShared : Sharing::kAlone;
  if (sharing == Sharing::kShared && address.port != 0) {
    // SO_REUSEPORT would silently share with another listener of this user. A socket
    // without it cannot be bound beside one, so it tells. (Port 0 is never a taken one.)
    auto where = to_socket_address(address);
    if (!where) return fail(where.error());
    auto probe = bind_ip(address, *where, Sharing::kAlone);
    if (!probe) return fail(probe.error());
  }
  for (int i = 0; i < count; ++i) {
    auto where = to_socket_address(address);
    if (!where) return fail(where.error());
    auto fd = bind_ip(address, *where, sharing);
    if (!fd) return fail(fd.error());
    if (::listen(fd->get(), kBacklog) != 0) return bind_failure(errno, address);
    auto bound = local_address(fd->get());
    if (!bound) return fail(bound.error());
    address.port = bound->port;
    out.push_back(std::move(*fd));
  }
  return out;
}

// Removes a socket file that a dead process left.
Result<void> clear_stale(const Address& address, const SocketAddress& where) {
  struct stat info{};
  if (::lstat(address.host.c_str(), &info) != 0) return {};
  if (!S_ISSOCK(info.st_mode)) {
    return fail(Errc::kAlreadyExists, "{} exists and is not a socket: choose another path",
                address.host);
  }
  auto probe = new_socket_to_bind(AF_UNIX);
  if (!probe) return fail(probe.error());
  if (::connect(probe->get(), where.get(), where.size) == 0 || errno == EAGAIN) {
    return bind_failure(EADDRINUSE, address);
  }
  if (errno != ECONNREFUSED) return bind_failure(errno, address);
  ::unlink(address.host.c_str());
  return {};
}

// All share one accept queue: a Unix socket knows no SO_REUSEPORT.
Result<std::vector<UniqueFd>> bind_unix(const Address& address, int count) {
  auto where = to_socket_address(address);
  if (!where) return fail(where.error());
  auto clear = clear_stale(address, *where);
  if (!clear) return fail(clear.error());
  auto fd = new_socket_to_bind(AF_UNIX);
  if (!fd) return fail(fd.error());
  if (::bind(fd->get(), where->get(), where->size) != 0 || ::listen(fd->get(), kBacklog) != 0) {
    return bind_failure(errno, address);
  }
  std::vector<UniqueFd> out;
  out.push_back(std::move(*fd));
  for (int i = 1; i < count; ++i) {
    UniqueFd copy(::fcntl(out.front().get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return fail_errno(errno, "cannot duplicate a socket");
    out.push_back(std::move(copy));
  }
  return out;
}

}  // namespace

Result<std::vector<UniqueFd>> bind_shared(const Address& address, int count) {
  if (count < 1) return fail(Errc::kInvalid, "{} sockets asked for", count);
  return address.kind == Address::Kind::kIp ? bind_all_ip(address, count)
                                            : bind_unix(address, count);
}

Result<Address> local_address(int fd) {
  SocketAddress address;
  address.size = sizeof address.storage;
  if (::getsockname(fd, address.get(), &address.size) != 0) {
    return fail_errno(errno, "cannot tell a socket's address");
  }
  return from_socket_address(address);
}

}  // namespace ebb::net
