// GET /apis/ebb.dev/v1/backup: what is declared and the code that it names, as one tar
// archive of one moment:
//
//   ebb-backup.json            {"format": 1, "version": "0.1.0"}
//   blobs/sha256/HEX           code packages, as stored
//   store/state.db             the store (SQLite), last
//
// Writes go on meanwhile. An answer that breaks off is cut, so that the client sees that
// it is not whole. Control executor only; one backup at a time.
#pragma once

#include <string>

#include "http/server.h"
#include "net/task.h"
#include "store/blob_store.h"
#include "store/disk_thread.h"
#include "store/snapshot.h"

namespace ebb::apiserver {

class BackupEndpoint final {
 public:
  static constexpr int kMaxSnapshots = 3;      // until all packages of one are there
  static constexpr size_t kPiece = 256 << 10;  // read of the store at once

  // `state`: the store's file; empty: there is none, 404. `blobs` must outlive it.
  BackupEndpoint(net::Executor& executor, store::BlobStore& blobs, std::string state,
                 std::string version)
      : executor_(executor),
        blobs_(blobs),
        state_(std::move(state)),
        version_(std::move(version)) {}

  [[nodiscard]] net::Task<void> serve(http::Exchange& exchange);

 private:
  class Run;
  [[nodiscard]] net::Task<Result<store::Snapshot>> take_snapshot();

  net::Executor& executor_;
  store::BlobStore& blobs_;
  std::string state_;
  std::string version_;
  bool busy_ = false;
  // Its own: copying a large store takes long, and starting code must not wait for it.
  store::DiskThread disk_;
};

}  // namespace ebb::apiserver
