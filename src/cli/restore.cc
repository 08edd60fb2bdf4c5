// `ebb restore`: from a backup to a data folder, without an API.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "api/json.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/unique_fd.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "node/data_folder.h"
#include "store/blob_store.h"
#include "store/snapshot.h"

namespace ebb::cli {

namespace {

namespace fs = std::filesystem;

constexpr const char* kNote = "ebb-backup.json";
constexpr const char* kState = "store/state.db";
constexpr std::string_view kBlobs = "blobs/sha256/";
constexpr const char* kFormat = "1";
constexpr size_t kMaxNote = 64 << 10;
constexpr int64_t kMaxBlob = 100 << 20;    // bytes, as the API takes
constexpr int64_t kMaxState = 16LL << 30;  // bytes
constexpr size_t kMaxBlobs = 1'000'000;

// A folder inside the data folder that everything is put into first; gone at the end.
class Workplace final {
 public:
  explicit Workplace(const std::string& data) : path_(data + "/.restore-" + random_hex(6)) {}
  ~Workplace() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

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
    const bool file = archive_entry_filetype(entry) == AE_IFREG && size >= 0;
    if (file && name == kNote) return read_note(size);
    // The note comes first: what follows is of a format that is known.
    if (file && has_note_ && name == kState && size <= kMaxState && !has_state_) {
      has_state_ = true;
      return unpack(to_ + "/" + kState, nullptr);
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

Result<void> check_empty(const std::string& data) {
  std::error_code error;
  fs::create_directories(data, error);
  if (error) return fail(Errc::kInvalid, "cannot make {}: {}", data, error.message());
  for (const char* name : {"store/state.db", "blobs/sha256", "run/front.lock"}) {
    const fs::path path = fs::path(data) / name;
    const bool there =
        fs::is_directory(path, error) ? !fs::is_empty(path, error) : fs::exists(path, error);
    if (there) {
      return fail(Errc::kAlreadyExists,
                  "the data folder {} is in use already: choose an empty one with --data", data);
    }
  }
  return {};
}

Result<void> move_into(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) return fail(Errc::kInternal, "cannot write {}: {}", to, error.message());
  return {};
}

Result<void> sync_folder(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno(errno, "cannot sync " + path);
  return {};
}

// As root all belongs to the user as whom Ebb serves.
Result<void> give_to_front(const std::string& folder) {
  if (::geteuid() != 0) return {};
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, error);
  for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    if (::lchown(entries->path().c_str(), node::kFrontUid, node::kFrontUid) != 0) {
      return fail_errno(errno, "cannot give away " + entries->path().string());
    }
  }
  if (error) return fail(Errc::kInternal, "cannot read {}: {}", folder, error.message());
  return {};
}

}  // namespace

Result<void> restore(const RestoreOptions& options, Console& console) {
  const auto began = std::chrono::steady_clock::now();
  Progress progress(console);
  progress.step("Restoring " + options.file);
  std::error_code error;
  const node::DataFolder data{.root = fs::absolute(options.data, error).lexically_normal()};
  if (auto ok = check_empty(data.root); !ok) return ok;
  const Workplace work(data.root);
  for (const char* folder : {"", "/store", "/blobs", "/blobs/sha256"}) {
    if (::mkdir((work.path() + folder).c_str(), 0700) != 0) {
      return fail_errno(errno, "cannot write to " + data.root);
    }
  }
  Unpacker unpacker(options.file, work.path());
  if (auto ok = unpacker.run(); !ok) return ok;
  const auto named = store::check_store_file(work.path() + "/" + kState);
  if (!named) return fail(Errc::kInvalid, "{}: {}", options.file, named.error().message);
  if (auto ok = give_to_front(work.path()); !ok) return ok;

  if (::geteuid() == 0) {
    if (auto ok = data.prepare(node::kFrontUid); !ok) return ok;
  } else {
    for (const std::string& folder : {data.store(), data.blobs()}) {
      fs::create_directories(folder, error);
    }
  }
  // The store last: without it the folder is still an empty one.
  fs::remove(data.blobs() + "/sha256", error);
  if (auto ok = move_into(work.path() + "/blobs/sha256", data.blobs() + "/sha256"); !ok) return ok;
  if (auto ok = sync_folder(data.blobs() + "/sha256"); !ok) return ok;
  if (auto ok = sync_folder(data.blobs()); !ok) return ok;
  if (auto ok = move_into(work.path() + "/" + kState, data.root + "/" + kState); !ok) return ok;
  if (auto ok = sync_folder(data.store()); !ok) return ok;
  progress.clear();
  for (const std::string& digest : *named) {
    if (unpacker.digests().contains(digest)) continue;
    console.err << "The backup does not have the code package " << digest
                << ": deploy the functions that use it again\n";
  }
  console.out << fmt::format("restored {} to {} in {}: start it with ebb up --data {}\n",
                             options.file, data.root,
                             format_took(std::chrono::steady_clock::now() - began), data.root);
  return {};
}

}  // namespace ebb::cli
