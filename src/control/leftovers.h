// Removes from the disk what no revision uses any more: code packages, what was unpacked
// of them, and logs.
//
// A package may be uploaded some time before the Service that names it, and a client that
// finds it there does not upload it again: so one that was uploaded or asked for within the
// grace time stays. Nothing goes that a pod still has mounted or writes to. It is safe to
// end the program at any moment: the next sweep goes on. Control executor only.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "api/types.h"
#include "base/clock.h"
#include "control/scheduler.h"
#include "net/executor.h"
#include "net/task.h"
#include "node/code_cache.h"
#include "resources/informer.h"
#include "store/blob_store.h"
#include "store/disk_thread.h"

namespace ebb::control {

struct LeftoversSettings {
  Duration grace = std::chrono::hours(1);
  Duration period = std::chrono::minutes(10);
};

class Leftovers final {
 public:
  struct Disk {
    store::BlobStore* blobs = nullptr;
    store::DiskThread* thread = nullptr;
    std::string logs;                   // UID.log, UID.log.1 of each revision
    std::function<CodeInUse()> in_use;  // by pods
  };
  struct Uses {
    const Clock& clock;
    node::CodeCache& code;
    const resources::Informer<api::Service>& services;
    const resources::Informer<api::Configuration>& configurations;
    const resources::Informer<api::Revision>& revisions;
  };
  static constexpr size_t kAtOnce = 64;  // removed in one turn at the disk

  Leftovers(net::Executor& executor, Uses uses, Disk disk, LeftoversSettings settings);

  // Now and periodically. Nothing if there is no disk to look after.
  void start();
  // Once.
  [[nodiscard]] net::Task<void> sweep();

 private:
  // What must stay.
  struct Kept {
    std::set<std::string> codes;      // hashes
    std::set<std::string> revisions;  // uids
    bool complete = true;
  };

  [[nodiscard]] net::Task<void> run();
  [[nodiscard]] Kept kept() const;
  [[nodiscard]] net::Task<Result<size_t>> sweep_blobs(WallTime since);
  [[nodiscard]] net::Task<Result<size_t>> sweep_code();
  [[nodiscard]] net::Task<Result<size_t>> sweep_logs(WallTime since);

  net::Executor& executor_;
  Uses uses_;
  const Disk disk_;
  const LeftoversSettings settings_;
  net::Timer timer_;
  bool running_ = false;
};

}  // namespace ebb::control
