// The blob store of one machine: the file FOLDER/sha256/HEX for each blob. A blob
// is written under a temporary name, checked, synced and renamed, so a file that is
// there is whole. Readers on this machine may open path_of() themselves.
#pragma once

#include <memory>
#include <string>

#include "net/executor.h"
#include "store/blob_store.h"
#include "store/disk_thread.h"

namespace ebb::store {

class FileBlobStore final : public BlobStore {
 public:
  static constexpr uint64_t kMaxBlobBytes = 100 << 20;
  static constexpr int kMaxWriters = 16;  // at the same time; over it: kExhausted
  static constexpr size_t kReadPiece = 64 << 10;

  // Makes the folders where they are missing and removes what an earlier process
  // left half written. Blocking. `disk` must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<FileBlobStore>> open(net::Executor& home,
                                                                   DiskThread& disk,
                                                                   std::string folder);

  net::Task<Result<std::optional<BlobInfo>>> find(std::string digest) override;
  net::Task<Result<std::unique_ptr<BlobWriter>>> create(std::string digest) override;
  net::Task<Result<std::unique_ptr<BlobReader>>> open(std::string digest) override;
  net::Task<Result<void>> remove(std::string digest) override;
  net::Task<Result<size_t>> remove_unused(std::vector<std::string> digests,
                                          WallTime since) override;
  net::Task<Result<std::vector<BlobInfo>>> list() override;

  // Where a blob is, or would be. `digest` must be one.
  [[nodiscard]] std::string path_of(std::string_view digest) const;

 private:
  class Writer;
  class Reader;
  FileBlobStore(net::Executor& home, DiskThread& disk, std::string folder);

  net::Executor& home_;
  DiskThread& disk_;
  std::string folder_;
  // Shared: a writer may end after the store.
  std::shared_ptr<int> writers_ = std::make_shared<int>(0);
};

}  // namespace ebb::store
