// What the kernel alone asks for one proxied request: a receive and a send over TCP
// (the client's side) and a send and a receive over a Unix socket (the backend's),
// with the given answer size, all in one thread so that nobody is woken. CPU time, in
// rounds of 5000 requests.
//
//   floor [BYTES [ROUNDS]]    prints {"us": median}
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

namespace {

struct Pair {
  int near;
  int far;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

Pair unix_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) die("socketpair");
  return {fds[0], fds[1]};
}

Pair tcp_pair() {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener, any, length) != 0 || ::listen(listener, 1) != 0 ||
      ::getsockname(listener, any, &length) != 0) {
    die("listen");
  }
  const int near = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::connect(near, any, length) != 0) die("connect");
  const int far = ::accept(listener, nullptr, nullptr);
  ::close(listener);
  const int one = 1;
  for (int fd : {near, far}) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return {near, far};
}

double cpu_us() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

void move_bytes(int from, int to, std::vector<char>& buffer, size_t bytes) {
  if (::send(from, buffer.data(), bytes, 0) != static_cast<ssize_t>(bytes)) die("send");
  for (size_t got = 0; got < bytes;) {
    const ssize_t n = ::recv(to, buffer.data(), buffer.size(), 0);
    if (n <= 0) die("recv");
    got += static_cast<size_t>(n);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const size_t head = 150;
  const size_t answer = head + (argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 100);
  const Pair client = tcp_pair();
  const Pair backend = unix_pair();
  std::vector<char> buffer(std::max<size_t>(answer, 1 << 16));
  std::vector<double> rounds;
  const int count = argc > 2 ? std::max(1, std::atoi(argv[2])) : 30;
  constexpr int kRequests = 5000;
  for (int round = 0; round < count; ++round) {
    const double start = cpu_us();
    for (int i = 0; i < kRequests; ++i) {
      // The proxy's four calls, each with its partner on the other side of the
      // socket, of whose cost half is not the proxy's: see below.
      move_bytes(client.near, client.far, buffer, head);
      move_bytes(backend.near, backend.far, buffer, head);
      move_bytes(backend.far, backend.near, buffer, answer);
      move_bytes(client.far, client.near, buffer, answer);
    }
    rounds.push_back((cpu_us() - start) / kRequests / 2);  // the proxy makes half of the calls
  }
  const auto middle = rounds.begin() + count / 2;
  std::nth_element(rounds.begin(), middle, rounds.end());
  std::printf("{\"us\": %.3f}\n", *middle);
}
