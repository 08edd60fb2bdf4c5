#include "cli/new_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/random.h"

namespace ebb::cli {

namespace {

constexpr mode_t kMode = 0600;
constexpr size_t kRandomBytes = 6;

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

std::string temporary_name(const std::string& path) {
  return path + "." + random_hex(kRandomBytes) + ".part";
}

// The kernel's rule of fs.protected_symlinks, which reading a link by itself escapes.
bool may_follow(const std::filesystem::path& link) {
  struct stat info{};
  struct stat folder{};
  if (::lstat(link.c_str(), &info) != 0 || ::stat(folder_of(link).c_str(), &folder) != 0) {
    return false;
  }
  const bool for_everyone = (folder.st_mode & (S_ISVTX | S_IWOTH)) == (S_ISVTX | S_IWOTH);
  return !for_everyone || info.st_uid == ::geteuid() || info.st_uid == folder.st_uid;
}

// What links lead to, whether it is there or not: a rename would take the link's place.
Result<std::string> target_of(const std::string& path) {
  constexpr int kMaxLinks = 40;  // as the kernel follows them
  namespace fs = std::filesystem;
  fs::path target(path);
  for (int links = 0;; ++links) {
    std::error_code error;
    if (!fs::is_symlink(target, error)) return target.string();
    if (links == kMaxLinks) return fail_errno(ELOOP, "cannot write " + path);
    if (!may_follow(target)) {
      return fail(
          Errc::kPermission,
          "{} is a link that somebody else made in a folder for everyone: it is not followed",
          target.string());
    }
    const fs::path next = fs::read_symlink(target, error);
    if (error) return fail_errno(error.value(), "cannot write " + path);
    target = target.parent_path() / next;  // an absolute one replaces it all
  }
}

}  // namespace

Result<NewFile> NewFile::make(const std::string& given) {
  struct stat info{};
  if (::stat(given.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return fail(Errc::kInvalid, "{} is {}: name the file to write", given,
                S_ISDIR(info.st_mode) ? "a folder" : "no regular file");
  }
  const auto target = target_of(given);
  if (!target) return fail(target.error());
  const std::string& path = *target;
  // Without a name, so that nothing is left even if the program is killed.
  UniqueFd fd(::open(folder_of(path).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, kMode));
  if (fd) return NewFile(path, std::move(fd), {});
  if (errno != EOPNOTSUPP && errno != EISDIR) return fail_errno(errno, "cannot write " + path);
  std::string temporary = temporary_name(path);
  fd.reset(::open(temporary.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, kMode));
  if (!fd) return fail_errno(errno, "cannot write " + path);
  return NewFile(path, std::move(fd), std::move(temporary));
}

NewFile::~NewFile() {
  if (fd_ && !temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<void> NewFile::write(std::string_view piece) {
  while (!piece.empty()) {
    const ssize_t n = ::write(fd_.get(), piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot write " + path_);
    piece.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<void> NewFile::publish() {
  if (::fsync(fd_.get()) != 0) return fail_errno(errno, "cannot write " + path_);
  if (temporary_.empty()) {
    // A link cannot replace a file, so it gets a name of its own first.
    std::string name = temporary_name(path_);
    const std::string self = "/proc/self/fd/" + std::to_string(fd_.get());
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      return fail_errno(errno, "cannot write " + path_);
    }
    temporary_ = std::move(name);
  }
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return fail_errno(errno, "cannot write " + path_);
  }
  fd_.reset();
  const UniqueFd folder(::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return fail_errno(errno, "cannot sync " + path_);
  return {};
}

}  // namespace ebb::cli
