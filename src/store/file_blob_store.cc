#include "store/file_blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/random.h"
#include "base/sha256.h"
#include "base/unique_fd.h"

namespace ebb::store {
namespace {

constexpr const char* kIncoming = "/incoming/";

Error bad_digest(std::string_view digest) {
  return {Errc::kInvalid, fmt::format("\"{}\" is not a digest: it must be \"sha256:\" and 64 "
                                      "lower-case hex digits",
                                      digest)};
}

// kExhausted for a full disk, so that the caller knows that trying later can help.
tl::unexpected<Error> fail_io(int err, std::string what) {
  auto error = fail_errno(err, std::move(what));
  if (err == ENOSPC || err == EDQUOT) error.value().code = Errc::kExhausted;
  return error;
}

Result<void> sync_folder(const std::string& path) {
  UniqueFd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir || ::fsync(dir.get()) != 0) return fail_io(errno, "cannot sync " + path);
  return {};
}

std::optional<BlobInfo> stat_blob(const std::string& path, std::string digest) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  auto since_epoch =
      std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec);
  return BlobInfo{std::move(digest), static_cast<uint64_t>(info.st_size),
                  WallTime(std::chrono::duration_cast<WallTime::duration>(since_epoch))};
}

// A file on its way in. Used on the disk thread only, apart from its making.
struct Incoming {
  UniqueFd fd;
  std::string temporary;  // empty once it is renamed
  std::string path;
  std::string digest;
  Sha256 hash;
  uint64_t size = 0;

  Result<void> start() {
    fd.reset(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) return fail_io(errno, "cannot create " + temporary);
    return {};
  }
  Result<void> append(std::string_view data) {
    if (data.size() > FileBlobStore::kMaxBlobBytes - size) {
      return fail(Errc::kInvalid, "a blob has at most {} bytes", FileBlobStore::kMaxBlobBytes);
    }
    hash.update(data);
    size += data.size();
    while (!data.empty()) {
      ssize_t written = ::write(fd.get(), data.data(), data.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return fail_io(errno, "cannot write " + temporary);
      data.remove_prefix(static_cast<size_t>(written));
    }
    return {};
  }
  Result<void> finish() {
    std::string actual = std::string(kDigestPrefix) + hash.hex();
    if (actual != digest) {
      return fail(Errc::kInvalid, "the content has the digest {}, not {}", actual, digest);
    }
    if (::fsync(fd.get()) != 0) return fail_io(errno, "cannot sync " + temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      return fail_io(errno, "cannot rename " + temporary);
    }
    temporary.clear();
    return sync_folder(path.substr(0, path.rfind('/')));
  }
  void drop() {
    if (fd && !temporary.empty()) ::unlink(temporary.c_str());
    fd.reset();
  }
};

}  // namespace

bool is_blob_digest(std::string_view text) {
  constexpr size_t kHexDigits = 64;
  return text.starts_with(kDigestPrefix) && text.size() == kDigestPrefix.size() + kHexDigits &&
         text.find_first_not_of("0123456789abcdef", kDigestPrefix.size()) == std::string_view::npos;
}

class FileBlobStore::Writer final : public BlobWriter {
 public:
  Writer(net::Executor& home, DiskThread& disk, std::shared_ptr<Incoming> incoming,
         std::shared_ptr<int> writers)
      : home_(home), disk_(disk), incoming_(std::move(incoming)), writers_(std::move(writers)) {
    ++*writers_;
  }
  ~Writer() override {
    --*writers_;
    disk_.run_later([incoming = incoming_] { incoming->drop(); });
  }

  net::Task<Result<void>> write(std::string piece) override {
    size_t bytes = piece.size();
    return disk_.run<void>(
        home_, [incoming = incoming_, piece = std::move(piece)] { return incoming->append(piece); },
        bytes);
  }
  net::Task<Result<void>> commit() override {
    return disk_.run<void>(home_, [incoming = incoming_] { return incoming->finish(); }, 0);
  }

 private:
  net::Executor& home_;
  DiskThread& disk_;
  std::shared_ptr<Incoming> incoming_;  // shared with jobs that are queued
  std::shared_ptr<int> writers_;
};

class FileBlobStore::Reader final : public BlobReader {
 public:
  Reader(net::Executor& home, DiskThread& disk, UniqueFd fd, uint64_t size)
      : home_(home), disk_(disk), fd_(std::make_shared<UniqueFd>(std::move(fd))), size_(size) {}

  [[nodiscard]] uint64_t size() const override { return size_; }
  net::Task<Result<std::string>> read() override {
    return disk_.run<std::string>(
        home_,
        [fd = fd_]() -> Result<std::string> {
          std::string piece(kReadPiece, '\0');
          ssize_t got = 0;
          do {
            got = ::read(fd->get(), piece.data(), piece.size());
          } while (got < 0 && errno == EINTR);
          if (got < 0) return fail_io(errno, "cannot read a blob");
          piece.resize(static_cast<size_t>(got));
          return piece;
        },
        0);
  }

 private:
  net::Executor& home_;
  DiskThread& disk_;
  std::shared_ptr<UniqueFd> fd_;  // shared with a job that is queued
  uint64_t size_;
};

Result<std::unique_ptr<FileBlobStore>> FileBlobStore::open(net::Executor& home, DiskThread& disk,
                                                           std::string folder) {
  std::error_code error;
  std::filesystem::remove_all(folder + kIncoming, error);
  for (const std::string& path : {folder, folder + "/sha256", folder + kIncoming}) {
    std::filesystem::create_directories(path, error);
    if (error) return fail(Errc::kInternal, "cannot make {}: {}", path, error.message());
    if (::chmod(path.c_str(), 0700) != 0) return fail_errno(errno, "cannot protect " + path);
  }
  return std::unique_ptr<FileBlobStore>(new FileBlobStore(home, disk, std::move(folder)));
}

FileBlobStore::FileBlobStore(net::Executor& home, DiskThread& disk, std::string folder)
    : home_(home), disk_(disk), folder_(std::move(folder)) {}

std::string FileBlobStore::path_of(std::string_view digest) const {
  return folder_ + "/sha256/" + std::string(digest.substr(kDigestPrefix.size()));
}

net::Task<Result<std::optional<BlobInfo>>> FileBlobStore::find(std::string digest) {
  if (!is_blob_digest(digest)) co_return fail(bad_digest(digest));
  auto looking = disk_.run<std::optional<BlobInfo>>(
      home_,
      [path = path_of(digest), digest]() -> Result<std::optional<BlobInfo>> {
        // Missing is fine; that it cannot be renewed is no reason to fail.
        static_cast<void>(::utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW));
        return stat_blob(path, digest);
      },
      0);
  co_return co_await looking;
}

net::Task<Result<std::unique_ptr<BlobWriter>>> FileBlobStore::create(std::string digest) {
  if (!is_blob_digest(digest)) co_return fail(bad_digest(digest));
  if (*writers_ >= kMaxWriters) {
    co_return fail(Errc::kExhausted, "{} blobs are being received already", kMaxWriters);
  }
  auto incoming = std::make_shared<Incoming>();
  constexpr size_t kNameBytes = 16;
  incoming->temporary = folder_ + kIncoming + random_hex(kNameBytes);
  incoming->path = path_of(digest);
  incoming->digest = std::move(digest);
  auto writer = std::make_unique<Writer>(home_, disk_, incoming, writers_);
  auto starting = disk_.run<void>(home_, [incoming] { return incoming->start(); }, 0);
  auto started = co_await starting;
  if (!started) co_return fail(started.error());
  co_return std::move(writer);
}

net::Task<Result<std::unique_ptr<BlobReader>>> FileBlobStore::open(std::string digest) {
  if (!is_blob_digest(digest)) co_return fail(bad_digest(digest));
  struct Opened {
    UniqueFd fd;
    uint64_t size = 0;
  };
  auto opening = disk_.run<Opened>(
      home_,
      [path = path_of(digest), digest]() -> Result<Opened> {
        Opened opened{UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), 0};
        if (!opened.fd && errno == ENOENT) return fail(Errc::kNotFound, "{} is not stored", digest);
        struct stat info{};
        if (!opened.fd || ::fstat(opened.fd.get(), &info) != 0) {
          return fail_io(errno, "cannot open " + path);
        }
        opened.size = static_cast<uint64_t>(info.st_size);
        return opened;
      },
      0);
  auto opened = co_await opening;
  if (!opened) co_return fail(opened.error());
  co_return std::make_unique<Reader>(home_, disk_, std::move(opened->fd), opened->size);
}

net::Task<Result<void>> FileBlobStore::remove(std::string digest) {
  if (!is_blob_digest(digest)) co_return fail(bad_digest(digest));
  auto removing = disk_.run<void>(
      home_,
      [path = path_of(digest)]() -> Result<void> {
        if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
          return fail_io(errno, "cannot remove " + path);
        }
        return {};
      },
      0);
  co_return co_await removing;
}

net::Task<Result<size_t>> FileBlobStore::remove_unused(std::vector<std::string> digests,
                                                       WallTime since) {
  std::vector<std::string> paths;
  for (const auto& digest : digests) {
    if (!is_blob_digest(digest)) co_return fail(bad_digest(digest));
    paths.push_back(path_of(digest));
  }
  auto removing = disk_.run<size_t>(
      home_,
      [paths = std::move(paths), since]() -> Result<size_t> {
        size_t removed = 0;
        for (const auto& path : paths) {
          const auto info = stat_blob(path, {});
          if (!info || info->stored >= since) continue;
          if (::unlink(path.c_str()) == 0) {
            ++removed;
          } else if (errno != ENOENT) {
            return fail_io(errno, "cannot remove " + path);
          }
        }
        return removed;
      },
      0);
  co_return co_await removing;
}

net::Task<Result<std::vector<BlobInfo>>> FileBlobStore::list() {
  auto listing = disk_.run<std::vector<BlobInfo>>(
      home_,
      [folder = folder_ + "/sha256"]() -> Result<std::vector<BlobInfo>> {
        std::vector<BlobInfo> out;
        std::error_code error;
        std::filesystem::directory_iterator at(folder, error);
        for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
          std::string digest = std::string(kDigestPrefix) + at->path().filename().string();
          if (!is_blob_digest(digest)) continue;
          if (auto info = stat_blob(at->path().string(), digest)) out.push_back(std::move(*info));
        }
        if (error) return fail(Errc::kInternal, "cannot list {}: {}", folder, error.message());
        return out;
      },
      0);
  co_return co_await listing;
}

}  // namespace ebb::store
