// The code of functions, unpacked and ready to be mounted: FOLDER/HASH for each package
// of the blob store. What is there is whole: it is unpacked beside it and renamed.
//
// Used on one executor; the disk is worked on elsewhere. Destroy it when that executor
// has stopped.
//
//   auto there = co_await cache.ensure(hash);     // kNotFound: nobody uploaded it
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/executor.h"
#include "net/one_shot.h"
#include "net/task.h"
#include "node/unpack.h"
#include "store/blob_store.h"
#include "store/disk_thread.h"

namespace ebb::node {

class CodeCache final {
 public:
  // All three must outlive it. `folder` exists.
  CodeCache(net::Executor& executor, store::BlobStore& blobs, store::DiskThread& disk,
            std::string folder, UnpackLimits limits = {});
  CodeCache(const CodeCache&) = delete;
  CodeCache& operator=(const CodeCache&) = delete;

  // Afterwards the package `hash` (64 hex digits) lies in path_of(hash). However many
  // wait for one package, it is unpacked once. kNotFound if it is not in the blob
  // store; kInvalid if it is no acceptable package, which never changes; others may be
  // tried again.
  [[nodiscard]] net::Task<Result<void>> ensure(std::string hash);
  // Removing what is not there is fine. No pod may use it any more. kUnavailable while
  // it is being unpacked.
  [[nodiscard]] net::Task<Result<void>> remove(std::string hash);
  // The same for many, as one turn at the disk that comes before any call made later.
  // Those that are being unpacked stay. Returns how many were there.
  [[nodiscard]] net::Task<Result<size_t>> remove_all(std::vector<std::string> hashes);
  // The hashes of all packages that are there.
  [[nodiscard]] net::Task<Result<std::vector<std::string>>> list();
  // Removes what an earlier process left half unpacked. Before the first ensure().
  [[nodiscard]] net::Task<Result<void>> sweep();

  [[nodiscard]] std::string path_of(const std::string& hash) const { return folder_ + "/" + hash; }

 private:
  using Shot = net::OneShot<Result<void>>;

  [[nodiscard]] net::Task<Result<void>> make(std::string hash);
  [[nodiscard]] net::Task<Result<void>> fill(std::string hash, std::string temporary);
  [[nodiscard]] net::Task<Result<void>> fetch(std::string hash, std::string file);
  [[nodiscard]] net::Task<Result<void>> unpack(std::string file, std::string folder);

  net::Executor& executor_;
  store::BlobStore& blobs_;
  store::DiskThread& disk_;
  const std::string folder_;
  const UnpackLimits limits_;
  std::map<std::string, std::vector<Shot::Sender>> under_way_;  // who else waits, by hash
};

}  // namespace ebb::node
