// Archives of every kind of member, whole, cut and changed: what is no backup is refused with a
// reason, what is one is taken, and nothing is written but what its names promise.
#include <archive.h>
#include <archive_entry.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "base/unique_fd.h"
#include "cli/backup_archive.h"

namespace fs = std::filesystem;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

std::string hex_digest(std::string_view content) {
  ebb::Sha256 hash;
  hash.update(content);
  return hash.hex();
}

struct Member {
  std::string name;
  std::string content;
  mode_t type = AE_IFREG;
  bool hard_link = false;
};

// What the fuzzer's bytes say, and whether that is a backup.
class Plan final {
 public:
  Plan(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {
    // Most backups begin alike: so far the fuzzer need not find out itself.
    if (byte() % 4 != 0) add_note();
    while (!rest_.empty()) add_member();
    valid_ = valid_ && has_state_;
  }

  [[nodiscard]] const std::vector<Member>& members() const { return members_; }
  // Only if whether the note is one is known.
  [[nodiscard]] bool known() const { return known_; }
  [[nodiscard]] bool valid() const { return valid_; }

 private:
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto first = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return first;
  }
  std::string text() {
    const size_t length = std::min<size_t>(byte(), rest_.size());
    const std::string out(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return out;
  }
  void add_note() {
    members_.push_back({.name = "ebb-backup.json", .content = R"({"format":"1"})"});
    has_note_ = true;
  }
  void add_member() {
    switch (byte() % 8) {
      case 0:
        add_note();
        break;
      case 1:
        members_.push_back({.name = "ebb-backup.json", .content = text()});
        known_ = false;
        break;
      case 2:
      case 3:
        members_.push_back({.name = "store/state.db", .content = text()});
        valid_ = valid_ && has_note_ && !has_state_;
        has_state_ = true;
        break;
      case 4:
      case 5: {
        const std::string content = text();
        const std::string name = "blobs/sha256/" + hex_digest(content);
        for (const Member& other : members_) valid_ = valid_ && other.name != name;
        valid_ = valid_ && has_note_;
        members_.push_back({.name = name, .content = content});
        break;
      }
      case 6: {
        const std::string wrong = text();
        members_.push_back({.name = "blobs/sha256/" + hex_digest(wrong), .content = wrong + "x"});
        valid_ = false;
        break;
      }
      case 7: {
        constexpr mode_t kTypes[] = {AE_IFREG, AE_IFDIR, AE_IFLNK, AE_IFIFO, AE_IFCHR, AE_IFREG};
        const size_t kind = byte() % std::size(kTypes);
        std::string name = text();
        name.resize(std::strlen(name.c_str()));  // a tar's names end with the first NUL
        if (kind != 0 && name.empty()) name = "store/state.db";
        if (name == "ebb-backup.json" || name.empty()) return;
        if (kind == 0 && (name == "store/state.db" || name.starts_with("blobs/"))) return;
        members_.push_back(
            {.name = name, .content = {}, .type = kTypes[kind], .hard_link = kind == 5});
        valid_ = false;
        break;
      }
      default:
        std::abort();
    }
  }

  std::string_view rest_;
  std::vector<Member> members_;
  bool has_note_ = false;
  bool has_state_ = false;
  bool known_ = true;
  bool valid_ = true;
};

// False if tar cannot hold one of the members.
bool write_tar(const std::vector<Member>& members, std::string& out) {
  constexpr size_t kRoom = 4 << 20;
  out.resize(kRoom);
  size_t used = 0;
  archive* tar = archive_write_new();
  archive_write_set_format_pax_restricted(tar);
  archive_write_set_bytes_in_last_block(tar, 1);
  bool whole = archive_write_open_memory(tar, out.data(), out.size(), &used) == ARCHIVE_OK;
  for (const Member& member : members) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, member.name.c_str());
    archive_entry_set_filetype(entry, member.type);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<int64_t>(member.content.size()));
    if (member.type == AE_IFLNK) archive_entry_set_symlink(entry, "/etc/passwd");
    if (member.hard_link) archive_entry_set_hardlink(entry, "/etc/passwd");
    whole = whole && archive_write_header(tar, entry) == ARCHIVE_OK &&
            archive_write_data(tar, member.content.data(), member.content.size()) ==
                static_cast<la_ssize_t>(member.content.size());
    archive_entry_free(entry);
  }
  whole = whole && archive_write_close(tar) == ARCHIVE_OK;
  archive_write_free(tar);
  out.resize(used);
  return whole;
}

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string kFolder = [] {
    std::string pattern = fs::temp_directory_path() / "ebb-backup-fuzz-XXXXXX";
    require(::mkdtemp(pattern.data()) != nullptr);
    return pattern;
  }();
  if (size < 4) return 0;
  const uint8_t damage = data[0];
  const size_t at = data[1] << 8 | data[2];
  const Plan plan(data + 3, size - 3);
  std::string tar;
  if (!write_tar(plan.members(), tar)) return 0;
  const bool damaged = damage % 4 == 1 || damage % 4 == 2;
  if (damage % 4 == 1) tar.resize(at % (tar.size() + 1));
  if (damage % 4 == 2 && !tar.empty())
    tar[at % tar.size()] ^= static_cast<char>(1 << damage / 4 % 8);

  const ebb::UniqueFd file(::memfd_create("backup", MFD_CLOEXEC));
  require(::write(file.get(), tar.data(), tar.size()) == static_cast<ssize_t>(tar.size()));
  const fs::path to = kFolder + "/to";
  fs::create_directories(to / "store");
  fs::create_directories(to / "blobs/sha256");
  const auto done = ebb::cli::unpack_backup("/proc/self/fd/" + std::to_string(file.get()), to);

  if (!done) require(!done.error().message.empty());
  if (!damaged && plan.known()) require(done.has_value() == plan.valid());
  size_t blobs = 0;
  for (const auto& entry : fs::recursive_directory_iterator(to)) {
    const std::string name = fs::relative(entry.path(), to);
    if (entry.is_directory()) {
      require(name == "store" || name == "blobs" || name == "blobs/sha256");
      continue;
    }
    require(entry.symlink_status().type() == fs::file_type::regular);
    require(fs::hard_link_count(entry.path()) == 1);
    if (name == "store/state.db") continue;
    require(name.starts_with("blobs/sha256/"));
    ++blobs;
    if (done) require(hex_digest(text_of(entry.path())) == entry.path().filename());
  }
  if (done) {
    require(fs::is_regular_file(to / "store/state.db"));
    require(done->size() == blobs);
  }
  fs::remove_all(to);
  require(fs::is_empty(kFolder));
  return 0;
}
