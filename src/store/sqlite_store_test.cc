// What is SQLite's own: the file outlives kill -9, belongs to one process, and may
// be full.
#include "store/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "base/file.h"
#include "store/testing.h"

namespace ebb::store {
namespace {

using ::testing::HasSubstr;
using testing::run;

net::Task<void> put_one(Store* store, std::string key, std::string value,
                        std::vector<Result<RevisionNumber>>* results) {
  results->push_back(co_await store->put(std::move(key), std::move(value), kMustNotExist));
}

class SqliteStoreTest : public ::testing::Test {
 public:
  ~SqliteStoreTest() override { std::filesystem::remove_all(folder_); }

 protected:
  SqliteStoreTest() {
    std::string pattern = ::testing::TempDir() + "ebb-sqlite-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    path_ = folder_ + "/state.db";
  }
  std::unique_ptr<SqliteStore> open(SqliteOptions options = {}) {
    auto store = SqliteStore::open(executor_, path_, options);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }

  // Puts `count` new keys at once, so that they share commits.
  void put_many(Store& store, size_t count, const std::string& value) {
    std::vector<Result<RevisionNumber>> results;
    for (size_t i = 0; i < count; ++i) {
      executor_.spawn(put_one(&store, "k" + std::to_string(i), value, &results));
    }
    while (results.size() < count) {
      executor_.run_until(executor_.now() + std::chrono::milliseconds(5));
    }
    for (const auto& result : results) EXPECT_TRUE(result) << result.error().message;
  }

  net::Executor executor_{"sqlite-test"};
  std::string folder_;
  std::string path_;
};

TEST_F(SqliteStoreTest, KeepsEverythingOverAReopen) {
  {
    auto store = open();
    ASSERT_EQ(run(executor_, store->put("a", "1", kMustNotExist)), 1);
    ASSERT_EQ(run(executor_, store->put("a", "2", 1)), 2);
    ASSERT_EQ(run(executor_, store->put("b", "1", kMustNotExist)), 3);
    ASSERT_EQ(run(executor_, store->remove("b", 3)), 4);
  }
  auto store = open();
  auto range = run(executor_, store->list(""));
  ASSERT_TRUE(range);
  EXPECT_EQ(range->revision, 4) << "also when the newest change was a removal";
  ASSERT_EQ(range->items.size(), 1U);
  EXPECT_EQ(range->items[0].value, "2");
  auto watch = store->watch("", 1);
  auto events = run(executor_, watch->next(executor_.now() + std::chrono::seconds(20)));
  ASSERT_TRUE(events);
  EXPECT_EQ(events->size(), 3U) << "the history outlives the process";
}

TEST_F(SqliteStoreTest, FilesAreForThisUserOnly) {
  auto store = open();
  ASSERT_TRUE(run(executor_, store->put("a", "1", kMustNotExist)));
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
    struct stat info{};
    ASSERT_EQ(::stat((path_ + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777, 0600U) << suffix;
  }
}

TEST_F(SqliteStoreTest, ASecondOpenIsRefusedAndNamesTheHolder) {
  auto store = open();
  auto second = SqliteStore::open(executor_, path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kUnavailable);
  EXPECT_THAT(second.error().message, HasSubstr("process " + std::to_string(::getpid())));
  EXPECT_THAT(second.error().message, HasSubstr("stop that ebb"));
  store.reset();
  EXPECT_TRUE(SqliteStore::open(executor_, path_));
}

TEST_F(SqliteStoreTest, RefusesAFileThatIsNotItsOwn) {
  ASSERT_TRUE(write_file_atomic(path_, std::string(8192, 'x'), 0600));
  auto store = SqliteStore::open(executor_, path_);
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message, HasSubstr(path_));
}

TEST_F(SqliteStoreTest, RefusesAFolderThatDoesNotExist) {
  auto store = SqliteStore::open(executor_, folder_ + "/none/state.db");
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message, HasSubstr("none/state.db"));
}

TEST_F(SqliteStoreTest, AFullDiskFailsTheWriteAndNothingElse) {
  auto store = open({.max_file_bytes = 64 * 4096});
  ASSERT_EQ(run(executor_, store->put("small", "1", kMustNotExist)), 1);
  auto large = run(executor_, store->put("large", std::string(1 << 20, 'x'), kMustNotExist));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Errc::kExhausted);
  EXPECT_THAT(large.error().message, HasSubstr("database or disk is full"));
  EXPECT_EQ(run(executor_, store->put("small", "2", 1)), 2) << "no revision was lost";
  store.reset();
  store = open();
  EXPECT_EQ(run(executor_, store->list(""))->items.size(), 1U);
  EXPECT_EQ(run(executor_, store->put("large", std::string(1 << 20, 'x'), kMustNotExist)), 3);
}

TEST_F(SqliteStoreTest, OneTooLargeWriteDoesNotFailThoseCommittedWithIt) {
  auto store = open({.max_file_bytes = 64 * 4096});
  std::vector<Result<RevisionNumber>> results;
  for (int i = 0; i < 20; ++i) {
    std::string value(i == 10 ? 1 << 20 : 10, 'x');
    executor_.spawn(put_one(store.get(), "k" + std::to_string(i), value, &results));
  }
  while (results.size() < 20) executor_.run_until(executor_.now() + std::chrono::milliseconds(5));
  auto failed = std::count_if(results.begin(), results.end(), [](const auto& r) { return !r; });
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(run(executor_, store->list(""))->items.size(), 19U);
}

TEST_F(SqliteStoreTest, RefusesOversizedKeysAndValues) {
  auto store = open();
  for (auto [key, value] : {std::pair<size_t, size_t>{0, 1},
                            {SqliteStore::kMaxKeyBytes + 1, 1},
                            {1, SqliteStore::kMaxValueBytes + 1}}) {
    auto put = run(executor_, store->put(std::string(key, 'k'), std::string(value, 'v'), 0));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, Errc::kInvalid);
  }
}

TEST_F(SqliteStoreTest, HistoryStaysWithinItsBounds) {
  auto store = open({.history_revisions = 1 << 30, .history_bytes = 100 * 1000});
  put_many(*store, 300, std::string(1000, 'x'));
  auto old = store->watch("", 150);
  auto events = run(executor_, old->next(executor_.now() + std::chrono::seconds(20)));
  ASSERT_FALSE(events);
  EXPECT_EQ(events.error().code, Errc::kGone);
  auto recent = store->watch("", 280);
  events = run(executor_, recent->next(executor_.now() + std::chrono::seconds(20)));
  ASSERT_TRUE(events) << events.error().message;
  EXPECT_EQ(events->size(), 20U);
}

TEST_F(SqliteStoreTest, AWatchFarBehindReadsTheHistoryInPieces) {
  auto store = open();
  constexpr int kMany = 1000;  // more than one answer holds
  put_many(*store, kMany, "x");
  store.reset();
  store = open();  // nothing in memory
  auto watch = store->watch("", 0);
  RevisionNumber seen = 0;
  while (seen < kMany) {
    auto events = run(executor_, watch->next(executor_.now() + std::chrono::seconds(20)));
    ASSERT_TRUE(events) << events.error().message;
    for (const auto& event : *events) ASSERT_EQ(event.item.modified, ++seen);
  }
}

TEST_F(SqliteStoreTest, AWatchMayOutliveItsStore) {
  auto store = open();
  auto watch = store->watch("", 0);
  store.reset();
  auto events = run(executor_, watch->next(kNever));
  ASSERT_FALSE(events);
  EXPECT_EQ(events.error().code, Errc::kCanceled);
}

// --- kill -9 ---

// In a child: writes as fast as it can and reports every acknowledged write.
net::Task<void> write_and_report(Store* store, int writer, int report_fd) {
  std::string key = "w" + std::to_string(writer);
  auto found = co_await store->get(key);
  RevisionNumber last = found && *found ? (*found)->modified : kMustNotExist;
  for (int64_t i = 0;; ++i) {
    std::string value = std::to_string(i) + std::string(200, '.');
    auto revision = co_await store->put(key, value, last);
    if (!revision) ::_exit(3);
    last = *revision;
    int64_t line[2] = {writer, last};
    if (::write(report_fd, line, sizeof line) != sizeof line) ::_exit(4);
  }
}

[[noreturn]] void run_writers(const std::string& path, int report_fd) {
  net::Executor executor("writer");
  auto store = SqliteStore::open(executor, path);
  if (!store) ::_exit(2);
  for (int writer = 0; writer < 4; ++writer) {
    executor.spawn(write_and_report(store->get(), writer, report_fd));
  }
  executor.run();
  ::_exit(5);
}

TEST_F(SqliteStoreTest, WhatWasAcknowledgedOutlivesKill) {
  std::mt19937 random(4711);
  std::map<int64_t, RevisionNumber> acknowledged;
  constexpr int kRounds = 8;
  for (int round = 0; round < kRounds; ++round) {
    int fds[2];
    ASSERT_EQ(::pipe(fds), 0);
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(fds[0]);
      run_writers(path_, fds[1]);
    }
    ::close(fds[1]);
    // Kills after a random number of acknowledgements, in the middle of others.
    auto kill_after = std::uniform_int_distribution<int>(1, 150)(random);
    int count = 0;
    int64_t line[2];
    while (::read(fds[0], line, sizeof line) == sizeof line) {
      acknowledged[line[0]] = line[1];
      if (++count == kill_after) ::kill(child, SIGKILL);
    }
    ::close(fds[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);

    auto store = open();
    ASSERT_TRUE(store);
    auto range = run(executor_, store->list(""));
    ASSERT_TRUE(range);
    std::map<std::string, RevisionNumber> found;
    for (const auto& item : range->items) found[item.key] = item.modified;
    for (auto [writer, revision] : acknowledged) {
      std::string key = "w" + std::to_string(writer);
      // One more write may have been committed and not yet acknowledged.
      EXPECT_GE(found[key], revision) << key << " in round " << round;
      EXPECT_LE(found[key], range->revision);
    }
  }
}

// --- A disk that is really full ---

// In a child with mounts of its own: a tmpfs at `folder`.
bool mount_small(const std::string& folder) {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=1m") == 0;
}

// Fills the disk by writing, makes room, goes on, and opens the store again.
void write_until_full(net::Executor& executor, const std::string& folder) {
  const std::string path = folder + "/state.db";
  auto opened = SqliteStore::open(executor, path);
  ASSERT_TRUE(opened) << opened.error().message;
  auto store = std::move(*opened);
  ASSERT_TRUE(write_file_atomic(folder + "/other", std::string(256 << 10, 'x'), 0600));
  std::map<std::string, RevisionNumber> acknowledged;
  const auto put = [&](int i) {
    const std::string key = "k" + std::to_string(i);
    auto written = run(executor, store->put(key, std::string(10'000, 'x'), kMustNotExist));
    if (written) acknowledged[key] = *written;
    return written;
  };
  int next = 0;
  Result<RevisionNumber> last = 0;
  while (last && next < 1000) last = put(next++);
  ASSERT_FALSE(last) << "a disk of 1 MiB took " << next << " values of 10 kB";
  EXPECT_EQ(last.error().code, Errc::kExhausted) << last.error().message;
  EXPECT_THAT(last.error().message, HasSubstr("full"));
  EXPECT_GT(acknowledged.size(), 5U);
  // Reading goes on, and so does writing once there is room.
  EXPECT_EQ(run(executor, store->list(""))->items.size(), acknowledged.size());
  ASSERT_EQ(::unlink((folder + "/other").c_str()), 0);
  EXPECT_TRUE(put(next));
  store.reset();
  opened = SqliteStore::open(executor, path);
  ASSERT_TRUE(opened) << opened.error().message;
  const auto range = run(executor, (*opened)->list(""));
  ASSERT_TRUE(range);
  std::map<std::string, RevisionNumber> found;
  for (const auto& item : range->items) found[item.key] = item.modified;
  EXPECT_EQ(found, acknowledged);
}

TEST_F(SqliteStoreTest, AFullDiskLosesNothingAndIsGotOver) {
  constexpr int kNoRights = 77;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (!mount_small(folder_)) ::_exit(kNoRights);
    net::Executor executor("full");
    write_until_full(executor, folder_);
    ::_exit(HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == kNoRights) GTEST_SKIP() << "no right to mount a small disk";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace ebb::store
