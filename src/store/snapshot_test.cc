#include "store/snapshot.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "store/sqlite_tables.h"

namespace ebb::store {
namespace {

namespace fs = std::filesystem;

class SnapshotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "ebb-snapshot-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/it's.db";  // a name that SQL must quote
  }
  void TearDown() override { fs::remove_all(folder_); }

  // As a file of its own, to be looked into.
  std::string saved(const Snapshot& snapshot) const {
    std::string to = folder_ + "/copy.db";
    fs::copy_file("/proc/self/fd/" + std::to_string(snapshot.file.get()), to,
                  fs::copy_options::overwrite_existing);
    return to;
  }

  std::string folder_;
  std::string path_;
};

std::string digest(char c) { return "sha256:" + std::string(64, c); }

TEST_F(SnapshotTest, HoldsWhatWasWrittenAndNamesItsPackages) {
  SqliteTables tables(path_, {});
  tables.begin();
  ASSERT_TRUE(tables.put("a", "{\"code\":\"" + digest('a') + "\",\"x\":\"sha256:short\"}", 0));
  ASSERT_TRUE(tables.put("b", digest('b') + digest('a'), 0));
  tables.commit();
  const auto snapshot = take_snapshot(path_);
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_EQ(snapshot->digests, (std::vector<std::string>{digest('a'), digest('b')}));
  const std::string copy = saved(*snapshot);
  EXPECT_EQ(fs::file_size(copy), snapshot->size);
  EXPECT_EQ(check_store_file(copy).value(), snapshot->digests);
  EXPECT_EQ(SqliteTables(copy, {}).revision(), 2);
  EXPECT_FALSE(fs::exists(path_ + ".snapshot"));
}

// Each transaction writes the same number to two keys: a copy never has two numbers.
TEST_F(SnapshotTest, IsOfOneMomentWhileWritesGoOn) {
  std::atomic<bool> stop = false;
  std::atomic<int> written = 0;
  std::thread writer([&] {
    SqliteTables tables(path_, {});
    RevisionNumber a = 0;
    RevisionNumber b = 0;
    while (!stop) {
      tables.begin();
      const std::string value = std::to_string(written + 1);
      a = tables.put("a", value, a).value();
      b = tables.put("b", value, b).value();
      tables.commit();
      ++written;
    }
  });
  while (written == 0) std::this_thread::yield();
  for (int i = 0; i < 5; ++i) {
    const int before = written;
    const auto snapshot = take_snapshot(path_);
    ASSERT_TRUE(snapshot) << snapshot.error().message;
    SqliteTables copy(saved(*snapshot), {});
    const std::string value = copy.get("a")->value;
    EXPECT_EQ(value, copy.get("b")->value);
    EXPECT_GE(std::stoi(value), before);
    for (const char* side : {"-wal", "-shm"}) fs::remove(folder_ + "/copy.db" + side);
  }
  stop = true;
  writer.join();
}

TEST_F(SnapshotTest, WhatIsNoStoreIsRefused) {
  std::ofstream(path_) << "not a database at all, whatever its name may say";
  EXPECT_FALSE(check_store_file(path_));
  EXPECT_FALSE(take_snapshot(path_));
  EXPECT_FALSE(take_snapshot(folder_ + "/none/state.db"));
}

}  // namespace
}  // namespace ebb::store
