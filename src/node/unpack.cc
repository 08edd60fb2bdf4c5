#include "node/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "base/quote.h"

namespace ebb::node {
namespace {

constexpr size_t kBlockBytes = 64 << 10;  // one read of the archive
constexpr mode_t kFolderMode = 0755;
constexpr mode_t kFileMode = 0644;
constexpr mode_t kExecutableMode = 0755;

// The parts of a relative path, "." and empty ones left out; nullopt if it is absolute,
// goes up, or cannot be a path.
std::optional<std::vector<std::string>> parts_of(std::string_view path) {
  if (path.starts_with('/') || path.find('\0') != std::string_view::npos) return std::nullopt;
  std::vector<std::string> parts;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") return std::nullopt;
    parts.emplace_back(part);
  }
  return parts;
}

// A link target that stays inside however the links that it passes point, given that
// they stay inside, too: it goes up only at its beginning, and not further than the
// `depth` folders around the link.
bool stays_inside(std::string_view target, size_t depth) {
  if (target.empty() || target.starts_with('/')) return false;
  bool down = false;
  while (!target.empty()) {
    const size_t end = std::min(target.find('/'), target.size());
    const std::string_view part = target.substr(0, end);
    target.remove_prefix(std::min(end + 1, target.size()));
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      down = true;
    } else if (down || depth-- == 0) {
      return false;
    }
  }
  return true;
}

// What cannot be made because of the package rather than because of this machine.
tl::unexpected<Error> fail_making(int err, const std::string& path) {
  switch (err) {
    case EEXIST:
      return fail(Errc::kInvalid, "the package has {} twice", in_quotes(path));
    case ENOTDIR:
    case ELOOP:
      return fail(Errc::kInvalid, "the package has {} below something that is no folder",
                  in_quotes(path));
    case ENAMETOOLONG:
    case EILSEQ:
    case EINVAL:
      return fail(Errc::kInvalid, "the package has a name that cannot be used: {}",
                  in_quotes(path));
    case ENOSPC:
    case EDQUOT:
      return fail(Errc::kExhausted, "no room on the disk for {}", in_quotes(path));
    default:
      return fail_errno(err, "cannot unpack \"" + path + "\"");
  }
}

}  // namespace

void Unpacker::Close::operator()(archive* a) const { archive_read_free(a); }

Unpacker::Unpacker(UniqueFd source, UniqueFd folder, UnpackLimits limits)
    : source_(std::move(source)),
      folder_(std::move(folder)),
      limits_(limits),
      archive_(archive_read_new()) {}

Result<std::unique_ptr<Unpacker>> Unpacker::open(UniqueFd source, UniqueFd folder,
                                                 UnpackLimits limits) {
  std::unique_ptr<Unpacker> unpacker(new Unpacker(std::move(source), std::move(folder), limits));
  archive* a = unpacker->archive_.get();
  if (a == nullptr) return fail(Errc::kInternal, "no memory to read a package");
  archive_read_support_filter_none(a);
  archive_read_support_format_tar(a);
  archive_read_support_format_empty(a);
  // Names are bytes, whatever the locale.
  archive_read_set_options(a, "hdrcharset=BINARY");
  if (archive_read_open_fd(a, unpacker->source_.get(), kBlockBytes) != ARCHIVE_OK) {
    const char* why = archive_error_string(a);
    return fail(Errc::kInvalid, "the package is no tar archive: {}", why ? why : "unreadable");
  }
  return unpacker;
}

Result<bool> Unpacker::step() {
  uint64_t budget = kStepBytes;
  for (size_t entries = 0; entries < kStepEntries;) {
    if (file_) {
      auto more = copy(&budget);
      if (!more) return fail(more.error());
      if (*more) return true;  // the budget is used up
      continue;
    }
    archive_entry* entry = nullptr;
    const int got = archive_read_next_header(archive_.get(), &entry);
    if (got == ARCHIVE_EOF) return false;
    if (got != ARCHIVE_OK && got != ARCHIVE_WARN) {
      const char* why = archive_error_string(archive_.get());
      return fail(Errc::kInvalid, "the package cannot be read: {}", why ? why : "no tar archive");
    }
    ++entries;
    if (auto begun = begin(entry); !begun) return fail(begun.error());
  }
  return true;
}

Result<void> Unpacker::begin(archive_entry* entry) {
  if (++entries_ > limits_.entries) {
    return fail(Errc::kInvalid, "the package has more than {} entries", limits_.entries);
  }
  const char* name = archive_entry_pathname(entry);
  path_ = name ? name : "";
  auto parts = parts_of(path_);
  if (!parts) return fail(Errc::kInvalid, "the package has {}, which leaves it", in_quotes(path_));
  if (parts->size() > limits_.depth + 1) {
    return fail(Errc::kInvalid, "the package nests more than {} folders: {}", limits_.depth,
                in_quotes(path_));
  }
  const mode_t type = archive_entry_filetype(entry);
  const bool hard_link = archive_entry_hardlink(entry) != nullptr;
  if (hard_link || (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)) {
    return fail(Errc::kInvalid, "the package has {}, which is {}", in_quotes(path_),
                hard_link ? "a hard link" : "neither a file nor a folder nor a symbolic link");
  }
  if (type == AE_IFDIR) {
    auto entered = enter(*parts);
    if (!entered) return fail(entered.error());
    return {};
  }
  if (parts->empty()) return fail(Errc::kInvalid, "the package has a file without a name");
  const std::string file = std::move(parts->back());
  parts->pop_back();
  const auto parent = enter(*parts);
  if (!parent) return fail(parent.error());
  return type == AE_IFREG ? add_file(parent->get(), file, entry)
                          : add_link(parent->get(), file, parts->size(), entry);
}

Result<UniqueFd> Unpacker::enter(const std::vector<std::string>& folders) {
  UniqueFd here(::fcntl(folder_.get(), F_DUPFD_CLOEXEC, 0));
  if (!here) return fail_errno(errno, "cannot open the folder of a package");
  for (const auto& name : folders) {
    const bool made = ::mkdirat(here.get(), name.c_str(), kFolderMode) == 0;
    if (!made && errno != EEXIST) return fail_making(errno, path_);
    UniqueFd next(
        ::openat(here.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return fail_making(errno, path_);
    if (made && ::fchmod(next.get(), kFolderMode) != 0) return fail_making(errno, path_);
    here = std::move(next);
  }
  return here;
}

Result<void> Unpacker::add_file(int parent, const std::string& name, archive_entry* entry) {
  const int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
  if (size < 0)
    return fail(Errc::kInvalid, "the package has {} of negative size", in_quotes(path_));
  size_ = static_cast<uint64_t>(size);
  if (auto counted = count_bytes(size_); !counted) return counted;
  const bool executable = (archive_entry_perm(entry) & 0111) != 0;
  mode_ = executable ? kExecutableMode : kFileMode;
  file_.reset(
      ::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file_) return fail_making(errno, path_);
  return {};
}

Result<void> Unpacker::add_link(int parent, const std::string& name, size_t depth,
                                archive_entry* entry) {
  const char* text = archive_entry_symlink(entry);
  const std::string target = text ? text : "";
  if (!stays_inside(target, depth)) {
    return fail(Errc::kInvalid, "the package has {}, a link to {}, which leaves it",
                in_quotes(path_), in_quotes(target));
  }
  if (auto counted = count_bytes(target.size()); !counted) return counted;
  if (::symlinkat(target.c_str(), parent, name.c_str()) != 0) return fail_making(errno, path_);
  return {};
}

Result<void> Unpacker::count_bytes(uint64_t bytes) {
  if (bytes > limits_.bytes - bytes_) {
    return fail(Errc::kInvalid, "the package is larger than {} MiB unpacked", limits_.bytes >> 20);
  }
  bytes_ += bytes;
  return {};
}

Result<bool> Unpacker::copy(uint64_t* budget) {
  for (;;) {
    const void* data = nullptr;
    size_t length = 0;
    int64_t offset = 0;
    const int got = archive_read_data_block(archive_.get(), &data, &length, &offset);
    if (got == ARCHIVE_EOF) break;
    if (got != ARCHIVE_OK && got != ARCHIVE_WARN) {
      const char* why = archive_error_string(archive_.get());
      return fail(Errc::kInvalid, "{} cannot be read from the package: {}", in_quotes(path_),
                  why ? why : "damaged");
    }
    const auto at = static_cast<uint64_t>(offset);
    // Blocks of sparse files come with holes between them.
    if (offset < 0 || at > size_ || length > size_ - at) {
      return fail(Errc::kInvalid, "{} is larger than the package says", in_quotes(path_));
    }
    for (size_t done = 0; done < length;) {
      const ssize_t written = ::pwrite(file_.get(), static_cast<const char*>(data) + done,
                                       length - done, static_cast<off_t>(at + done));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return fail_making(errno, path_);
      done += static_cast<size_t>(written);
    }
    if (length >= *budget) {
      *budget = 0;
      return true;
    }
    *budget -= length;
  }
  // A hole at the end has no block.
  if (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) return fail_making(errno, path_);
  if (::fchmod(file_.get(), mode_) != 0) return fail_making(errno, path_);
  file_.reset();
  return false;
}

}  // namespace ebb::node
