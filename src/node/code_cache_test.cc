#include "node/code_cache.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <optional>

#include "base/file.h"
#include "base/sha256.h"
#include "store/file_blob_store.h"
#include "store/testing.h"

namespace ebb::node {
namespace {

namespace fs = std::filesystem;
using store::testing::run;
using ::testing::HasSubstr;

// Makes archives, bad ones too.
class Tar {
 public:
  Tar() {
    archive_write_set_format_pax_restricted(archive_);
    archive_write_set_bytes_per_block(archive_, 0);
    archive_write_open2(archive_, &bytes_, nullptr, &Tar::append, nullptr, nullptr);
  }
  ~Tar() {
    if (archive_) archive_write_free(archive_);
  }
  Tar(const Tar&) = delete;
  Tar& operator=(const Tar&) = delete;

  Tar& file(const std::string& name, const std::string& content, mode_t mode = 0644) {
    return add(name, AE_IFREG, mode, content, "", "");
  }
  Tar& folder(const std::string& name, mode_t mode = 0755) {
    return add(name, AE_IFDIR, mode, "", "", "");
  }
  Tar& link(const std::string& name, const std::string& target) {
    return add(name, AE_IFLNK, 0777, "", target, "");
  }
  Tar& hard_link(const std::string& name, const std::string& target) {
    return add(name, AE_IFREG, 0644, "", "", target);
  }
  Tar& special(const std::string& name, mode_t type) { return add(name, type, 0644, "", "", ""); }
  std::string bytes() {
    archive_write_free(std::exchange(archive_, nullptr));
    return bytes_;
  }

 private:
  Tar& add(const std::string& name, mode_t type, mode_t mode, const std::string& content,
           const std::string& target, const std::string& hard) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, mode);
    archive_entry_set_size(entry, static_cast<int64_t>(content.size()));
    if (!target.empty()) archive_entry_set_symlink(entry, target.c_str());
    if (!hard.empty()) archive_entry_set_hardlink(entry, hard.c_str());
    EXPECT_GE(archive_write_header(archive_, entry), ARCHIVE_WARN);  // a name that is no text
    if (!content.empty()) archive_write_data(archive_, content.data(), content.size());
    archive_entry_free(entry);
    return *this;
  }
  static la_ssize_t append(archive* /*a*/, void* to, const void* data, size_t size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
  }

  std::string bytes_;
  archive* archive_ = archive_write_new();
};

// Counts who opens a blob, and can be told to have none.
class CountingBlobs final : public store::BlobStore {
 public:
  explicit CountingBlobs(store::BlobStore& inner) : inner_(inner) {}
  net::Task<Result<std::optional<store::BlobInfo>>> find(std::string digest) override {
    return inner_.find(std::move(digest));
  }
  net::Task<Result<std::unique_ptr<store::BlobWriter>>> create(std::string digest) override {
    return inner_.create(std::move(digest));
  }
  net::Task<Result<std::unique_ptr<store::BlobReader>>> open(std::string digest) override {
    ++opened;
    return inner_.open(std::move(digest));
  }
  net::Task<Result<void>> remove(std::string digest) override {
    return inner_.remove(std::move(digest));
  }
  net::Task<Result<size_t>> remove_unused(std::vector<std::string> digests,
                                          WallTime since) override {
    return inner_.remove_unused(std::move(digests), since);
  }
  net::Task<Result<std::vector<store::BlobInfo>>> list() override { return inner_.list(); }
  int opened = 0;

 private:
  store::BlobStore& inner_;
};

class CodeCacheTest : public ::testing::Test {
 protected:
  CodeCacheTest() {
    std::string pattern = ::testing::TempDir() + "ebb-code-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
    fs::create_directory(root_ + "/code");
    stored_ = std::move(*store::FileBlobStore::open(executor_, disk_, root_ + "/blobs"));
    blobs_ = std::make_unique<CountingBlobs>(*stored_);
    cache_ = make({.bytes = 4 << 20, .entries = 400, .depth = 8});
  }
  ~CodeCacheTest() override {
    (void)leftovers();  // the disk has done what was asked
    fs::remove_all(root_);
  }

  std::unique_ptr<CodeCache> make(UnpackLimits limits) {
    return std::make_unique<CodeCache>(executor_, *blobs_, disk_, root_ + "/code", limits);
  }
  std::string upload(const std::string& bytes) {
    std::string hash = sha256_hex(bytes);
    auto writer = run(executor_, blobs_->create("sha256:" + hash));
    EXPECT_TRUE(writer && run(executor_, (*writer)->write(bytes)));
    EXPECT_TRUE(run(executor_, (*writer)->commit()));
    return hash;
  }
  Result<void> ensure(const std::string& hash) { return run(executor_, cache_->ensure(hash)); }
  // What the cache says of an archive that must be refused.
  std::string refusal(Tar& tar) {
    const std::string hash = upload(tar.bytes());
    const auto result = ensure(hash);
    EXPECT_FALSE(fs::exists(cache_->path_of(hash)));
    EXPECT_TRUE(leftovers().empty());
    if (result) return "accepted";
    EXPECT_EQ(result.error().code, Errc::kInvalid);
    return result.error().message;
  }
  // Temporary folders, once the disk has done what was asked.
  std::vector<std::string> leftovers() {
    auto waiting = disk_.run<bool>(executor_, [] { return Result<bool>(true); }, 0);
    EXPECT_TRUE(run(executor_, std::move(waiting)));
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(root_ + "/code")) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(".")) names.push_back(name);
    }
    return names;
  }
  static mode_t mode(const std::string& path) {
    struct stat info{};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  }

  net::Executor executor_{"code-test"};
  store::DiskThread disk_;
  std::string root_;
  std::unique_ptr<store::FileBlobStore> stored_;
  std::unique_ptr<CountingBlobs> blobs_;
  std::unique_ptr<CodeCache> cache_;
};

TEST_F(CodeCacheTest, UnpacksOnce) {
  const std::string big(300'000, 'x');
  Tar tar;
  tar.folder("lib", 0700).file("main.py", "x = 1", 0600).file("lib/run.sh", big, 04711);
  tar.file("deep/er/a.txt", "a").link("lib/main.py", "../main.py").link("here", "lib/./run.sh");
  tar.folder("./").file("./dotted", "");
  const std::string hash = upload(tar.bytes());
  const mode_t umask_before = ::umask(077);
  const auto result = ensure(hash);
  ::umask(umask_before);
  ASSERT_TRUE(result) << result.error().message;
  const std::string at = cache_->path_of(hash);
  EXPECT_EQ(*read_file(at + "/lib/main.py", 100), "x = 1");
  EXPECT_EQ(*read_file(at + "/here", 1 << 20), big);
  EXPECT_EQ(*read_file(at + "/dotted", 1), "");
  // Other users read it, whatever the archive and the umask say.
  for (const char* folder : {"", "/lib", "/deep", "/deep/er"}) EXPECT_EQ(mode(at + folder), 0755);
  EXPECT_EQ(mode(at + "/main.py"), 0644);
  EXPECT_EQ(mode(at + "/lib/run.sh"), 0755);
  EXPECT_TRUE(leftovers().empty());

  ASSERT_TRUE(ensure(hash));
  EXPECT_EQ(blobs_->opened, 1);
  ASSERT_TRUE(run(executor_, cache_->remove(hash)));
  EXPECT_FALSE(fs::exists(at));
  ASSERT_TRUE(run(executor_, cache_->remove(hash)));
  ASSERT_TRUE(ensure(hash));
  EXPECT_EQ(blobs_->opened, 2);
}

TEST_F(CodeCacheTest, ManyWaitForOneUnpacking) {
  Tar tar;
  for (int i = 0; i < 300; ++i) tar.file(fmt::format("f{}", i), "content");
  const std::string hash = upload(tar.bytes());
  std::optional<Result<void>> results[5];
  for (auto& result : results) {
    executor_.spawn(store::testing::keep_result(cache_->ensure(hash), &result));
  }
  EXPECT_EQ(run(executor_, cache_->remove(hash)).error().code, Errc::kUnavailable);
  while (executor_.tasks() > 0) executor_.run_until(executor_.now() + std::chrono::seconds(1));
  for (const auto& result : results) EXPECT_TRUE(result && *result);
  EXPECT_EQ(blobs_->opened, 1);
}

TEST_F(CodeCacheTest, AMissingPackageMayComeLater) {
  Tar tar;
  const std::string bytes = tar.file("main.py", "x").bytes();
  EXPECT_EQ(ensure(sha256_hex(bytes)).error().code, Errc::kNotFound);
  EXPECT_TRUE(leftovers().empty());
  EXPECT_TRUE(ensure(upload(bytes)));
  EXPECT_EQ(ensure("../../etc").error().code, Errc::kInvalid);
  EXPECT_EQ(run(executor_, cache_->remove("../../etc")).error().code, Errc::kInvalid);
}

TEST_F(CodeCacheTest, SweepsWhatIsHalfDone) {
  Tar tar;
  const std::string hash = upload(tar.file("main.py", "x").bytes());
  ASSERT_TRUE(ensure(hash));
  fs::create_directories(root_ + "/code/.tmp-0123/code/lib");
  ASSERT_TRUE(run(executor_, cache_->sweep()));
  EXPECT_TRUE(leftovers().empty());
  EXPECT_TRUE(fs::exists(cache_->path_of(hash) + "/main.py"));
}

TEST_F(CodeCacheTest, RefusesNamesThatLeave) {
  for (const char* name : {"../evil", "a/../../evil", "/etc/evil", "a/b/../../../evil"}) {
    Tar tar;
    EXPECT_THAT(refusal(tar.file(name, "x")), HasSubstr("leaves it")) << name;
  }
  EXPECT_FALSE(fs::exists(root_ + "/evil"));
  Tar folder;
  EXPECT_THAT(refusal(folder.folder("../evil")), HasSubstr("leaves it"));
}

TEST_F(CodeCacheTest, NamesThatAreNoTextAreShownAsBytes) {
  Tar tar;
  EXPECT_THAT(refusal(tar.file("../\xe9\xd1\xca)\xba\xf2\xe3\xfc", "x")),
              HasSubstr(R"("../\xe9\xd1\xca)\xba\xf2\xe3\xfc")"));
}

TEST_F(CodeCacheTest, RefusesLinksThatLeave) {
  for (const char* target : {"/etc/passwd", "..", "../..", "a/../../..", "x/../y", "./../z"}) {
    Tar tar;
    EXPECT_THAT(refusal(tar.link("link", target)), HasSubstr("leaves it")) << target;
  }
  Tar up_one_too_many;
  EXPECT_THAT(refusal(up_one_too_many.link("a/b/link", "../../../x")), HasSubstr("leaves it"));
}

TEST_F(CodeCacheTest, WritesThroughNoLink) {
  Tar through;
  EXPECT_THAT(refusal(through.folder("a").link("l", "a").file("l/x", "x")), HasSubstr("no folder"));
  Tar onto;
  EXPECT_THAT(refusal(onto.file("a", "1").link("l", "a").file("l", "2")), HasSubstr("twice"));
  Tar twice;
  EXPECT_THAT(refusal(twice.file("a", "1").file("./a", "2")), HasSubstr("twice"));
  Tar below_file;
  EXPECT_THAT(refusal(below_file.file("a", "1").file("a/b", "2")), HasSubstr("no folder"));
}

TEST_F(CodeCacheTest, RefusesWhatIsNoFile) {
  for (mode_t type : {AE_IFCHR, AE_IFBLK, AE_IFIFO}) {
    Tar tar;
    EXPECT_THAT(refusal(tar.special("device", type)), HasSubstr("neither"));
  }
  Tar hard;
  EXPECT_THAT(refusal(hard.file("a", "x").hard_link("b", "a")), HasSubstr("a hard link"));
}

TEST_F(CodeCacheTest, RefusesTooMuch) {
  Tar large;
  large.file("a", std::string(3 << 20, 'a'));
  EXPECT_THAT(refusal(large.file("b", std::string(2 << 20, 'b'))),
              HasSubstr("larger than 4 MiB unpacked"));
  Tar many;
  for (int i = 0; i < 401; ++i) many.file(fmt::format("f{}", i), "");
  EXPECT_THAT(refusal(many), HasSubstr("more than 400 entries"));
  Tar deep;
  std::string path;
  for (int i = 0; i < 9; ++i) path += "d/";
  EXPECT_THAT(refusal(deep.file(path + "f", "x")), HasSubstr("nests more than 8"));
}

// A header may promise what the archive does not hold: the bound is on the promise.
TEST_F(CodeCacheTest, RefusesPromises) {
  Tar tar;
  std::string bytes = tar.file("a", std::string(1000, 'a')).bytes();
  bytes.replace(124, 12, std::string("77777777777") + '\0');  // 8 GiB, in octal
  unsigned sum = 0;
  bytes.replace(148, 8, "        ");
  for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(bytes[i]);
  bytes.replace(148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  EXPECT_THAT(ensure(upload(bytes)).error().message, HasSubstr("larger than 4 MiB"));
}

TEST_F(CodeCacheTest, RefusesWhatIsNoArchive) {
  const auto garbage = ensure(upload(std::string(5000, 'g')));
  ASSERT_FALSE(garbage);
  EXPECT_EQ(garbage.error().code, Errc::kInvalid);
  Tar tar;
  const std::string bytes = tar.file("a", std::string(100'000, 'a')).bytes();
  const auto cut = ensure(upload(bytes.substr(0, 50'000)));
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, Errc::kInvalid);
  EXPECT_TRUE(leftovers().empty());
}

TEST_F(CodeCacheTest, MayEndWithItsExecutorWhileUnpacking) {
  Tar tar;
  const std::string hash = upload(tar.file("a", std::string(1 << 20, 'a')).bytes());
  // A second executor, ended with a task half way.
  auto executor = std::make_unique<net::Executor>("short");
  auto blobs = std::move(*store::FileBlobStore::open(*executor, disk_, root_ + "/blobs"));
  auto cache = std::make_unique<CodeCache>(*executor, *blobs, disk_, root_ + "/code");
  std::optional<Result<void>> first;
  std::optional<Result<void>> second;
  executor->spawn(store::testing::keep_result(cache->ensure(hash), &first));
  executor->spawn(store::testing::keep_result(cache->ensure(hash), &second));
  executor->run_until(executor->now() + std::chrono::milliseconds(1));
  EXPECT_TRUE(leftovers().size() <= 1);  // and the disk has done what was asked
  cache.reset();
  blobs.reset();
  executor.reset();
  EXPECT_TRUE(run(executor_, cache_->sweep()));
}

}  // namespace
}  // namespace ebb::node
