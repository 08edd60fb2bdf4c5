// Feeds bytes to a real server as a client's, cut by the input: HTTP/1.1, the upgrade to
// HTTP/2, and HTTP/2 from the start. Whatever the bytes, every connection comes to an end, and
// with it the coroutines of its requests.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "http/h2_session.h"
#include "http/server.h"
#include "net/executor.h"
#include "net/listener.h"

namespace ebb::http {
namespace {

constexpr size_t kMostInput = 64 * 1024;

// What it does with a request is the first letter of the path's.
class Acts final : public Handler {
 public:
  net::Task<void> serve(Exchange& x) override {
    const std::string_view target = x.request().target;
    const char act = target.size() > 1 ? target[1] : ' ';
    if (act == 'n') co_return;
    if (act == 'e') {
      co_await echo(x);
    } else if (act == 'u') {
      co_await upgrade(x);
    } else if (act == 's') {  // without reading
      static_cast<void>(co_await x.respond(200, "text/plain", "early"));
    } else {
      const auto body = co_await x.read_all(1000);
      if (body) static_cast<void>(co_await x.respond(200, "text/plain", *body));
    }
  }

 private:
  static net::Task<void> echo(Exchange& x) {
    ResponseHead head;
    head.fields.add("x-echo", "of a body");
    head.body = BodyLength::chunked();
    const auto begun = co_await x.begin(head);
    if (!begun) co_return;
    for (;;) {
      const auto piece = co_await x.read_body();
      if (!piece) co_return;
      if (piece->empty()) break;
      const auto sent = co_await x.write(*piece);
      if (!sent) co_return;
    }
    static_cast<void>(co_await x.finish(x.trailers()));
  }
  static net::Task<void> upgrade(Exchange& x) {
    ResponseHead head;
    head.status = 101;
    head.fields.add("upgrade", "echo");
    const auto end = co_await x.switch_protocols(head);
    if (!end) {
      static_cast<void>(co_await x.respond(400, "text/plain", "no upgrade"));
      co_return;
    }
    std::array<char, 1024> buffer;
    const TimePoint deadline = x.executor().now() + std::chrono::seconds(2);
    for (;;) {
      const auto n = co_await end->stream->read_some(buffer, deadline);
      if (!n || *n == 0) co_return;
      const auto sent = co_await end->stream->write_all({buffer.data(), *n}, deadline);
      if (!sent) co_return;
    }
  }
};

ServerOptions options() {
  ServerOptions options;
  options.head = {.bytes = 4096, .fields = 32};
  options.max_body = 20'000;
  options.http2 = true;
  options.head_timeout = options.idle_timeout = options.body_timeout = options.write_timeout =
      std::chrono::seconds(2);
  return options;
}

// One server for all inputs.
struct Fixture {
  const std::string path = "/tmp/ebb-server-fuzz-" + std::to_string(::getpid());
  net::Executor executor{"fuzz"};
  Acts acts;
  Server server{executor, std::move(net::bind_shared(net::Address::unix_path(path), 1)->front()),
                acts, options()};
  size_t tasks_at_rest = 0;

  Fixture() {
    server.start();
    executor.run_until(executor.now());
    tasks_at_rest = executor.tasks();
  }
  ~Fixture() { ::unlink(path.c_str()); }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;
};

// Takes what the server has written, so that it never waits for room. False at the end.
bool swallow(int fd) {
  std::array<char, 16 * 1024> buffer;
  for (;;) {
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n == 0) return false;
    if (n < 0) return errno == EAGAIN;
  }
}

void run(uint8_t how, std::string_view bytes) {
  static Fixture fixture;
  net::Executor& executor = fixture.executor;
  const UniqueFd peer(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, fixture.path.c_str(), fixture.path.size() + 1);
  if (::connect(peer.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) std::abort();
  const auto send = [&](std::string_view piece) {
    return ::send(peer.get(), piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
  };
  if ((how & 1) != 0) static_cast<void>(send(kH2Preface));
  const size_t step = 1 + (how >> 1) * 16U;
  while (!bytes.empty()) {
    const auto piece = bytes.substr(0, step);
    if (!send(piece)) break;
    bytes.remove_prefix(piece.size());
    executor.run_until(executor.now());
    if (!swallow(peer.get())) break;
  }
  ::shutdown(peer.get(), SHUT_WR);
  const TimePoint limit = executor.now() + std::chrono::seconds(5);
  while (executor.tasks() > fixture.tasks_at_rest && executor.now() < limit) {
    static_cast<void>(swallow(peer.get()));
    executor.run_until(executor.now() + std::chrono::milliseconds(1));
  }
  if (executor.tasks() > fixture.tasks_at_rest || fixture.server.connections() != 0) std::abort();
}

}  // namespace
}  // namespace ebb::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > ebb::http::kMostInput) return 0;
  ebb::http::run(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
