#include "cli/package.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>
#include <vector>

#include "base/sha256.h"
#include "base/unique_fd.h"

namespace ebb::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 2> kSkipped{".git", "__pycache__"};
constexpr uint64_t kMiB = 1 << 20;

struct Item {
  std::string name;  // relative to the folder, with "/"
  fs::file_type type = fs::file_type::none;
  std::string link;  // target of a symbolic link, as written
};

// The file that a runtime starts from; empty if it may have any name.
std::string_view entry_file(std::string_view runtime) {
  return runtime == "python" ? "main.py" : "";
}

std::string quoted(const fs::path& path) { return "\"" + path.string() + "\""; }

tl::unexpected<Error> fail_file(const std::error_code& error, const fs::path& path) {
  const Errc code = error == std::errc::permission_denied ? Errc::kPermission : Errc::kInvalid;
  return fail(code, "cannot read {}: {}", quoted(path), error.message());
}

tl::unexpected<Error> fail_file(int err, const fs::path& path) {
  return fail_file(std::error_code(err, std::generic_category()), path);
}

const char* describe(fs::file_type type) {
  switch (type) {
    case fs::file_type::socket:
      return "a socket";
    case fs::file_type::fifo:
      return "a pipe";
    case fs::file_type::block:
    case fs::file_type::character:
      return "a device";
    default:
      return "of an unknown type";
  }
}

bool is_inside(const fs::path& path, const fs::path& root) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

// Lists a folder and what is below it.
class Walk {
 public:
  explicit Walk(fs::path root) : root_(std::move(root)) {}

  Result<std::vector<Item>> run() {
    std::error_code error;
    real_root_ = fs::canonical(root_, error);
    if (error) return fail_file(error, root_);
    if (auto done = enter("", 0); !done) return fail(done.error());
    std::sort(items_.begin(), items_.end(),
              [](const Item& a, const Item& b) { return a.name < b.name; });
    return std::move(items_);
  }

 private:
  Result<void> enter(const std::string& folder, int depth) {
    if (depth > kMaxPackageDepth) {
      return fail(Errc::kInvalid, "{} nests more than {} folders deep", quoted(root_ / folder),
                  kMaxPackageDepth);
    }
    std::error_code error;
    fs::directory_iterator entries(root_ / folder, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
      const std::string file = entries->path().filename().string();
      if (std::find(kSkipped.begin(), kSkipped.end(), file) != kSkipped.end()) continue;
      std::string name = folder;
      if (!name.empty()) name += '/';
      name += file;
      if (auto done = take(name, depth); !done) return done;
    }
    if (error) return fail_file(error, root_ / folder);
    return {};
  }

  Result<void> take(const std::string& name, int depth) {
    if (items_.size() >= kMaxPackageEntries) {
      return fail(Errc::kInvalid, "{} holds more than {} files", quoted(root_), kMaxPackageEntries);
    }
    const fs::path path = root_ / name;
    std::error_code error;
    const fs::file_type type = fs::symlink_status(path, error).type();
    if (error) return fail_file(error, path);
    Item item{.name = name, .type = type, .link = {}};
    if (type == fs::file_type::symlink) {
      auto link = checked_link(path, fs::path(name));
      if (!link) return fail(link.error());
      item.link = std::move(*link);
    } else if (type != fs::file_type::regular && type != fs::file_type::directory) {
      return fail(Errc::kInvalid, "{} is {}: only files, folders and links can be packed",
                  quoted(path), describe(type));
    }
    items_.push_back(std::move(item));
    return type == fs::file_type::directory ? enter(name, depth + 1) : Result<void>{};
  }

  // The target of a link that stays inside, both as written (the archive is unpacked
  // elsewhere) and as it resolves here (through other links).
  [[nodiscard]] Result<std::string> checked_link(const fs::path& path, const fs::path& name) const {
    std::error_code error;
    const fs::path target = fs::read_symlink(path, error);
    if (error) return fail_file(error, path);
    const fs::path written = (name.parent_path() / target).lexically_normal();
    const bool leaves = target.is_absolute() || (!written.empty() && *written.begin() == "..");
    // Not of the link itself, whose target may be missing.
    const fs::path real = fs::weakly_canonical(path.parent_path() / target, error);
    if (error) return fail_file(error, path);
    if (leaves || !is_inside(real, real_root_)) {
      return fail(Errc::kInvalid, "{} links to {}, which is outside of {}", quoted(path),
                  quoted(target), quoted(root_));
    }
    return target.string();
  }

  fs::path root_;
  fs::path real_root_;
  std::vector<Item> items_;
};

// An archive in memory.
class Tar {
 public:
  Tar() : archive_(archive_write_new()), entry_(archive_entry_new()) {}

  Result<void> open() {
    // Restricted pax is plain ustar wherever a name fits, so old tools read it.
    archive_write_set_format_pax_restricted(archive_.get());
    archive_write_set_options(archive_.get(), "hdrcharset=BINARY");
    archive_write_set_bytes_per_block(archive_.get(), 0);
    return check(
        archive_write_open2(archive_.get(), &out_, nullptr, &Tar::append, nullptr, nullptr));
  }

  Result<void> begin(const std::string& name, mode_t type, mode_t permissions) {
    archive_entry_clear(entry_.get());
    archive_entry_set_pathname(entry_.get(), name.c_str());
    archive_entry_set_filetype(entry_.get(), type);
    archive_entry_set_perm(entry_.get(), permissions);
    archive_entry_set_mtime(entry_.get(), 0, 0);
    archive_entry_set_uid(entry_.get(), 0);
    archive_entry_set_gid(entry_.get(), 0);
    return {};
  }
  Result<void> add_folder(const std::string& name) {
    if (auto done = begin(name, AE_IFDIR, 0755); !done) return done;
    return header();
  }
  Result<void> add_link(const std::string& name, const std::string& target) {
    if (auto done = begin(name, AE_IFLNK, 0777); !done) return done;
    archive_entry_set_symlink(entry_.get(), target.c_str());
    return header();
  }
  Result<void> add_file(const std::string& name, uint64_t size, bool executable) {
    if (auto done = begin(name, AE_IFREG, executable ? 0755 : 0644); !done) return done;
    archive_entry_set_size(entry_.get(), static_cast<int64_t>(size));
    return header();
  }
  Result<void> data(std::string_view piece) {
    const auto written = archive_write_data(archive_.get(), piece.data(), piece.size());
    if (written != static_cast<ssize_t>(piece.size())) return check(ARCHIVE_FATAL);
    return {};
  }
  Result<std::string> close() {
    if (auto done = check(archive_write_close(archive_.get())); !done) return fail(done.error());
    return std::move(out_);
  }

 private:
  static la_ssize_t append(archive* /*archive*/, void* out, const void* data, size_t size) {
    static_cast<std::string*>(out)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
  }
  Result<void> header() { return check(archive_write_header(archive_.get(), entry_.get())); }
  Result<void> check(int status) {
    if (status >= ARCHIVE_WARN) return {};
    const char* why = archive_error_string(archive_.get());
    return fail(Errc::kInternal, "cannot write the package: {}", why == nullptr ? "?" : why);
  }

  struct Free {
    void operator()(archive* a) const { archive_write_free(a); }
    void operator()(archive_entry* e) const { archive_entry_free(e); }
  };
  std::string out_;
  std::unique_ptr<archive, Free> archive_;
  std::unique_ptr<archive_entry, Free> entry_;
};

Result<void> add_content(Tar& tar, const fs::path& path, const std::string& name,
                         Package& package) {
  // Not through a link, and without waiting for a pipe that took the file's place.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return fail_file(errno, path);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_file(errno, path);
  if (!S_ISREG(info.st_mode)) return fail(Errc::kInvalid, "{} changed while packing", quoted(path));
  auto left = static_cast<uint64_t>(info.st_size);
  if (left > kMaxPackageBytes - package.bytes) {
    return fail(Errc::kInvalid, "the code is too large: with {} it exceeds the limit of {} MiB",
                quoted(path), kMaxPackageBytes / kMiB);
  }
  package.bytes += left;
  ++package.files;
  if (auto done = tar.add_file(name, left, (info.st_mode & S_IXUSR) != 0); !done) return done;
  std::array<char, 64 << 10> buffer{};
  while (left > 0) {
    const auto n = ::read(fd.get(), buffer.data(), std::min<uint64_t>(buffer.size(), left));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_file(errno, path);
    if (n == 0) return fail(Errc::kInvalid, "{} changed while packing", quoted(path));
    if (auto done = tar.data({buffer.data(), static_cast<size_t>(n)}); !done) return done;
    left -= static_cast<uint64_t>(n);
  }
  return {};
}

Result<void> check_folder(const fs::path& root) {
  std::error_code error;
  const fs::file_status status = fs::status(root, error);
  if (status.type() == fs::file_type::not_found) {
    return fail(Errc::kInvalid, "the code folder {} does not exist", quoted(root));
  }
  if (error) return fail_file(error, root);
  if (status.type() != fs::file_type::directory) {
    return fail(Errc::kInvalid, "{} is not a folder: give the folder that holds the code",
                quoted(root));
  }
  return {};
}

Result<void> check_entry_file(const fs::path& root, std::string_view runtime) {
  const std::string_view file = entry_file(runtime);
  std::error_code error;
  if (file.empty() || fs::is_regular_file(root / file, error)) return {};
  return fail(Errc::kInvalid, "{} has no {}: the {} runtime starts there", quoted(root), file,
              runtime);
}

}  // namespace

Result<Package> pack(const std::string& folder, std::string_view runtime) {
  const fs::path root(folder);
  if (auto ok = check_folder(root); !ok) return fail(ok.error());
  auto items = Walk(root).run();
  if (!items) return fail(items.error());
  if (items->empty()) return fail(Errc::kInvalid, "the code folder {} is empty", quoted(root));
  if (auto ok = check_entry_file(root, runtime); !ok) return fail(ok.error());

  Package package;
  Tar tar;
  if (auto ok = tar.open(); !ok) return fail(ok.error());
  for (const Item& item : *items) {
    Result<void> done;
    if (item.type == fs::file_type::directory) {
      done = tar.add_folder(item.name);
    } else if (item.type == fs::file_type::symlink) {
      done = tar.add_link(item.name, item.link);
    } else {
      done = add_content(tar, root / item.name, item.name, package);
    }
    if (!done) return fail(done.error());
  }
  auto bytes = tar.close();
  if (!bytes) return fail(bytes.error());
  package.tar = std::move(*bytes);
  package.sha256 = sha256_hex(package.tar);
  return package;
}

}  // namespace ebb::cli
