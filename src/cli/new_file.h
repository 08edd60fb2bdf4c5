// A file that appears when it is whole, and not at all otherwise, whenever the program
// ends. Blocking.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ebb::cli {

class NewFile final {
 public:
  // Nothing can be seen at `path` yet; what is there stays. kInvalid for what is there and
  // no regular file, such as a device or a pipe. Of a link it is the target.
  [[nodiscard]] static Result<NewFile> make(const std::string& path);
  NewFile(NewFile&& other) noexcept = default;
  NewFile& operator=(NewFile&& other) noexcept = default;
  ~NewFile();

  [[nodiscard]] Result<void> write(std::string_view piece);
  // Makes it durable and visible, mode 0600, in place of what was there.
  [[nodiscard]] Result<void> publish();

 private:
  NewFile(std::string path, UniqueFd fd, std::string temporary)
      : path_(std::move(path)), fd_(std::move(fd)), temporary_(std::move(temporary)) {}

  std::string path_;
  UniqueFd fd_;
  std::string temporary_;  // its name so far; empty: it has none
};

}  // namespace ebb::cli
