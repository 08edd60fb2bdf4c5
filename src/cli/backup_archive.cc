#include "cli/backup_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "api/json.h"
#include "base/sha256.h"
#include "base/unique_fd.h"
#include "cli/console.h"
#include "cli/table.h"
#include "store/blob_store.h"

namespace ebb::cli {

namespace {

constexpr const char* kNote = "ebb-backup.json";
constexpr std::string_view kBlobs = "blobs/sha256/";
constexpr const char* kFormat = "1";
constexpr size_t kMaxNote = 64 << 10;
constexpr int64_t kMaxBlob = 100 << 20;    // bytes, as the API takes
constexpr int64_t kMaxState = 16LL << 30;  // bytes
constexpr size_t kMaxBlobs = 1'000'000;

// Reads the archive's members and puts each where it belongs.
class Unpacker final {
 public:
  Unpacker(std::string file, std::string to) : file_(std::move(file)), to_(std::move(to)) {
    archive_read_support_format_tar(tar_.get());
  }

  Result<void> run() {
    constexpr size_t kBlock = 64 << 10;
    if (archive_read_open_filename(tar_.get(), file_.c_str(), kBlock) != ARCHIVE_OK) {
      return broken();
    }
    for (;;) {
      archive_entry* entry = nullptr;
      const int status = archive_read_next_header(tar_.get(), &entry);
      if (status == ARCHIVE_EOF) break;
      if (status != ARCHIVE_OK) return broken();
      if (auto done = take(entry); !done) return done;
    }
    if (!has_state_) return fail(Errc::kInvalid, "{} is not a whole backup of Ebb", file_);
    return {};
  }
  [[nodiscard]] const std::set<std::string>& digests() const { return digests_; }

 private:
  [[nodiscard]] tl::unexpected<Error> broken() const {
    const char* why = archive_error_string(tar_.get());
    return fail(Errc::kInvalid, "{} cannot be read as a backup: {}", file_,
                why == nullptr ? "it is damaged" : why);
  }

  Result<void> take(archive_entry* entry) {
    const char* raw = archive_entry_pathname(entry);
    const std::string name = raw == nullptr ? "" : raw;
    const int64_t size = archive_entry_size(entry);
    // A hard link counts as a file that is empty.
    const bool file = archive_entry_filetype(entry) == AE_IFREG &&
                      archive_entry_hardlink(entry) == nullptr && size >= 0;
    if (file && name == kNote) return read_note(size);
    // The note comes first: what follows is of a format that is known.
    if (file && has_note_ && name == kBackupState && size <= kMaxState && !has_state_) {
      has_state_ = true;
      return unpack(to_ + "/" + kBackupState, nullptr);
    }
    const std::string digest =
        "sha256:" + std::string(name.substr(std::min(name.size(), kBlobs.size())));
    if (file && has_note_ && name.starts_with(kBlobs) && store::is_blob_digest(digest) &&
        size <= kMaxBlob && digests_.size() < kMaxBlobs && digests_.insert(digest).second) {
      return unpack(to_ + "/" + name, &digest);
    }
    return fail(Errc::kInvalid, "{} is not a backup of Ebb: it holds \"{}\"", file_,
                one_line(name));
  }

  Result<void> read_note(int64_t size) {
    std::string text(std::min<size_t>(kMaxNote, static_cast<size_t>(size)), '\0');
    if (archive_read_data(tar_.get(), text.data(), text.size()) !=
        static_cast<la_ssize_t>(text.size())) {
      return broken();
    }
    const auto note = api::parse_json(text);
    const std::string format = note ? text_at(*note, {"format"}) : std::string();
    if (format != kFormat) {
      return fail(Errc::kInvalid, "{} has the format \"{}\" of backups: this ebb reads {}", file_,
                  one_line(format), kFormat);
    }
    has_note_ = true;
    return {};
  }

  // Checked against `digest` if there is one.
  Result<void> unpack(const std::string& path, const std::string* digest) {
    const UniqueFd fd(::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
    if (!fd) return fail_errno(errno, "cannot write " + path);
    Sha256 hash;
    std::array<char, 64 << 10> buffer{};
    for (;;) {
      const auto n = archive_read_data(tar_.get(), buffer.data(), buffer.size());
      if (n < 0) return broken();
      if (n == 0) break;
      std::string_view piece(buffer.data(), static_cast<size_t>(n));
      if (digest != nullptr) hash.update(piece);
      while (!piece.empty()) {
        const ssize_t written = ::write(fd.get(), piece.data(), piece.size());
        if (written < 0) return fail_errno(errno, "cannot write " + path);
        piece.remove_prefix(static_cast<size_t>(written));
      }
    }
    if (digest != nullptr && "sha256:" + hash.hex() != *digest) {
      return fail(Errc::kInvalid, "{}: the code package {} in it is damaged", file_, *digest);
    }
    if (::fsync(fd.get()) != 0) return fail_errno(errno, "cannot write " + path);
    return {};
  }

  struct Free {
    void operator()(archive* a) const { archive_read_free(a); }
  };
  std::string file_;
  std::string to_;
  std::unique_ptr<archive, Free> tar_{archive_read_new()};
  bool has_note_ = false;
  bool has_state_ = false;
  std::set<std::string> digests_;
};

}  // namespace

Result<std::set<std::string>> unpack_backup(const std::string& file, const std::string& to) {
  Unpacker unpacker(file, to);
  if (auto ok = unpacker.run(); !ok) return fail(ok.error());
  return unpacker.digests();
}

}  // namespace ebb::cli
