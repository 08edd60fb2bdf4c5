// The store of one machine: an SQLite file, written by a thread of its own.
//
// Operations queue up for the worker; everything that waits is committed in one
// transaction (WAL, synchronous=FULL) before any of it is acknowledged, so many
// writers share one fsync. Operations take effect in the order they were called.
//
// Home executor only, as store.h says. Destroy it before its home executor, when
// that has stopped; what is queued then is finished first.
//
//   auto store = store::SqliteStore::open(control, data_dir + "/state.db");
#pragma once

#include <memory>
#include <string>

#include "net/executor.h"
#include "store/sqlite_tables.h"
#include "store/store.h"

namespace ebb::store {

class SqliteStore final : public Store {
 public:
  static constexpr size_t kMaxQueued = 1'024;          // operations; over it: kExhausted
  static constexpr size_t kMaxQueuedBytes = 64 << 20;  // of values; over it: kExhausted
  static constexpr size_t kMaxKeyBytes = 1'024;        // over it: kInvalid
  static constexpr size_t kMaxValueBytes = 2 << 20;    // over it: kInvalid

  // Opens or creates it, blocking. The file is for this user only (0600).
  // kUnavailable if another process has it open.
  [[nodiscard]] static Result<std::unique_ptr<SqliteStore>> open(net::Executor& home,
                                                                 const std::string& path,
                                                                 SqliteOptions options = {});
  ~SqliteStore() override;

  net::Task<Result<std::optional<KeyValue>>> get(std::string key) override;
  net::Task<Result<Range>> list(std::string prefix) override;
  net::Task<Result<RevisionNumber>> put(std::string key, std::string value,
                                        RevisionNumber expected) override;
  net::Task<Result<RevisionNumber>> remove(std::string key, RevisionNumber expected) override;
  std::unique_ptr<Watch> watch(std::string prefix, RevisionNumber after) override;
  net::Task<Result<void>> compact(RevisionNumber upto) override;

 private:
  struct Impl;
  explicit SqliteStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebb::store
