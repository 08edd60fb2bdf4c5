#include "net/stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "net/listener.h"
#include "net/task.h"
#include "net/test_util.h"
#include "net/tls.h"
#include "net/tls_identity.h"

namespace ebb::net {
namespace {

using std::chrono::milliseconds;

struct Ends {
  Stream a;
  Stream b;
};

Task<void> connect_tcp(Executor& executor, Ends& out) {
  auto fds = bind_shared(Address{Address::Kind::kIp, "127.0.0.1", 0}, 1);
  EXPECT_TRUE(fds);
  Listener listener(executor, std::move(fds->front()));
  auto a = co_await connect(executor, listener.local(), soon());
  auto b = co_await listener.accept();
  EXPECT_TRUE(a && b);
  out.a = std::move(*a);
  out.b = std::move(*b);
}

Task<void> accept_secured(Stream& stream, const TlsContext& context) {
  auto done = co_await accept_tls(stream, context, soon());
  EXPECT_TRUE(done) << done.error().message;
}

Task<void> connect_secured(Stream& stream, const TlsContext& context) {
  auto done = co_await connect_tls(stream, context, "127.0.0.1", soon());
  EXPECT_TRUE(done) << done.error().message;
}

// Each test runs over a Unix socket pair, over TCP, and over TLS.
class StreamTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string_view(GetParam()) != "unix") {
      run_to_end(executor_, connect_tcp(executor_, ends_));
      if (is_tls()) secure();
    } else {
      auto [a, b] = socket_pair();
      ends_ = {Stream(executor_, std::move(a)), Stream(executor_, std::move(b))};
    }
  }

  [[nodiscard]] static bool is_tls() { return std::string_view(GetParam()) == "tls"; }
  void secure() {
    const TestIdentity made;
    auto server = TlsContext::server({{made.identity.certificate_pem, made.identity.key_pem}}, {});
    auto client = TlsContext::client(made.identity.ca_pem);
    ASSERT_TRUE(server && client);
    SSL_CTX_set_num_tickets(server->native(), 0);  // one would be news of the peer
    executor_.spawn(accept_secured(ends_.a, *server));
    run_to_end(executor_, connect_secured(ends_.b, *client));
  }

  Executor executor_{"test"};
  Ends ends_;
};

Task<void> echo_once(Stream& stream) {
  char buffer[64];
  auto n = co_await stream.read_some(buffer, soon());
  EXPECT_TRUE(n);
  auto sent = co_await stream.write_all("<", std::string_view(buffer, n.value_or(0)), ">", soon());
  EXPECT_TRUE(sent);
}

Task<void> ask(Stream& stream, std::string& answer) {
  auto sent = co_await stream.write_all("hello", soon());
  EXPECT_TRUE(sent);
  while (!answer.ends_with('>')) {
    char buffer[64];
    auto n = co_await stream.read_some(buffer, soon());
    if (!n || *n == 0) break;
    answer.append(buffer, *n);
  }
}

TEST_P(StreamTest, WritesPartsInOrderAndReads) {
  std::string answer;
  executor_.spawn(echo_once(ends_.a));
  run_to_end(executor_, ask(ends_.b, answer));
  EXPECT_EQ(answer, "<hello>");
}

Task<void> write_then_end(Stream& stream, std::string data) {
  auto sent = co_await stream.write_all(data, soon());
  EXPECT_TRUE(sent);
  stream.shutdown_write();
}

// Reads to the end in pieces of `piece` bytes, after `pause` once.
Task<void> read_all(Stream& stream, size_t piece, Duration pause, std::string& out) {
  std::vector<char> buffer(piece);
  for (;;) {
    auto n = co_await stream.read_some(buffer, soon());
    EXPECT_TRUE(n);
    if (!n || *n == 0) co_return;
    if (out.empty() && pause > Duration::zero()) {
      auto sleep = stream.executor().sleep_until(soon(pause));
      co_await sleep;
    }
    out.append(buffer.data(), *n);
  }
}

TEST_P(StreamTest, ALargeWriteSurvivesASlowReader) {
  const std::string data = pattern(20 << 20);  // more than any socket buffer
  std::string got;
  executor_.spawn(read_all(ends_.a, 10'000, milliseconds(30), got));
  run_to_end(executor_, write_then_end(ends_.b, data));
  EXPECT_TRUE(got == data);
}

// How many sockets this process's epolls watch for room to write.
int watched_for_writing() {
  int count = 0;
  for (const auto& fd : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(fd.path(), gone) != "anon_inode:[eventpoll]") continue;
    std::ifstream info("/proc/self/fdinfo/" + fd.path().filename().string());
    std::string word;
    while (info >> word) {
      uint32_t events = 0;
      if (word == "events:" && info >> std::hex >> events && (events & EPOLLOUT) != 0) ++count;
    }
  }
  return count;
}

Task<void> write_twice_and_answer(Stream& stream, const std::string& data, int& watched) {
  for (int round = 0; round < 2; ++round) {
    auto sent = co_await stream.write_all(data, soon());
    EXPECT_TRUE(sent);
    char buffer[8];
    auto n = co_await stream.read_some(buffer, soon());
    EXPECT_TRUE(n && *n == 1);
    watched = watched_for_writing();
  }
}

// Reads `size` bytes and says so, twice.
Task<void> read_twice_and_say(Stream& stream, size_t size) {
  std::vector<char> buffer(65536);
  for (int round = 0; round < 2; ++round) {
    for (size_t left = size; left > 0;) {
      auto n =
          co_await stream.read_some(std::span(buffer).first(std::min(left, buffer.size())), soon());
      EXPECT_TRUE(n && *n > 0);
      if (!n || *n == 0) co_return;
      left -= *n;
    }
    auto sent = co_await stream.write_all("!", soon());
    EXPECT_TRUE(sent);
  }
}

TEST_P(StreamTest, RoomToWriteIsWatchedOnlyWhileSomebodyWaitsForIt) {
  const std::string data = pattern(20 << 20);
  int watched = -1;
  executor_.spawn(read_twice_and_say(ends_.a, data.size()));
  run_to_end(executor_, write_twice_and_answer(ends_.b, data, watched));
  EXPECT_EQ(watched, 0);
}

TEST_P(StreamTest, EndComesAfterTheData) {
  // Data and end of stream lie there before the first read.
  std::string got;
  run_to_end(executor_, write_then_end(ends_.b, "last words"));
  run_to_end(executor_, read_all(ends_.a, 4, Duration::zero(), got));
  EXPECT_EQ(got, "last words");
}

TEST_P(StreamTest, EndIsSeenWhileWaiting) {
  std::string got;
  executor_.spawn(read_all(ends_.a, 64, Duration::zero(), got));
  executor_.run_until(executor_.now());
  ends_.b = Stream();  // destroyed
  run_until_true(executor_, [&] { return executor_.tasks() == 0; });
  EXPECT_EQ(got, "");
}

Task<void> read_error(Stream& stream, TimePoint deadline, std::vector<IoError>& errors) {
  char buffer[64];
  auto n = co_await stream.read_some(buffer, deadline);
  if (!n) errors.push_back(n.error());
}

// More than the kernel buffers.
const std::string& endless() {
  static const std::string data(64 << 20, 'x');
  return data;
}

Task<void> write_error(Stream& stream, TimePoint deadline, std::vector<IoError>& errors) {
  auto sent = co_await stream.write_all(endless(), deadline);
  if (!sent) errors.push_back(sent.error());
}

TEST_P(StreamTest, DeadlinesEndReadAndWriteSeparately) {
  std::vector<IoError> reads;
  std::vector<IoError> writes;
  (void)endless();  // takes its time once
  const TimePoint start = executor_.now();
  executor_.spawn(read_error(ends_.a, start + milliseconds(20), reads));
  executor_.spawn(write_error(ends_.a, start + milliseconds(100), writes));
  run_until_true(executor_, [&] { return !reads.empty(); });
  EXPECT_GE(executor_.now(), start + milliseconds(20));
  EXPECT_EQ(reads, std::vector{IoError::kTimeout});
  EXPECT_TRUE(writes.empty());
  run_until_true(executor_, [&] { return !writes.empty(); });
  EXPECT_GE(executor_.now(), start + milliseconds(100));
  EXPECT_EQ(writes, std::vector{IoError::kTimeout});
}

TEST_P(StreamTest, APastDeadlineIsATimeoutEvenIfDataIsThere) {
  run_to_end(executor_, write_then_end(ends_.b, "data"));
  std::vector<IoError> errors;
  run_to_end(executor_, read_error(ends_.a, executor_.now() - milliseconds(1), errors));
  run_to_end(executor_, write_error(ends_.a, executor_.now() - milliseconds(1), errors));
  EXPECT_EQ(errors, (std::vector{IoError::kTimeout, IoError::kTimeout}));
}

TEST_P(StreamTest, CloseCancelsWhatIsPendingButNotAtOnce) {
  std::vector<IoError> errors;
  executor_.spawn(read_error(ends_.a, soon(), errors));
  executor_.spawn(write_error(ends_.a, kNever, errors));
  ends_.a.close();
  EXPECT_TRUE(errors.empty());  // nobody is resumed inside close()
  run_until_true(executor_, [&] { return executor_.tasks() == 0; });
  EXPECT_EQ(errors, (std::vector{IoError::kCanceled, IoError::kCanceled}));
  EXPECT_EQ(ends_.a.native_handle(), -1);
  run_to_end(executor_, read_error(ends_.a, soon(), errors));
  EXPECT_EQ(errors.back(), IoError::kCanceled);
}

TEST_P(StreamTest, ADataCompletionUnderWayIsCanceledByClose) {
  if (is_tls()) GTEST_SKIP() << "it reads at once";
  run_to_end(executor_, write_then_end(ends_.b, "data"));
  std::vector<IoError> errors;
  executor_.spawn(read_error(ends_.a, soon(), errors));  // reads, and posts its completion
  ends_.a.close();
  run_until_true(executor_, [&] { return executor_.tasks() == 0; });
  EXPECT_EQ(errors, std::vector{IoError::kCanceled});
}

Task<void> write_until_error(Stream& stream, IoError& error) {
  for (;;) {
    auto sent = co_await stream.write_all("x", soon());
    if (!sent) {
      error = sent.error();
      co_return;
    }
    auto sleep = stream.executor().sleep_until(soon(milliseconds(1)));
    co_await sleep;
  }
}

TEST_P(StreamTest, AWatchedStreamKnowsWhatItsPeerDoesWithoutAsking) {
  ends_.a.watch();
  executor_.run_until(TimePoint{});
  EXPECT_TRUE(ends_.a.quiet_so_far() || ends_.a.quiet());  // it may not be known
  run_to_end(executor_, write_then_end(ends_.b, "x"));
  for (int i = 0; i < 100 && ends_.a.quiet_so_far(); ++i) {
    executor_.run_until(executor_.now() + std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(ends_.a.quiet_so_far());
  EXPECT_FALSE(ends_.a.quiet()) << "nor does asking help";
}

TEST_P(StreamTest, OneThatIsWatchedNoMoreLosesNothing) {
  ends_.a.watch();
  executor_.run_until(TimePoint{});
  ends_.a.unwatch();
  run_to_end(executor_, write_then_end(ends_.b, "x"));
  executor_.run_until(executor_.now() + std::chrono::milliseconds(10));
  std::string got;
  run_to_end(executor_, read_all(ends_.a, 8, Duration::zero(), got));
  EXPECT_EQ(got, "x");
}

TEST_P(StreamTest, AWatchedStreamServesTheNextReadAndMayBeClosed) {
  ends_.a.watch();
  executor_.run_until(TimePoint{});
  std::string got;
  executor_.spawn(write_then_end(ends_.b, "answer"));
  run_to_end(executor_, read_all(ends_.a, 8, Duration::zero(), got));
  EXPECT_EQ(got, "answer");
  ends_.b.watch();
  executor_.run_until(TimePoint{});
  ends_.b.close();
  EXPECT_FALSE(ends_.b.quiet_so_far());
}

TEST_P(StreamTest, WritingToAClosedPeerIsClosedWithoutASignal) {
  ends_.b.close();
  IoError error = IoError::kOther;
  run_to_end(executor_, write_until_error(ends_.a, error));
  EXPECT_EQ(error, IoError::kClosed);
}

TEST_P(StreamTest, QuietUntilThePeerSendsOrCloses) {
  EXPECT_TRUE(ends_.a.quiet());
  run_to_end(executor_, write_then_end(ends_.b, "x"));
  EXPECT_FALSE(ends_.a.quiet());
  std::string got;
  run_to_end(executor_, read_all(ends_.a, 8, Duration::zero(), got));
  EXPECT_FALSE(ends_.a.quiet());
  EXPECT_TRUE(ends_.b.quiet());
  ends_.a.close();
  EXPECT_FALSE(ends_.a.quiet());
}

TEST_P(StreamTest, KnowsWhenThePeerLeft) {
  EXPECT_FALSE(ends_.a.peer_left());
  run_to_end(executor_, write_then_end(ends_.b, "x"));
  run_until_true(executor_, [&] { return ends_.a.peer_left(); });
  EXPECT_FALSE(ends_.b.peer_left());
  ends_.a.close();
  EXPECT_TRUE(ends_.a.peer_left());
  EXPECT_TRUE(Stream().peer_left());
}

Task<void> own_and_read(Stream stream) {
  char buffer[64];
  auto n = co_await stream.read_some(buffer, soon(std::chrono::hours(1)));
  ADD_FAILURE() << "read " << n.value_or(0);
}

Task<void> own_and_write(Stream stream) {
  auto sent = co_await stream.write_all(endless(), soon(std::chrono::hours(1)));
  ADD_FAILURE() << "wrote: " << sent.has_value();
}

TEST_P(StreamTest, FramesAreDestroyedWithTheirPendingOperations) {
  for (int i = 0; i < 3; ++i) {
    Executor other("other");
    auto [a, b] = socket_pair();
    auto [c, d] = socket_pair();
    if (i == 0) b.reset();  // the read completes at once, unheard
    other.spawn(own_and_read(Stream(other, std::move(a))));
    other.spawn(own_and_write(Stream(other, std::move(c))));
    if (i == 1) other.run_until(other.now());  // the operations wait in the kernel
    b.reset();
    d.reset();
  }
}

TEST_P(StreamTest, ABusyStreamLetsOthersRun) {
  const std::string data = pattern(4 << 20);
  std::string got;
  bool ran = false;
  size_t seen_at = 0;
  executor_.spawn(write_then_end(ends_.b, data));
  executor_.post([&] {
    ran = true;
    seen_at = got.size();
  });
  run_to_end(executor_, read_all(ends_.a, 16, Duration::zero(), got));
  EXPECT_TRUE(ran);
  EXPECT_LT(seen_at, data.size());
  EXPECT_TRUE(got == data);
}

TEST_P(StreamTest, KnowsItsPeer) {
  const bool tcp = std::string_view(GetParam()) != "unix";
  EXPECT_EQ(ends_.a.peer().kind, tcp ? Address::Kind::kIp : Address::Kind::kUnix);
  if (tcp) {
    EXPECT_EQ(ends_.a.peer(), local_address(ends_.b.native_handle()).value());
  }
  ends_.a.close();
  EXPECT_EQ(ends_.a.peer(), Address());
}

TEST_P(StreamTest, SocketsAreNonBlockingAndTcpDoesNotDelay) {
  for (const Stream* stream : {&ends_.a, &ends_.b}) {
    const int fd = stream->native_handle();
    EXPECT_TRUE(::fcntl(fd, F_GETFL) & O_NONBLOCK);
    EXPECT_TRUE(::fcntl(fd, F_GETFD) & FD_CLOEXEC);
    int on = 0;
    socklen_t size = sizeof on;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size) == 0) {
      EXPECT_EQ(on, 1);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Over, StreamTest, testing::Values("unix", "tcp", "tls"),
                         [](const auto& test) { return std::string(test.param); });

TEST(Stream, WhatIsNoSocketFails) {
  Executor executor("test");
  Stream stream(executor, UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)));
  std::vector<IoError> errors;
  run_to_end(executor, read_error(stream, soon(), errors));
  EXPECT_EQ(errors, std::vector{IoError::kCanceled});
  EXPECT_FALSE(Stream());
}

}  // namespace
}  // namespace ebb::net
