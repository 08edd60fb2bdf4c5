#include "node/code_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/log.h"
#include "base/quote.h"
#include "base/random.h"

namespace ebb::node {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporaryPrefix = ".tmp-";
constexpr size_t kRandomBytes = 8;

// What lies in a temporary folder.
constexpr const char* kArchive = "/package.tar";
constexpr const char* kUnpacked = "/code";

std::string digest_of(const std::string& hash) { return "sha256:" + hash; }

tl::unexpected<Error> fail_disk(int err, const std::string& what) {
  if (err == ENOSPC || err == EDQUOT) return fail(Errc::kExhausted, "{}: the disk is full", what);
  return fail_errno(err, what);
}

Result<bool> is_folder(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0) return S_ISDIR(info.st_mode);
  if (errno == ENOENT) return false;
  return fail_errno(errno, "cannot look at " + path);
}

Result<void> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0) return fail_disk(errno, "cannot make " + path);
  // mkdir() heeds the umask.
  if (::chmod(path.c_str(), 0755) != 0) return fail_disk(errno, "cannot make " + path);
  return {};
}

Result<void> remove_tree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return fail_errno(error.value(), "cannot remove " + path);
  return {};
}

Result<void> append(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_disk(errno, "cannot write a package");
    data.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Result<void> put_in_place(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return {};
  if (errno == EEXIST || errno == ENOTEMPTY) return {};  // another process was faster
  return fail_disk(errno, "cannot rename " + from);
}

Result<void> sweep_folder(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> left;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().filename().string().starts_with(kTemporaryPrefix)) {
      left.push_back(at->path().string());
    }
  }
  if (error) return fail_errno(error.value(), "cannot read " + folder);
  for (const auto& path : left) {
    if (auto removed = remove_tree(path); !removed) return removed;
  }
  return {};
}

}  // namespace

CodeCache::CodeCache(net::Executor& executor, store::BlobStore& blobs, store::DiskThread& disk,
                     std::string folder, UnpackLimits limits)
    : executor_(executor),
      blobs_(blobs),
      disk_(disk),
      folder_(std::move(folder)),
      limits_(limits) {}

net::Task<Result<void>> CodeCache::ensure(std::string hash) {
  if (!store::is_blob_digest(digest_of(hash))) {
    co_return fail(Errc::kInvalid, "{} is not the hash of a code package", in_quotes(hash));
  }
  if (const auto found = under_way_.find(hash); found != under_way_.end()) {
    auto shot = Shot::make(executor_);
    found->second.push_back(shot.sender);
    auto waiting = shot.receiver.wait(kNever);  // the disk's work ends
    auto outcome = co_await waiting;
    if (!outcome) co_return fail(Errc::kCanceled, "unpacking was given up");
    co_return std::move(*outcome);
  }
  under_way_[hash];
  auto making = make(hash);
  Result<void> result = co_await making;
  const auto others = under_way_.extract(hash);
  for (auto waiter : others.mapped()) {
    Result<void> copy = result;
    waiter.set(std::move(copy));
  }
  co_return result;
}

net::Task<Result<void>> CodeCache::make(std::string hash) {
  const std::string path = path_of(hash);
  auto looking = disk_.run<bool>(executor_, [path] { return is_folder(path); }, 0);
  const auto there = co_await looking;
  if (!there) co_return fail(there.error());
  if (*there) co_return Result<void>();

  const std::string temporary =
      fmt::format("{}/{}{}", folder_, kTemporaryPrefix, random_hex(kRandomBytes));
  auto filling = fill(hash, temporary);
  Result<void> result = co_await filling;
  disk_.run_later([temporary] {
    if (auto removed = remove_tree(temporary); !removed) {
      log::warn("code", "{}", removed.error().message);
    }
  });
  co_return result;
}

net::Task<Result<void>> CodeCache::fill(std::string hash, std::string temporary) {
  auto preparing = disk_.run<void>(
      executor_,
      [temporary]() -> Result<void> {
        if (auto made = make_folder(temporary); !made) return made;
        return make_folder(temporary + kUnpacked);
      },
      0);
  if (auto prepared = co_await preparing; !prepared) co_return fail(prepared.error());
  auto fetching = fetch(hash, temporary + kArchive);
  if (auto fetched = co_await fetching; !fetched) co_return fail(fetched.error());
  auto unpacking = unpack(temporary + kArchive, temporary + kUnpacked);
  if (auto unpacked = co_await unpacking; !unpacked) co_return fail(unpacked.error());
  auto placing = disk_.run<void>(
      executor_,
      [from = temporary + kUnpacked, to = path_of(hash)] { return put_in_place(from, to); }, 0);
  co_return co_await placing;
}

// A copy, since the blob store may be far away and libarchive wants to pull.
net::Task<Result<void>> CodeCache::fetch(std::string hash, std::string file) {
  auto opening = blobs_.open(digest_of(hash));
  auto reader = co_await opening;
  if (!reader) co_return fail(reader.error());
  auto creating = disk_.run<std::shared_ptr<UniqueFd>>(
      executor_,
      [file]() -> Result<std::shared_ptr<UniqueFd>> {
        UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!fd) return fail_disk(errno, "cannot make " + file);
        return std::make_shared<UniqueFd>(std::move(fd));
      },
      0);
  auto created = co_await creating;
  if (!created) co_return fail(created.error());
  const std::shared_ptr<UniqueFd> fd = std::move(*created);  // shared with queued jobs
  for (;;) {
    auto reading = (*reader)->read();
    auto piece = co_await reading;
    if (!piece) co_return fail(piece.error());
    if (piece->empty()) co_return Result<void>();
    const size_t bytes = piece->size();
    auto writing = disk_.run<void>(
        executor_, [fd, data = std::move(*piece)] { return append(fd->get(), data); }, bytes);
    if (auto written = co_await writing; !written) co_return fail(written.error());
  }
}

net::Task<Result<void>> CodeCache::unpack(std::string file, std::string folder) {
  using Shared = std::shared_ptr<Unpacker>;  // shared with queued jobs
  auto opening = disk_.run<Shared>(
      executor_,
      [file, folder, limits = limits_]() -> Result<Shared> {
        UniqueFd source(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
        if (!source) return fail_errno(errno, "cannot open " + file);
        UniqueFd into(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!into) return fail_errno(errno, "cannot open " + folder);
        auto opened = Unpacker::open(std::move(source), std::move(into), limits);
        if (!opened) return fail(opened.error());
        return Shared(std::move(*opened));
      },
      0);
  auto opened = co_await opening;
  if (!opened) co_return fail(opened.error());
  const Shared unpacker = std::move(*opened);
  // In steps, so that others get at the disk in between.
  for (;;) {
    auto stepping = disk_.run<bool>(executor_, [unpacker] { return unpacker->step(); }, 0);
    const auto more = co_await stepping;
    if (!more) co_return fail(more.error());
    if (!*more) co_return Result<void>();
  }
}

net::Task<Result<void>> CodeCache::remove(std::string hash) {
  if (!store::is_blob_digest(digest_of(hash))) {
    co_return fail(Errc::kInvalid, "{} is not the hash of a code package", in_quotes(hash));
  }
  if (under_way_.contains(hash)) {
    co_return fail(Errc::kUnavailable, "{} is being unpacked", hash);
  }
  // Renamed first: what lies at path_of() is whole at any moment.
  const std::string temporary =
      fmt::format("{}/{}{}", folder_, kTemporaryPrefix, random_hex(kRandomBytes));
  auto removing = disk_.run<void>(
      executor_,
      [path = path_of(hash), temporary]() -> Result<void> {
        if (::rename(path.c_str(), temporary.c_str()) != 0) {
          if (errno == ENOENT) return {};
          return fail_errno(errno, "cannot remove " + path);
        }
        return remove_tree(temporary);
      },
      0);
  co_return co_await removing;
}

net::Task<Result<size_t>> CodeCache::remove_all(std::vector<std::string> hashes) {
  using Moves = std::vector<std::pair<std::string, std::string>>;
  Moves moves;
  for (const auto& hash : hashes) {
    if (!store::is_blob_digest(digest_of(hash))) {
      co_return fail(Errc::kInvalid, "{} is not the hash of a code package", in_quotes(hash));
    }
    if (under_way_.contains(hash)) continue;
    moves.emplace_back(path_of(hash),
                       fmt::format("{}/{}{}", folder_, kTemporaryPrefix, random_hex(kRandomBytes)));
  }
  // Renaming is quick; the trees are removed one by one, so that others get at the disk
  // in between. What a crash leaves, sweep() removes.
  auto renaming = disk_.run<Moves>(
      executor_,
      [moves]() -> Result<Moves> {
        Moves moved;
        for (const auto& move : moves) {
          if (::rename(move.first.c_str(), move.second.c_str()) == 0) {
            moved.push_back(move);
          } else if (errno != ENOENT) {
            return fail_errno(errno, "cannot remove " + move.first);
          }
        }
        return moved;
      },
      0);
  const auto moved = co_await renaming;
  if (!moved) co_return fail(moved.error());
  for (const auto& move : *moved) {
    disk_.run_later([temporary = move.second] {
      if (auto removed = remove_tree(temporary); !removed) {
        log::warn("code", "{}", removed.error().message);
      }
    });
  }
  co_return moved->size();
}

net::Task<Result<std::vector<std::string>>> CodeCache::list() {
  auto listing = disk_.run<std::vector<std::string>>(
      executor_,
      [folder = folder_]() -> Result<std::vector<std::string>> {
        std::vector<std::string> out;
        std::error_code error;
        for (fs::directory_iterator at(folder, error), end; !error && at != end;
             at.increment(error)) {
          std::string name = at->path().filename().string();
          if (store::is_blob_digest(digest_of(name))) out.push_back(std::move(name));
        }
        if (error) return fail_errno(error.value(), "cannot read " + folder);
        return out;
      },
      0);
  co_return co_await listing;
}

net::Task<Result<void>> CodeCache::sweep() {
  auto sweeping =
      disk_.run<void>(executor_, [folder = folder_] { return sweep_folder(folder); }, 0);
  co_return co_await sweeping;
}

}  // namespace ebb::node
