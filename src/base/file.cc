#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/random.h"
#include "base/unique_fd.h"

namespace ebb {
namespace {

Result<void> write_all(int fd, std::string_view data, const std::string& path) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail_errno(errno, fmt::format("cannot write {}", path));
    }
    data.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Fills the temporary file and moves it into place.
Result<void> fill_and_rename(const std::string& temporary, const std::string& path,
                             std::string_view data, mode_t mode) {
  UniqueFd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return fail_errno(errno, fmt::format("cannot create {}", temporary));
  auto written = write_all(file.get(), data, temporary);
  if (!written) return written;
  if (::fchmod(file.get(), mode) != 0) {
    return fail_errno(errno, fmt::format("cannot set the mode of {}", temporary));
  }
  if (::fsync(file.get()) != 0) return fail_errno(errno, fmt::format("cannot sync {}", temporary));
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return fail_errno(errno, fmt::format("cannot replace {}", path));
  }
  return {};
}

// `flags`: of open(2), beside those for reading. `regular`: nothing else is taken.
Result<std::string> read_with(const std::string& path, size_t max_bytes, int flags, bool regular) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
  if (!file) return fail_errno(errno, fmt::format("cannot open {}", path));
  // The size is a hint only: files of /proc say 0, others may grow meanwhile.
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) {
    return fail_errno(errno, fmt::format("cannot read {}", path));
  }
  if (regular && !S_ISREG(info.st_mode)) {
    return fail(Errc::kInvalid, "{} is no regular file", path);
  }
  std::string data;
  const size_t expected =
      std::min(max_bytes, static_cast<size_t>(std::max<off_t>(0, info.st_size)));
  size_t size = 0;
  for (;;) {
    if (size == data.size()) data.resize(std::max({expected + 1, size * 2, size_t{4096}}));
    const ssize_t n = ::read(file.get(), data.data() + size, data.size() - size);
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail_errno(errno, fmt::format("cannot read {}", path));
    }
    if (n == 0) break;
    size += static_cast<size_t>(n);
    if (size > max_bytes) {
      return fail(Errc::kExhausted, "{} has more than {} bytes", path, max_bytes);
    }
  }
  data.resize(size);
  return data;
}

}  // namespace

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  return read_with(path, max_bytes, 0, false);
}

Result<std::string> read_regular_file(const std::string& path, size_t max_bytes) {
  return read_with(path, max_bytes, O_NONBLOCK, true);  // a pipe is opened at once
}

Result<void> write_file_atomic(const std::string& path, std::string_view data, mode_t mode) {
  const std::string temporary = fmt::format("{}.{}.tmp", path, random_hex(8));
  auto done = fill_and_rename(temporary, path, data, mode);
  if (!done) {
    ::unlink(temporary.c_str());
    return done;
  }
  // Makes the rename itself survive a power cut.
  const UniqueFd folder(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) {
    return fail_errno(errno, fmt::format("cannot sync the folder of {}", path));
  }
  return {};
}

}  // namespace ebb
