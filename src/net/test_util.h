// What tests of coroutines need: run one to its end, and connected sockets.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "net/executor.h"
#include "net/stream.h"
#include "net/tls_identity.h"

namespace ebb::net {

// No test waits longer for anything.
inline constexpr Duration kTestLimit = std::chrono::seconds(20);

inline TimePoint soon(Duration after = kTestLimit) {
  return std::chrono::steady_clock::now() + after;
}

// Runs the loop until `done`. Fails the test at the limit.
template <class Done>
void run_until_true(Executor& executor, Done done) {
  const TimePoint limit = soon();
  while (!done() && executor.now() < limit) executor.run_until(limit);
  EXPECT_TRUE(done()) << "nothing happened in time";
}

// Runs `task` and all that it spawns.
inline void run_to_end(Executor& executor, Task<void> task) {
  executor.spawn(std::move(task));
  run_until_true(executor, [&] { return executor.tasks() == 0; });
}

inline std::pair<UniqueFd, UniqueFd> socket_pair() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// Lowers the limit on descriptors so that so many more can be had.
class NoDescriptors {
 public:
  explicit NoDescriptors(rlim_t left = 0) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const UniqueFd probe(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const rlimit tight{static_cast<rlim_t>(probe.get()) + left, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &tight);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

// Bytes of which none is where another belongs.
inline std::string pattern(size_t size, size_t seed = 0) {
  std::string out(size, '\0');
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>((i + seed) * 31 + i / 251);
  return out;
}

// A certificate authority and a server's certificate for this machine, in a folder of
// their own.
struct TestIdentity {
  TestIdentity() : TestIdentity({"localhost", "127.0.0.1"}) {}
  explicit TestIdentity(const std::vector<std::string>& names) {
    std::string pattern = testing::TempDir() + "ebb-tls-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    folder = pattern;
    auto made = load_tls_identity(folder + "/tls", names, std::chrono::system_clock::now());
    EXPECT_TRUE(made) << made.error().message;
    if (made) identity = *made;
  }
  ~TestIdentity() { std::filesystem::remove_all(folder); }
  TestIdentity(const TestIdentity&) = delete;
  TestIdentity& operator=(const TestIdentity&) = delete;

  std::string folder;
  TlsIdentity identity;
};

}  // namespace ebb::net
