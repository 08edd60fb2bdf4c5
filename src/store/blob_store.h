// Code packages by the hash of their content: "sha256:" and 64 hex digits. What is
// stored under a digest never changes.
//
// Used on one executor; the disk is worked on elsewhere (disk_thread.h).
//
//   auto writer = co_await blobs.create(digest);
//   while (...) co_await (*writer)->write(piece);
//   auto done = co_await (*writer)->commit();     // kInvalid: another digest
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/task.h"

namespace ebb::store {

struct BlobInfo {
  std::string digest;
  uint64_t size = 0;  // bytes
  WallTime stored;    // or stored again, or asked for: garbage collection leaves young ones alone
};

// Receives one blob. One call at a time. Destroyed before commit(): nothing stays.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  // kExhausted if the disk or the queue to it is full, kInvalid over the size bound.
  [[nodiscard]] virtual net::Task<Result<void>> write(std::string piece) = 0;
  // Makes it durable and visible. kInvalid if its digest is not the one announced.
  [[nodiscard]] virtual net::Task<Result<void>> commit() = 0;
};

class BlobReader {
 public:
  virtual ~BlobReader() = default;
  [[nodiscard]] virtual uint64_t size() const = 0;
  // The next piece; empty at the end. One call at a time.
  [[nodiscard]] virtual net::Task<Result<std::string>> read() = 0;
};

class BlobStore {
 public:
  virtual ~BlobStore() = default;
  // nullopt if it is not stored. Who asks means to use it: its time is renewed. Here and
  // below kInvalid for what is no digest.
  [[nodiscard]] virtual net::Task<Result<std::optional<BlobInfo>>> find(std::string digest) = 0;
  [[nodiscard]] virtual net::Task<Result<std::unique_ptr<BlobWriter>>> create(
      std::string digest) = 0;
  // kNotFound.
  [[nodiscard]] virtual net::Task<Result<std::unique_ptr<BlobReader>>> open(std::string digest) = 0;
  // Removing what is not there is fine.
  [[nodiscard]] virtual net::Task<Result<void>> remove(std::string digest) = 0;
  // Removes those of them that were neither stored nor asked for since `since`. Takes its
  // turn at the disk before any call made later. Returns how many were removed.
  [[nodiscard]] virtual net::Task<Result<size_t>> remove_unused(std::vector<std::string> digests,
                                                                WallTime since) = 0;
  [[nodiscard]] virtual net::Task<Result<std::vector<BlobInfo>>> list() = 0;
};

inline constexpr std::string_view kDigestPrefix = "sha256:";
// The prefix and 64 lower-case hex digits.
[[nodiscard]] bool is_blob_digest(std::string_view text);

}  // namespace ebb::store
