// Code packages over HTTP: PUT, HEAD and GET /apis/ebb.dev/v1/blobs/sha256:HEX.
// Control executor only.
#pragma once

#include <string>

#include "apiserver/status.h"
#include "http/server.h"
#include "net/task.h"
#include "store/blob_store.h"

namespace ebb::apiserver {

class BlobEndpoint final {
 public:
  static constexpr uint64_t kMaxBytes = 100 << 20;  // of one package; over it: 413
  static constexpr size_t kWritePiece = 128 << 10;  // handed to the disk at once

  // `blobs` must outlive it.
  explicit BlobEndpoint(store::BlobStore& blobs) : blobs_(blobs) {}

  [[nodiscard]] net::Task<void> serve(http::Exchange& exchange, std::string digest);

 private:
  [[nodiscard]] net::Task<void> put(http::Exchange& exchange, std::string digest);
  [[nodiscard]] net::Task<void> get(http::Exchange& exchange, std::string digest);
  [[nodiscard]] net::Task<void> head(http::Exchange& exchange, std::string digest);

  store::BlobStore& blobs_;
};

}  // namespace ebb::apiserver
