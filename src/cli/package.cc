#include "cli/package.h"

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

#include "base/quote.h"
#include "base/sha256.h"
#include "base/unique_fd.h"
#include "store/tar_writer.h"

namespace ebb::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 9> kSkipped{
    ".git",          ".hg",         ".svn",        ".venv",     "__pycache__",
    ".pytest_cache", ".mypy_cache", ".ruff_cache", ".DS_Store",
};
// Below it lie installed packages, with the compiled files that were made for them.
constexpr std::string_view kInstalled = ".ebb/";
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

std::string shown(const fs::path& path) { return in_quotes(path.string()); }

tl::unexpected<Error> fail_file(const std::error_code& error, const fs::path& path) {
  const Errc code = error == std::errc::permission_denied ? Errc::kPermission : Errc::kInvalid;
  return fail(code, "cannot read {}: {}", shown(path), error.message());
}

tl::unexpected<Error> too_large(const fs::path& path) {
  return fail(Errc::kInvalid, "the code is too large: with {} it exceeds the limit of {} MiB",
              shown(path), kMaxPackageBytes / kMiB);
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
  explicit Walk(fs::path root, std::vector<std::string> without = {})
      : root_(std::move(root)), without_(std::move(without)) {}

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
  [[nodiscard]] bool is_left_out(const std::string& file, const std::string& name) const {
    if (std::find(without_.begin(), without_.end(), name) != without_.end()) return true;
    return !name.starts_with(kInstalled) &&
           std::find(kSkipped.begin(), kSkipped.end(), file) != kSkipped.end();
  }

  Result<void> enter(const std::string& folder, int depth) {
    if (depth > kMaxPackageDepth) {
      return fail(Errc::kInvalid, "{} nests more than {} folders deep", shown(root_ / folder),
                  kMaxPackageDepth);
    }
    std::error_code error;
    fs::directory_iterator entries(root_ / folder, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
      const std::string file = entries->path().filename().string();
      std::string name = folder;
      if (!name.empty()) name += '/';
      name += file;
      if (is_left_out(file, name)) continue;
      if (auto done = take(name, depth); !done) return done;
    }
    if (error) return fail_file(error, root_ / folder);
    return {};
  }

  Result<void> take(const std::string& name, int depth) {
    if (items_.size() >= kMaxPackageEntries) {
      return fail(Errc::kInvalid, "{} holds more than {} files", shown(root_), kMaxPackageEntries);
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
                  shown(path), describe(type));
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
      return fail(Errc::kInvalid, "{} links to {}, which is outside of {}", shown(path),
                  shown(target), shown(root_));
    }
    return target.string();
  }

  fs::path root_;
  std::vector<std::string> without_;
  fs::path real_root_;
  std::vector<Item> items_;
};

Result<void> add_content(store::TarWriter& tar, const fs::path& path, const std::string& name,
                         Package& package) {
  // Not through a link, and without waiting for a pipe that took the file's place.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return fail_file(errno, path);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_file(errno, path);
  if (!S_ISREG(info.st_mode)) return fail(Errc::kInvalid, "{} changed while packing", shown(path));
  auto left = static_cast<uint64_t>(info.st_size);
  if (left > kMaxPackageBytes - package.bytes) return too_large(path);
  package.bytes += left;
  ++package.files;
  if (auto done = tar.add_file(name, left, (info.st_mode & S_IXUSR) != 0); !done) return done;
  std::array<char, 64 << 10> buffer{};
  while (left > 0) {
    const auto n = ::read(fd.get(), buffer.data(), std::min<uint64_t>(buffer.size(), left));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_file(errno, path);
    if (n == 0) return fail(Errc::kInvalid, "{} changed while packing", shown(path));
    if (auto done = tar.data({buffer.data(), static_cast<size_t>(n)}); !done) return done;
    left -= static_cast<uint64_t>(n);
  }
  return {};
}

Result<void> check_folder(const fs::path& root) {
  std::error_code error;
  const fs::file_status status = fs::status(root, error);
  if (status.type() == fs::file_type::not_found) {
    return fail(Errc::kInvalid, "the code folder {} does not exist", shown(root));
  }
  if (error) return fail_file(error, root);
  if (status.type() != fs::file_type::directory) {
    return fail(Errc::kInvalid, "{} is not a folder: give the folder that holds the code",
                shown(root));
  }
  return {};
}

Result<void> check_entry_file(const fs::path& root, std::string_view runtime) {
  const std::string_view file = entry_file(runtime);
  std::error_code error;
  if (file.empty() || fs::is_regular_file(root / file, error)) return {};
  return fail(Errc::kInvalid, "{} has no {}: the {} runtime starts there", shown(root), file,
              runtime);
}

}  // namespace

Result<Package> pack(const std::string& folder, std::string_view runtime) {
  const fs::path root(folder);
  if (auto ok = check_folder(root); !ok) return fail(ok.error());
  auto items = Walk(root).run();
  if (!items) return fail(items.error());
  if (items->empty()) return fail(Errc::kInvalid, "the code folder {} is empty", shown(root));
  if (auto ok = check_entry_file(root, runtime); !ok) return fail(ok.error());

  Package package;
  store::TarWriter tar;
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
  if (auto ok = tar.close(); !ok) return fail(ok.error());
  package.tar = tar.take();
  package.sha256 = sha256_hex(package.tar);
  return package;
}

Result<void> copy_package(const std::string& folder, const std::string& to,
                          const std::vector<std::string>& without) {
  const fs::path root(folder);
  if (auto ok = check_folder(root); !ok) return ok;
  const auto items = Walk(root, without).run();
  if (!items) return fail(items.error());
  uint64_t bytes = 0;
  for (const Item& item : *items) {  // sorted: a folder comes before what it holds
    const fs::path copy = fs::path(to) / item.name;
    std::error_code error;
    if (item.type == fs::file_type::regular) {
      bytes += fs::file_size(root / item.name, error);
      if (!error && bytes > kMaxPackageBytes) return too_large(root / item.name);
    }
    if (item.type == fs::file_type::directory) {
      fs::create_directory(copy, error);
    } else if (item.type == fs::file_type::symlink) {
      fs::create_symlink(item.link, copy, error);
    } else {
      fs::copy_file(root / item.name, copy, error);
    }
    if (error) {
      return fail(Errc::kInternal, "cannot copy {} to {}: {}", shown(root / item.name), shown(copy),
                  error.message());
    }
  }
  return {};
}

}  // namespace ebb::cli
