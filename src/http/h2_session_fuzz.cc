// Feeds bytes to one side of an HTTP/2 connection, cut by the input: as a client's to the
// server's side, whose requests are echoed, or as a server's to a client that has asked for
// something. Whatever the bytes, the connection and all its coroutines come to an end.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "http/h2_client.h"
#include "http/h2_session.h"
#include "net/executor.h"

namespace ebb::http {
namespace {

constexpr size_t kMostInput = 64 * 1024;

net::Task<void> echo(std::shared_ptr<H2Session> session, std::unique_ptr<H2Stream> arrived) {
  const auto stream = std::move(arrived);
  const TimePoint deadline = session->executor().now() + std::chrono::seconds(5);
  Fields fields;
  stream->head().view(fields);
  if (!session->submit_answer(*stream, 200, fields, true)) co_return;
  for (;;) {
    const auto piece = co_await stream->read(deadline);
    if (!piece) co_return;
    if (piece->empty()) break;
    const auto sent = co_await stream->write(*piece, false, nullptr, deadline);
    if (!sent) co_return;
  }
  Fields trailers;
  stream->trailers().view(trailers);
  static_cast<void>(co_await stream->write({}, true, &trailers, deadline));
}

net::Task<void> ask(std::shared_ptr<H2Session> session) {
  H2ClientExchange exchange(session);
  const TimePoint deadline = session->executor().now() + std::chrono::seconds(5);
  Fields fields;
  fields.add("host", "h");
  const auto sent =
      co_await exchange.send_head("POST", "/", fields, BodyLength::sized(3), "abc", deadline);
  if (!sent) co_return;
  const auto head = co_await exchange.read_head(deadline);
  if (!head) co_return;
  for (;;) {
    const auto piece = co_await exchange.read_body(deadline);
    if (!piece || piece->empty()) co_return;
  }
}

// Takes what the session has written, so that it never waits for room.
void swallow(int fd) {
  std::array<char, 16 * 1024> buffer;
  while (::read(fd, buffer.data(), buffer.size()) > 0) {
  }
}

void run(uint8_t how, std::string_view bytes) {
  static net::Executor executor("fuzz");
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return;
  const UniqueFd peer(ends[1]);
  net::Stream stream(executor, UniqueFd(ends[0]));
  std::weak_ptr<H2Session> alive;
  if ((how & 1) != 0) {
    auto session = open_h2_client(executor, std::move(stream));
    alive = session;
    executor.spawn(ask(session));
  } else {
    auto session =
        std::make_shared<H2Session>(executor, std::move(stream), H2Session::Role::kServer,
                                    H2Options(), [&alive](std::unique_ptr<H2Stream> arrived) {
                                      executor.spawn(echo(alive.lock(), std::move(arrived)));
                                    });
    alive = session;
    const bool greeted = (how & 2) != 0;  // else the input begins with the preface, or not
    executor.spawn(H2Session::run(session, greeted ? kH2Preface : std::string_view()));
  }
  const size_t step = 1 + (how >> 2) * 16U;
  while (!bytes.empty()) {
    const auto piece = bytes.substr(0, step);
    if (::send(peer.get(), piece.data(), piece.size(), MSG_NOSIGNAL) < 0) break;
    bytes.remove_prefix(piece.size());
    executor.run_until(executor.now());
    swallow(peer.get());
  }
  ::shutdown(peer.get(), SHUT_WR);
  const TimePoint limit = executor.now() + std::chrono::seconds(4);
  while (executor.tasks() > 0 && executor.now() < limit) {
    swallow(peer.get());
    executor.run_until(executor.now() + std::chrono::milliseconds(1));
  }
  if (executor.tasks() > 0 || !alive.expired()) std::abort();
}

}  // namespace
}  // namespace ebb::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > ebb::http::kMostInput) return 0;
  ebb::http::run(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
