// Writes a tar archive piece by piece: the same calls give the same bytes, with times
// and owners zero. Not thread-safe.
//
//   TarWriter tar;
//   tar.add_file("main.py", 5, false);
//   tar.data("x = 1");
//   send(tar.take());        // what there is so far
//   tar.close();
//   send(tar.take());
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ebb::store {

class TarWriter final {
 public:
  // kBytes keeps names that are no UTF-8; old tools then warn of a header they do not know.
  enum class Names { kBytes, kAscii };
  explicit TarWriter(Names names = Names::kBytes);
  ~TarWriter();
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  Result<void> add_folder(const std::string& name);
  Result<void> add_link(const std::string& name, const std::string& target);
  // `size` bytes of data() follow.
  Result<void> add_file(const std::string& name, uint64_t size, bool executable);
  Result<void> data(std::string_view piece);
  // Writes the archive's end.
  Result<void> close();
  // What was written since the last call.
  [[nodiscard]] std::string take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebb::store
