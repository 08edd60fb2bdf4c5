#include "store/file_blob_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "base/sha256.h"
#include "store/testing.h"

namespace ebb::store {
namespace {

using ::testing::HasSubstr;
using testing::run;

class FileBlobStoreTest : public ::testing::Test {
 public:
  ~FileBlobStoreTest() override {
    disk_.reset();  // finishes what it has to remove
    std::filesystem::remove_all(folder_);
  }

 protected:
  FileBlobStoreTest() {
    std::string pattern = ::testing::TempDir() + "ebb-blobs-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    blobs_ = std::move(*FileBlobStore::open(executor_, *disk_, folder_));
  }

  static std::string digest_of(std::string_view content) { return "sha256:" + sha256_hex(content); }
  Result<void> store(const std::string& content, const std::string& digest) {
    auto writer = run(executor_, blobs_->create(digest));
    if (!writer) return fail(writer.error());
    for (size_t at = 0; at < content.size(); at += 1000) {
      auto written = run(executor_, (*writer)->write(content.substr(at, 1000)));
      if (!written) return written;
    }
    return run(executor_, (*writer)->commit());
  }
  size_t incoming() {
    // Behind whatever was queued before.
    EXPECT_TRUE(run(executor_, blobs_->list()));
    std::filesystem::directory_iterator begin(folder_ + "/incoming");
    return static_cast<size_t>(std::distance(begin, std::filesystem::directory_iterator()));
  }

  net::Executor executor_{"blob-test"};
  std::unique_ptr<DiskThread> disk_ = std::make_unique<DiskThread>();
  std::string folder_;
  std::unique_ptr<FileBlobStore> blobs_;
};

TEST_F(FileBlobStoreTest, KeepsWhatWasCommitted) {
  std::string content(200'000, 'x');
  std::string digest = digest_of(content);
  EXPECT_FALSE(*run(executor_, blobs_->find(digest)));
  ASSERT_TRUE(store(content, digest));
  auto found = run(executor_, blobs_->find(digest));
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->size, content.size());
  EXPECT_EQ(*read_file(blobs_->path_of(digest), 1 << 20), content);

  auto reader = run(executor_, blobs_->open(digest));
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->size(), content.size());
  std::string read;
  for (;;) {
    auto piece = run(executor_, (*reader)->read());
    ASSERT_TRUE(piece);
    if (piece->empty()) break;
    read += *piece;
  }
  EXPECT_EQ(read, content);
  EXPECT_EQ(incoming(), 0U);
}

TEST_F(FileBlobStoreTest, RefusesContentOfAnotherDigest) {
  std::string digest = digest_of("right");
  auto stored = store("wrong", digest);
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, Errc::kInvalid);
  EXPECT_THAT(stored.error().message, HasSubstr(digest_of("wrong")));
  EXPECT_FALSE(*run(executor_, blobs_->find(digest)));
  EXPECT_EQ(incoming(), 0U);
}

TEST_F(FileBlobStoreTest, StoringTwiceIsFine) {
  ASSERT_TRUE(store("x", digest_of("x")));
  EXPECT_TRUE(store("x", digest_of("x")));
  EXPECT_EQ(run(executor_, blobs_->list())->size(), 1U);
  EXPECT_TRUE(store("", digest_of("")));
}

TEST_F(FileBlobStoreTest, AnAbandonedWriterLeavesNothing) {
  {
    auto writer = run(executor_, blobs_->create(digest_of("x")));
    ASSERT_TRUE(writer);
    ASSERT_TRUE(run(executor_, (*writer)->write("part")));
    EXPECT_EQ(incoming(), 1U);
  }
  EXPECT_EQ(incoming(), 0U);
  EXPECT_TRUE(run(executor_, blobs_->list())->empty());
}

TEST_F(FileBlobStoreTest, ANewProcessSweepsWhatIsHalfWritten) {
  ASSERT_TRUE(write_file_atomic(folder_ + "/incoming/left", "x", 0600));
  ASSERT_TRUE(store("x", digest_of("x")));
  blobs_ = std::move(*FileBlobStore::open(executor_, *disk_, folder_));
  EXPECT_EQ(incoming(), 0U);
  EXPECT_EQ(run(executor_, blobs_->list())->size(), 1U);
}

TEST_F(FileBlobStoreTest, DigestsCannotNameOtherFiles) {
  for (const char* digest : {"", "sha256:", "sha256:../../etc/passwd", "md5:0"}) {
    EXPECT_EQ(run(executor_, blobs_->find(digest)).error().code, Errc::kInvalid);
    EXPECT_EQ(run(executor_, blobs_->create(digest)).error().code, Errc::kInvalid);
    EXPECT_EQ(run(executor_, blobs_->open(digest)).error().code, Errc::kInvalid);
    EXPECT_EQ(run(executor_, blobs_->remove(digest)).error().code, Errc::kInvalid);
  }
  EXPECT_FALSE(is_blob_digest("sha256:" + std::string(64, 'A')));
}

TEST_F(FileBlobStoreTest, WritersAndSizeAreBounded) {
  std::vector<std::unique_ptr<BlobWriter>> writers;
  for (int i = 0; i < FileBlobStore::kMaxWriters; ++i) {
    auto writer = run(executor_, blobs_->create(digest_of("x")));
    ASSERT_TRUE(writer);
    writers.push_back(std::move(*writer));
  }
  auto over = run(executor_, blobs_->create(digest_of("x")));
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, Errc::kExhausted);
  auto large =
      run(executor_, writers[0]->write(std::string(FileBlobStore::kMaxBlobBytes + 1, 'x')));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Errc::kInvalid);
  writers.pop_back();
  EXPECT_TRUE(run(executor_, blobs_->create(digest_of("x"))));
}

TEST_F(FileBlobStoreTest, OnlyWhatNobodyAskedForLatelyIsRemovedAsUnused) {
  const std::string old = digest_of("old");
  const std::string asked = digest_of("asked for");
  ASSERT_TRUE(store("old", old) && store("asked for", asked));
  const auto an_hour_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
  for (const auto& digest : {old, asked}) {
    std::filesystem::last_write_time(blobs_->path_of(digest), an_hour_ago);
  }
  ASSERT_TRUE(run(executor_, blobs_->find(asked)));
  const WallTime since = std::chrono::system_clock::now() - std::chrono::minutes(1);
  std::vector<std::string> both{old, asked};
  EXPECT_EQ(run(executor_, blobs_->remove_unused(both, since)), 1U);
  EXPECT_FALSE(std::filesystem::exists(blobs_->path_of(old)));
  EXPECT_TRUE(std::filesystem::exists(blobs_->path_of(asked)));
  std::vector<std::string> wrong{"../../etc"};
  EXPECT_FALSE(run(executor_, blobs_->remove_unused(wrong, since)));
}

TEST_F(FileBlobStoreTest, RemoveIsIdempotent) {
  ASSERT_TRUE(store("x", digest_of("x")));
  EXPECT_TRUE(run(executor_, blobs_->remove(digest_of("x"))));
  EXPECT_TRUE(run(executor_, blobs_->remove(digest_of("x"))));
  EXPECT_EQ(run(executor_, blobs_->open(digest_of("x"))).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace ebb::store
