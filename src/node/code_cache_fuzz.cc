// Whatever an archive holds, unpacking ends, stays in its folder and within its bounds,
// and leaves only files, folders and links of known modes.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "node/unpack.h"

namespace fs = std::filesystem;

static void require(bool holds) {
  if (!holds) std::abort();
}

// Gives every header the checksum that it should have, so that the fuzzer gets past it.
static std::string repaired(const uint8_t* data, size_t size) {
  constexpr size_t kBlock = 512;
  constexpr size_t kSumAt = 148;
  constexpr size_t kSumSize = 8;
  std::string tar(reinterpret_cast<const char*>(data), size);
  for (size_t at = 0; at + kBlock <= tar.size();) {
    tar.replace(at + kSumAt, kSumSize, kSumSize, ' ');
    unsigned sum = 0;
    for (size_t i = at; i < at + kBlock; ++i) sum += static_cast<unsigned char>(tar[i]);
    tar.replace(at + kSumAt, kSumSize - 2, fmt::format("{:06o}", sum));
    tar[at + kSumAt + kSumSize - 2] = '\0';
    const size_t content = std::strtoull(tar.substr(at + 124, 11).c_str(), nullptr, 8);
    at += kBlock + std::min(content, tar.size()) / kBlock * kBlock +
          (content % kBlock == 0 ? 0 : kBlock);
  }
  return tar;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string folder = [] {
    std::string pattern = (fs::temp_directory_path() / "ebb-code-fuzz-XXXXXX").string();
    require(::mkdtemp(pattern.data()) != nullptr);
    return pattern;
  }();
  fs::create_directories(folder + "/inside");
  ebb::UniqueFd source(::memfd_create("package", MFD_CLOEXEC));
  // An odd size: as it is.
  const std::string tar =
      size % 2 == 0 ? repaired(data, size) : std::string(reinterpret_cast<const char*>(data), size);
  require(::write(source.get(), tar.data(), tar.size()) == static_cast<ssize_t>(tar.size()));
  require(::lseek(source.get(), 0, SEEK_SET) == 0);
  ebb::UniqueFd into(::open((folder + "/inside").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));

  constexpr ebb::node::UnpackLimits kLimits{.bytes = 1 << 20, .entries = 64, .depth = 8};
  auto unpacker = ebb::node::Unpacker::open(std::move(source), std::move(into), kLimits);
  if (unpacker) {
    for (auto more = (*unpacker)->step(); more && *more;) more = (*unpacker)->step();
  }

  require(std::distance(fs::directory_iterator(folder), fs::directory_iterator()) == 1);
  uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder + "/inside")) {
    struct stat info{};
    require(::lstat(entry.path().c_str(), &info) == 0);
    if (S_ISREG(info.st_mode)) bytes += static_cast<uint64_t>(info.st_size);
    require(S_ISREG(info.st_mode) || S_ISLNK(info.st_mode) || S_ISDIR(info.st_mode));
    require((info.st_mode & 07000) == 0);
    if (S_ISLNK(info.st_mode)) {
      std::error_code loop;  // links may form one
      const auto target = entry.path().parent_path() / fs::read_symlink(entry.path());
      const std::string real = fs::weakly_canonical(target, loop).string();
      require(loop || real.starts_with(fs::canonical(folder).string() + "/inside"));
    }
  }
  require(bytes <= kLimits.bytes);
  fs::remove_all(folder + "/inside");
  return 0;
}
