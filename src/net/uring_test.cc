#include "net/uring.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "net/listener.h"
#include "net/stream.h"
#include "net/test_util.h"

namespace ebb::net {
namespace {

using std::chrono::milliseconds;

class [[nodiscard]] Engine final {
 public:
  explicit Engine(const char* name) {
    if (const char* said = std::getenv(kVariable)) before_ = said;
    ::setenv(kVariable, name, 1);
  }
  ~Engine() {
    if (before_) {
      ::setenv(kVariable, before_->c_str(), 1);
    } else {
      ::unsetenv(kVariable);
    }
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

 private:
  static constexpr const char* kVariable = "EBB_IO_ENGINE";
  std::optional<std::string> before_;
};

bool kernel_has_it() {
  const Engine any("");
  return Ring::wanted();
}

// A stream, and its peer: a plain socket.
struct RawEnds {
  explicit RawEnds(Executor& executor) {
    auto [a, b] = socket_pair();
    stream = Stream(executor, std::move(a));
    peer = std::move(b);
    ::fcntl(peer.get(), F_SETFL, O_NONBLOCK);
  }
  // What the peer can read now.
  [[nodiscard]] std::string received() const {
    std::string out;
    std::vector<char> block(1 << 16);
    for (ssize_t n = 0; (n = ::recv(peer.get(), block.data(), block.size(), 0)) > 0;) {
      out.append(block.data(), static_cast<size_t>(n));
    }
    return out;
  }
  [[nodiscard]] bool ended() const {
    char byte = 0;
    return ::recv(peer.get(), &byte, 1, MSG_PEEK) == 0;
  }
  // Bytes of `data` that the kernel takes.
  size_t send(std::string_view data) const {
    size_t sent = 0;
    while (sent < data.size()) {
      const ssize_t n = ::send(peer.get(), data.data() + sent, data.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) break;
      sent += static_cast<size_t>(n);
    }
    return sent;
  }
  Stream stream;
  UniqueFd peer;
};

class RingTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!kernel_has_it()) GTEST_SKIP() << "the kernel has no io_uring for us";
    const Engine uring("uring");
    executor_.emplace("test");
  }
  // Lets everything happen that can.
  void settle() { executor_->run_until(executor_->now() + milliseconds(20)); }

  std::optional<Executor> executor_;
};

Task<void> turn(Executor& executor) {
  auto sleep = executor.sleep_until(executor.now() + milliseconds(1));
  co_await sleep;
}

Task<void> write(Stream& stream, std::string data, std::vector<IoError>* errors = nullptr) {
  const auto sent = co_await stream.write_all(data, soon());
  if (!sent && errors != nullptr) errors->push_back(sent.error());
}

Task<void> connect_by_tcp(Executor& executor, Stream& a, Stream& b) {
  auto fds = bind_shared(Address{Address::Kind::kIp, "127.0.0.1", 0}, 1);
  EXPECT_TRUE(fds);
  Listener listener(executor, std::move(fds->front()));
  auto near = co_await connect(executor, listener.local(), soon());
  auto far = co_await listener.accept();
  EXPECT_TRUE(near && far);
  a = std::move(*near);
  b = std::move(*far);
}

Task<void> read_whole(Stream& stream, size_t size, size_t piece, std::string& out) {
  std::vector<char> buffer(piece);
  while (out.size() < size) {
    const auto n = co_await stream.read_some(buffer, soon());
    EXPECT_TRUE(n && *n > 0);
    if (!n || *n == 0) co_return;
    out.append(buffer.data(), *n);
  }
}

// As one that the loop runs: only then writes are queued.
Task<void> write_in_a_turn(Stream& stream, std::string data) {
  co_await turn(stream.executor());
  co_await write(stream, std::move(data));
}

Task<void> write_and_close(Stream& stream, std::string data) {
  co_await write_in_a_turn(stream, std::move(data));
  stream.close();
}

TEST_F(RingTest, AQueuedWriteIsSentBeforeTheEnd) {
  for (const bool shut : {false, true}) {
    RawEnds ends(*executor_);
    const std::string data = pattern(10'000);
    if (shut) {
      run_to_end(*executor_, write_in_a_turn(ends.stream, data));
      ends.stream.shutdown_write();
    } else {
      run_to_end(*executor_, write_and_close(ends.stream, data));
    }
    settle();
    EXPECT_TRUE(ends.received() == data);
    EXPECT_TRUE(ends.ended());
  }
}

// Writes until one has to wait; how many bytes were taken.
Task<void> write_until_full(Stream& stream, size_t piece, size_t& taken, bool& timed_out) {
  const std::string data = pattern(piece);
  for (;;) {
    co_await turn(stream.executor());
    const auto sent = co_await stream.write_all(data, soon(milliseconds(100)));
    if (!sent) {
      timed_out = sent.error() == IoError::kTimeout;
      co_return;
    }
    taken += piece;
  }
}

TEST_F(RingTest, WhatTheKernelHadNoRoomForIsStillSentAfterTheEnd) {
  for (const bool shut : {false, true}) {
    RawEnds ends(*executor_);
    constexpr size_t kPiece = 5000;
    size_t taken = 0;
    bool timed_out = false;
    run_to_end(*executor_, write_until_full(ends.stream, kPiece, taken, timed_out));
    EXPECT_TRUE(timed_out);
    if (shut) ends.stream.shutdown_write();
    ends.stream = Stream();
    EXPECT_EQ(executor_->impl().leaving.size(), 1U);
    std::string got;
    run_until_true(*executor_, [&] {
      got += ends.received();
      return ends.ended();
    });
    EXPECT_GE(got.size(), taken);
    EXPECT_LE(got.size(), taken + kPiece);
    std::string expected;
    while (expected.size() < got.size()) expected += pattern(kPiece);
    EXPECT_TRUE(expected.starts_with(got));
    EXPECT_TRUE(executor_->impl().leaving.empty());
  }
}

Task<void> write_pieces(Stream& stream, const std::string& data) {
  constexpr size_t kPiece = 16'000;
  for (size_t at = 0; at < data.size(); at += kPiece) {
    co_await turn(stream.executor());
    const auto sent = co_await stream.write_all(std::string_view(data).substr(at, kPiece), soon());
    EXPECT_TRUE(sent);
  }
  stream.shutdown_write();
}

TEST_F(RingTest, OfAQueuedWriteTheKernelMayTakeAPart) {
  Stream a;
  Stream b;
  run_to_end(*executor_, connect_by_tcp(*executor_, a, b));
  const int small = 8192;
  ::setsockopt(a.native_handle(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  ::setsockopt(b.native_handle(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  const std::string data = pattern(1'000'000);
  std::string got;
  executor_->spawn(write_pieces(a, data));
  run_to_end(*executor_, read_whole(b, data.size(), 1000, got));
  EXPECT_TRUE(got == data);
}

TEST_F(RingTest, WhatNobodyReadsIsNotKeptForEver) {
  constexpr size_t kStreams = Executor::Impl::kMaxLeaving + 3;
  std::deque<RawEnds> all;
  std::vector<size_t> taken(kStreams);
  std::deque<bool> timed_out(kStreams);
  for (size_t i = 0; i < kStreams; ++i) {
    all.emplace_back(*executor_);
    executor_->spawn(write_until_full(all[i].stream, 5000, taken[i], timed_out[i]));
  }
  run_until_true(*executor_, [&] { return executor_->tasks() == 0; });
  for (RawEnds& ends : all) ends.stream.close();
  EXPECT_EQ(executor_->impl().leaving.size(), Executor::Impl::kMaxLeaving);
}

TEST_F(RingTest, AFailedWriteIsToldByTheNextOperation) {
  for (const bool reads : {false, true}) {
    RawEnds ends(*executor_);
    ends.peer.reset();
    std::vector<IoError> errors;
    run_to_end(*executor_, write_in_a_turn(ends.stream, "unheard"));  // goes well
    settle();
    if (!reads) {
      run_to_end(*executor_, write(ends.stream, "more", &errors));
    } else {
      struct Reader {
        static Task<void> read(Stream& stream, std::vector<IoError>& errors) {
          char buffer[8];
          const auto n = co_await stream.read_some(buffer, soon());
          if (!n) errors.push_back(n.error());
        }
      };
      run_to_end(*executor_, Reader::read(ends.stream, errors));
    }
    EXPECT_EQ(errors, std::vector{IoError::kClosed});
  }
}

TEST_F(RingTest, MoreDataThanBuffersStarvesNobody) {
  constexpr size_t kStreams = 3 * Ring::kBuffers;
  constexpr size_t kSize = 100'000;
  std::deque<RawEnds> all;
  std::deque<std::string> got(kStreams);
  for (size_t i = 0; i < kStreams; ++i) {
    all.emplace_back(*executor_);
    executor_->spawn(read_whole(all.back().stream, 2 * kSize, 3000, got[i]));
  }
  settle();
  for (int half = 0; half < 2; ++half) {
    for (size_t i = 0; i < kStreams; ++i) {
      const std::string whole = pattern(2 * kSize, i);
      EXPECT_EQ(all[i].send(std::string_view(whole).substr(half * kSize, kSize)), kSize);
    }
    run_until_true(*executor_, [&] {
      return std::ranges::all_of(got, [&](auto& each) { return each.size() >= kSize; });
    });
  }
  run_until_true(*executor_, [&] { return executor_->tasks() == 0; });
  for (size_t i = 0; i < kStreams; ++i) EXPECT_TRUE(got[i] == pattern(2 * kSize, i)) << i;
}

Task<void> wait_in_vain(Stream& stream) {
  char byte = 0;
  const auto n = co_await stream.read_some(std::span(&byte, 1), soon(milliseconds(10)));
  EXPECT_FALSE(n);
}

TEST_F(RingTest, WhoDoesNotReadHoldsLittleAndOthersGoOn) {
  constexpr size_t kStreams = 2 * Ring::kBuffers;
  const std::string data = pattern(2 << 20);
  std::deque<RawEnds> idle;
  for (size_t i = 0; i < kStreams; ++i) {
    idle.emplace_back(*executor_);
    executor_->spawn(wait_in_vain(idle.back().stream));  // its receive stays
  }
  run_until_true(*executor_, [&] { return executor_->tasks() == 0; });
  std::vector<size_t> sent(kStreams);
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < kStreams; ++i) {
      sent[i] += idle[i].send(std::string_view(data).substr(sent[i]));
    }
    settle();
  }
  // Back-pressure reaches the peers.
  for (const size_t each : sent) EXPECT_LT(each, data.size() / 2);
  EXPECT_FALSE(executor_->impl().ring->has_buffers());
  RawEnds other(*executor_);
  std::string got;
  executor_->spawn(read_whole(other.stream, 30'000, 100'000, got));
  settle();
  EXPECT_EQ(other.send(std::string_view(data).substr(0, 30'000)), 30'000U);
  run_until_true(*executor_, [&] { return got.size() == 30'000; });
  // And nothing of it is lost or out of order.
  for (size_t i = 0; i < kStreams; i += 9) {
    std::string all;
    run_to_end(*executor_, read_whole(idle[i].stream, sent[i], 7000, all));
    EXPECT_TRUE(std::string_view(data).starts_with(all));
    EXPECT_EQ(all.size(), sent[i]);
  }
}

TEST_F(RingTest, WhatComesAfterADeadlineIsForTheNextRead) {
  RawEnds ends(*executor_);
  struct Reader {
    static Task<void> read(Stream& stream, TimePoint until, std::string& log) {
      char buffer[8];
      const auto n = co_await stream.read_some(buffer, until);
      log += n ? std::string(buffer, *n) : std::string(to_string(n.error()));
      log += ';';
    }
  };
  std::string log;
  run_to_end(*executor_, Reader::read(ends.stream, soon(milliseconds(10)), log));
  EXPECT_TRUE(ends.stream.quiet());
  ends.send("abc");
  EXPECT_FALSE(ends.stream.quiet());  // the kernel has it
  settle();
  EXPECT_FALSE(ends.stream.quiet());  // we have it
  run_to_end(*executor_, Reader::read(ends.stream, soon(), log));
  EXPECT_EQ(log, "timeout;abc;");
  EXPECT_TRUE(ends.stream.quiet());
  ends.peer.reset();
  settle();
  EXPECT_FALSE(ends.stream.quiet());
  EXPECT_TRUE(ends.stream.peer_left());
}

Task<void> own_and_wait(Stream stream) {
  char buffer[64];
  const auto n = co_await stream.read_some(buffer, kNever);
  ADD_FAILURE() << "read " << n.value_or(0);
}

Task<void> own_and_write_on(Stream stream) {
  co_await turn(stream.executor());
  const std::string data = pattern(5000);
  for (;;) {
    const auto sent = co_await stream.write_all(data, kNever);
    if (!sent) co_return;
  }
}

TEST_F(RingTest, TheExecutorEndsWithEverythingUnderWay) {
  std::vector<std::unique_ptr<RawEnds>> all;
  for (int i = 0; i < 300; ++i) {
    all.push_back(std::make_unique<RawEnds>(*executor_));
    executor_->spawn(own_and_wait(std::move(all.back()->stream)));
    all.push_back(std::make_unique<RawEnds>(*executor_));
    executor_->spawn(own_and_write_on(std::move(all.back()->stream)));
    if (i == 200) settle();
  }
  all.push_back(std::make_unique<RawEnds>(*executor_));
  size_t taken = 0;
  bool timed_out = false;
  executor_->spawn(write_until_full(all.back()->stream, 5000, taken, timed_out));
  run_until_true(*executor_, [&] { return timed_out; });
  all.back()->stream.close();  // and has still something to send
  executor_.reset();
  for (const auto& ends : all) {  // the peers know
    (void)ends->received();
    EXPECT_TRUE(ends->ended());
  }
}

TEST_F(RingTest, TheExecutorEndsOnAnotherThreadThanItRanOn) {
  RawEnds ends(*executor_);
  RawEnds sender(*executor_);
  executor_->spawn(own_and_wait(std::move(ends.stream)));
  executor_->spawn(own_and_wait(std::move(sender.stream)));
  std::thread loop([&] { executor_->run(); });
  sender.send("");
  executor_->post([&] { executor_->stop(); });
  loop.join();
  executor_.reset();
  EXPECT_TRUE(ends.ended());
}

TEST_F(RingTest, RunsOnOneThreadAfterTheOther) {
  RawEnds ends(*executor_);
  std::string got;
  executor_->spawn(read_whole(ends.stream, 4, 100, got));
  for (int i = 0; i < 2; ++i) {
    std::thread loop([&] { executor_->run(); });
    ends.send("ab");
    std::thread([&] {
      while (true) {
        std::atomic<bool> there = false;
        std::atomic<bool> seen = false;
        executor_->post([&] {
          there = got.size() == 2U * (i + 1);
          seen = true;
        });
        while (!seen) std::this_thread::yield();
        if (there) break;
      }
      executor_->stop();
    }).join();
    loop.join();
  }
  EXPECT_EQ(got, "abab");
}

TEST(RingChoice, IsTheEnvironments) {
  {
    const Engine epoll("epoll");
    Executor executor("test");
    EXPECT_FALSE(executor.impl().uses_ring);
  }
  const Engine wrong("kqueue");
  EXPECT_THROW(Executor("test"), std::runtime_error);
}

void forbid_io_uring() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(code), .filter = code};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::exit(3);
  }
}

void run_without_io_uring() {
  forbid_io_uring();
  try {
    const Engine uring("uring");
    const Executor executor("test");
    std::exit(4);
  } catch (const std::runtime_error& e) {
    if (std::string_view(e.what()).find("not permitted") == std::string_view::npos) std::exit(5);
  }
  const Engine any("");
  Executor executor("test");
  RawEnds ends(executor);
  std::string got;
  ends.send("here");
  run_to_end(executor, read_whole(ends.stream, 4, 10, got));
  std::exit(got == "here" && !executor.impl().uses_ring ? 0 : 6);
}

TEST(RingDeathTest, WithoutIoUringStreamsWaitByEpoll) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // the kernel is asked anew
  EXPECT_EXIT(run_without_io_uring(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace ebb::net
