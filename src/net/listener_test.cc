#include "net/listener.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "net/test_util.h"

namespace ebb::net {
namespace {

using std::chrono::milliseconds;

Address loopback(uint16_t port = 0) { return {Address::Kind::kIp, "127.0.0.1", port}; }

class Folder {
 public:
  Folder() { std::filesystem::create_directories(path_); }
  ~Folder() { std::filesystem::remove_all(path_.parent_path()); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ / name; }
  // Makes the path longer than a socket address takes.
  void deepen() {
    path_ /= std::string(120, 'd');
    std::filesystem::create_directories(path_);
  }

 private:
  std::filesystem::path path_ =
      std::filesystem::path(testing::TempDir()) / ("ebb" + random_hex(6)) / "s";
};

Task<void> connect_and_count(Executor& executor, Address to, int& connected,
                             std::vector<IoError>& errors) {
  auto stream = co_await connect(executor, to, soon());
  if (!stream) {
    errors.push_back(stream.error());
    co_return;
  }
  ++connected;
  auto sent = co_await stream->write_all("x", soon());
  EXPECT_TRUE(sent);
  char byte[1];
  auto n = co_await stream->read_some(byte, soon());  // until the peer is done
  EXPECT_TRUE(n);
}

Task<void> accept_some(Listener& listener, int count, std::vector<IoError>& errors) {
  for (int i = 0; i < count; ++i) {
    auto stream = co_await listener.accept();
    if (!stream) {
      errors.push_back(stream.error());
      co_return;
    }
    char byte[1];
    auto n = co_await stream->read_some(byte, soon());
    EXPECT_EQ(n.value_or(0), 1U);
  }
}

void expect_works(Executor& executor, Listener& listener, const Address& to) {
  int connected = 0;
  std::vector<IoError> errors;
  executor.spawn(accept_some(listener, 3, errors));
  for (int i = 0; i < 3; ++i) executor.spawn(connect_and_count(executor, to, connected, errors));
  run_until_true(executor, [&] { return executor.tasks() == 0; });
  EXPECT_EQ(connected, 3);
  EXPECT_TRUE(errors.empty());
}

TEST(Listener, AcceptsOnAChosenPort) {
  Executor executor("test");
  auto fds = bind_shared(loopback(), 1);
  ASSERT_TRUE(fds) << fds.error().message;
  Listener listener(executor, std::move(fds->front()));
  EXPECT_EQ(listener.local().host, "127.0.0.1");
  EXPECT_NE(listener.local().port, 0);
  expect_works(executor, listener, listener.local());
}

TEST(Listener, Ipv6TakesIpv4Too) {
  Executor executor("test");
  auto fds = bind_shared({Address::Kind::kIp, "::", 0}, 1);
  if (!fds) GTEST_SKIP() << fds.error().message;
  Listener listener(executor, std::move(fds->front()));
  expect_works(executor, listener, loopback(listener.local().port));
}

TEST(Listener, SharedSocketsHaveOnePort) {
  auto fds = bind_shared(loopback(), 3);
  ASSERT_TRUE(fds) << fds.error().message;
  ASSERT_EQ(fds->size(), 3U);
  for (const UniqueFd& fd : *fds) {
    EXPECT_EQ(local_address(fd.get()).value(), local_address(fds->front().get()).value());
    EXPECT_TRUE(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC);
  }
}

TEST(Listener, SeesThatAnAddressIsInUseInEveryCombination) {
  for (const int first : {1, 2}) {
    auto fds = bind_shared(loopback(), first);
    ASSERT_TRUE(fds);
    const Address taken = local_address(fds->front().get()).value();
    for (const int second : {1, 2}) {
      auto again = bind_shared(taken, second);
      ASSERT_FALSE(again) << first << " then " << second;
      EXPECT_EQ(again.error().code, Errc::kAlreadyExists);
      EXPECT_EQ(
          again.error().message,
          taken.to_string() + " is in use: choose another address or stop what listens there");
    }
    fds->clear();
    EXPECT_TRUE(bind_shared(taken, 2));  // free again at once
  }
}

TEST(Listener, BindErrorsSayWhatToDo) {
  auto foreign = bind_shared({Address::Kind::kIp, "192.0.2.1", 0}, 1);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, Errc::kInvalid);
  EXPECT_THAT(foreign.error().message, testing::HasSubstr("no network interface"));
  EXPECT_EQ(bind_shared(loopback(), 0).error().code, Errc::kInvalid);
  EXPECT_EQ(bind_shared({Address::Kind::kIp, "example.com", 1}, 1).error().code, Errc::kInvalid);
}

TEST(Listener, UnixSocketsAreSharedAndStaleFilesReplaced) {
  Executor executor("test");
  const Folder folder;
  const Address address = Address::unix_path(folder / "sock");
  {
    auto dead = bind_shared(address, 1);
    ASSERT_TRUE(dead) << dead.error().message;
  }  // leaves its file
  auto fds = bind_shared(address, 2);
  ASSERT_TRUE(fds) << fds.error().message;
  Listener first(executor, std::move((*fds)[0]));
  EXPECT_EQ(first.local(), address);
  expect_works(executor, first, address);
  first.close();  // the other descriptor still listens
  Listener second(executor, std::move((*fds)[1]));
  expect_works(executor, second, address);
  EXPECT_EQ(bind_shared(address, 1).error().code, Errc::kAlreadyExists);
}

TEST(Listener, AUnixPathThatIsAFileIsNotReplaced) {
  const Folder folder;
  const std::string path = folder / "file";
  UniqueFd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).reset();
  auto bound = bind_shared(Address::unix_path(path), 1);
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().code, Errc::kAlreadyExists);
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(Listener, UnixPathsOfAnyLength) {
  Executor executor("test");
  Folder folder;
  folder.deepen();
  const Address address = Address::unix_path(folder / "sock");
  ASSERT_GT(address.host.size(), 108U);
  auto fds = bind_shared(address, 1);
  ASSERT_TRUE(fds) << fds.error().message;
  Listener listener(executor, std::move(fds->front()));
  expect_works(executor, listener, address);
}

TEST(Listener, CloseCancelsAPendingAcceptButNotAtOnce) {
  Executor executor("test");
  auto fds = bind_shared(loopback(), 1);
  ASSERT_TRUE(fds);
  Listener listener(executor, std::move(fds->front()));
  const Address address = listener.local();
  std::vector<IoError> errors;
  executor.spawn(accept_some(listener, 1, errors));
  executor.run_until(executor.now());
  listener.close();
  EXPECT_TRUE(errors.empty());
  run_until_true(executor, [&] { return executor.tasks() == 0; });
  EXPECT_EQ(errors, std::vector{IoError::kCanceled});
  int connected = 0;
  run_to_end(executor, connect_and_count(executor, address, connected, errors));
  EXPECT_EQ(errors.back(), IoError::kRefused);
}

Task<void> accept_error(Listener& listener, std::vector<IoError>& errors) {
  auto stream = co_await listener.accept();
  if (!stream) errors.push_back(stream.error());
}

TEST(Listener, MayBeDestroyedWhileAnAcceptWaits) {
  Executor executor("test");
  auto fds = bind_shared(loopback(), 1);
  ASSERT_TRUE(fds);
  std::vector<IoError> errors;
  {
    Listener listener(executor, std::move(fds->front()));
    executor.spawn(accept_error(listener, errors));
  }
  run_until_true(executor, [&] { return executor.tasks() == 0; });
  EXPECT_EQ(errors, std::vector{IoError::kCanceled});
}

Task<void> own_and_accept(Listener listener) {
  auto stream = co_await listener.accept();
  ADD_FAILURE() << "accepted: " << stream.has_value();
}

TEST(Listener, IsDestroyedWithItsFrame) {
  auto executor = std::make_unique<Executor>("test");
  auto fds = bind_shared(loopback(), 1);
  ASSERT_TRUE(fds);
  executor->spawn(own_and_accept(Listener(*executor, std::move(fds->front()))));
  executor->run_until(executor->now());
  executor.reset();
}

TEST(Listener, WaitsOutAShortageOfDescriptors) {
  Executor executor("test");
  const Folder folder;
  const Address address = Address::unix_path(folder / "sock");
  auto fds = bind_shared(address, 1);
  ASSERT_TRUE(fds);
  Listener listener(executor, std::move(fds->front()));
  const UniqueFd dir(::open((folder / "").c_str(), O_PATH | O_CLOEXEC));
  auto client = connect_unix_at(executor, dir.get(), "sock");
  ASSERT_TRUE(client);
  std::vector<IoError> errors;
  // UBSan opens a pipe at the first virtual call of each kind: log one line before.
  log::warn("test", "soon out of descriptors");
  testing::internal::CaptureStderr();
  std::optional<NoDescriptors> shortage(std::in_place);
  executor.spawn(accept_error(listener, errors));
  executor.run_until(executor.now() + milliseconds(250));
  executor.run_until(executor.now() + milliseconds(250));
  EXPECT_EQ(executor.tasks(), 1U);
  shortage.reset();
  run_until_true(executor, [&] { return executor.tasks() == 0; });
  EXPECT_TRUE(errors.empty());
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;  // not at each attempt
  EXPECT_THAT(log, testing::HasSubstr("Too many open files"));
}

Task<void> accept_all(Listener& listener, std::vector<Stream>& accepted) {
  for (;;) {
    auto stream = co_await listener.accept();
    if (!stream) co_return;
    accepted.push_back(std::move(*stream));
  }
}

TEST(Listener, LeavesDescriptorsToWhatServesWhoIsThere) {
  Executor executor("test");
  const Folder folder;
  auto fds = bind_shared(Address::unix_path(folder / "sock"), 1);
  ASSERT_TRUE(fds);
  const UniqueFd dir(::open((folder / "").c_str(), O_PATH | O_CLOEXEC));
  std::vector<Stream> clients;
  for (int i = 0; i < 10; ++i) {
    auto client = connect_unix_at(executor, dir.get(), "sock");
    ASSERT_TRUE(client);
    clients.push_back(std::move(*client));
  }
  executor.run_until(executor.now());
  testing::internal::CaptureStderr();
  const NoDescriptors few(12);
  Listener listener(executor, std::move(fds->front()));
  std::vector<Stream> accepted;
  executor.spawn(accept_all(listener, accepted));
  executor.run_until(executor.now() + milliseconds(250));
  EXPECT_GE(accepted.size(), 1U);
  EXPECT_LE(accepted.size(), 5U);
  std::vector<UniqueFd> spare;
  for (int i = 0; i < 6; ++i) spare.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(spare.back()) << "6 files can be opened still";
  spare.clear();
  clients.clear();
  const size_t before = accepted.size();
  accepted.clear();
  run_until_true(executor, [&] { return accepted.size() == 10 - before; });
  listener.close();
  run_until_true(executor, [&] { return executor.tasks() == 0; });
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("cannot accept"));
}

TEST(Listener, CloseEndsAWaitForDescriptors) {
  Executor executor("test");
  const Folder folder;
  auto fds = bind_shared(Address::unix_path(folder / "sock"), 1);
  ASSERT_TRUE(fds);
  Listener listener(executor, std::move(fds->front()));
  const UniqueFd dir(::open((folder / "").c_str(), O_PATH | O_CLOEXEC));
  auto client = connect_unix_at(executor, dir.get(), "sock");
  ASSERT_TRUE(client);
  std::vector<IoError> errors;
  const NoDescriptors shortage;
  executor.spawn(accept_error(listener, errors));
  listener.close();
  run_until_true(executor, [&] { return executor.tasks() == 0; });
  EXPECT_EQ(errors, std::vector{IoError::kCanceled});
}

TEST(Connect, UnixAtSaysWhyNot) {
  Executor executor("test");
  const Folder folder;
  const UniqueFd dir(::open((folder / "").c_str(), O_PATH | O_CLOEXEC));
  EXPECT_EQ(connect_unix_at(executor, dir.get(), "none").error(), IoError::kRefused);
  {
    auto dead = bind_shared(Address::unix_path(folder / "dead"), 1);
  }
  EXPECT_EQ(connect_unix_at(executor, dir.get(), "dead").error(), IoError::kRefused);
  EXPECT_EQ(connect_unix_at(executor, dir.get(), std::string(200, 'x')).error(), IoError::kOther);
}

Task<void> connect_error(Executor& executor, Address to, TimePoint deadline,
                         std::optional<IoError>& error) {
  auto stream = co_await connect(executor, to, deadline);
  if (!stream) error = stream.error();
}

TEST(Connect, AFullBacklogIsExhaustedOrWaitedFor) {
  Executor executor("test");
  const Folder folder;
  const Address address = Address::unix_path(folder / "sock");
  auto fds = bind_shared(address, 1);
  ASSERT_TRUE(fds);
  ASSERT_EQ(::listen(fds->front().get(), 0), 0);  // room for one
  const UniqueFd dir(::open((folder / "").c_str(), O_PATH | O_CLOEXEC));
  std::vector<Stream> held;
  std::optional<IoError> full;
  while (!full && held.size() < 10) {
    auto stream = connect_unix_at(executor, dir.get(), "sock");
    if (stream) {
      held.push_back(std::move(*stream));
    } else {
      full = stream.error();
    }
  }
  EXPECT_EQ(full, IoError::kExhausted);
  std::optional<IoError> late;
  run_to_end(executor, connect_error(executor, address, soon(milliseconds(30)), late));
  EXPECT_EQ(late, IoError::kTimeout);
  Listener listener(executor, std::move(fds->front()));
  std::optional<IoError> none;
  std::vector<IoError> errors;
  executor.spawn(connect_error(executor, address, soon(), none));
  run_to_end(executor, accept_error(listener, errors));
  EXPECT_EQ(none, std::nullopt);
}

TEST(Connect, RefusesAndTimesOut) {
  Executor executor("test");
  auto fds = bind_shared(loopback(), 1);
  ASSERT_TRUE(fds);
  const Address free = local_address(fds->front().get()).value();
  fds->clear();
  std::optional<IoError> error;
  run_to_end(executor, connect_error(executor, free, soon(), error));
  EXPECT_EQ(error, IoError::kRefused);
  run_to_end(executor, connect_error(executor, free, soon(-milliseconds(1)), error));
  EXPECT_EQ(error, IoError::kTimeout);
  run_to_end(executor, connect_error(executor, Address::unix_path("/nowhere/sock"), soon(), error));
  EXPECT_EQ(error, IoError::kRefused);
}

}  // namespace
}  // namespace ebb::net
