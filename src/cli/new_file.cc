#include "cli/new_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

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

}  // namespace

Result<NewFile> NewFile::make(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return fail(Errc::kInvalid, "{} is a folder: name the file to write", path);
  }
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
