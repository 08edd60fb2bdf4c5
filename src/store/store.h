// A revisioned key-value store: etcd's model, so that etcd fits and SQLite can be
// held to the same contract (store_contract_test.cc runs against every store).
//
// Every successful write takes the next revision, one for the whole store. A key
// remembers the revision that created it and the one that last changed it. A
// watch delivers every change after a revision exactly once and in order, until
// the history it needs has been compacted (kGone: list again).
//
// Calls are made on one executor, the store's home, and resume there; the work
// runs elsewhere. A write that was acknowledged survives kill -9 and power loss.
//
//   auto created = co_await store.put("services/default/hello", json, kMustNotExist);
//   auto range = co_await store.list("services/");
//   auto watch = store.watch("services/", range->revision);
//   auto events = co_await watch->next(deadline);
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/task.h"

namespace ebb::store {

using RevisionNumber = int64_t;  // 1, 2, 3, ...; 0 before the first write
inline constexpr RevisionNumber kMustNotExist = 0;

struct KeyValue {
  std::string key;
  std::string value;
  RevisionNumber created = 0;
  RevisionNumber modified = 0;
};

struct Range {
  std::vector<KeyValue> items;  // ordered by key
  RevisionNumber revision = 0;  // the store's revision that this is a snapshot of
};

struct Event {
  enum class Type { kPut, kDelete };
  Type type = Type::kPut;
  // For kDelete: the last value, with `modified` = the revision of the deletion.
  KeyValue item;
};

class Watch {
 public:
  virtual ~Watch() = default;  // ends the watch
  // Waits for the next changes, at least one, in order. kTimeout: none came, call
  // again. kGone: compacted, list again. One call at a time.
  [[nodiscard]] virtual net::Task<Result<std::vector<Event>>> next(TimePoint deadline) = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  // nullopt if the key does not exist.
  [[nodiscard]] virtual net::Task<Result<std::optional<KeyValue>>> get(std::string key) = 0;
  [[nodiscard]] virtual net::Task<Result<Range>> list(std::string prefix) = 0;
  // Writes if the key's `modified` is `expected` (kMustNotExist: if there is no
  // such key). Returns the new revision; kConflict otherwise.
  [[nodiscard]] virtual net::Task<Result<RevisionNumber>> put(std::string key, std::string value,
                                                              RevisionNumber expected) = 0;
  // Removes if the key's `modified` is `expected`; kNotFound, kConflict.
  [[nodiscard]] virtual net::Task<Result<RevisionNumber>> remove(std::string key,
                                                                 RevisionNumber expected) = 0;
  // Changes under `prefix` after revision `after`.
  [[nodiscard]] virtual std::unique_ptr<Watch> watch(std::string prefix, RevisionNumber after) = 0;
  // Forgets the history up to and including `upto`; current values stay.
  [[nodiscard]] virtual net::Task<Result<void>> compact(RevisionNumber upto) = 0;
};

}  // namespace ebb::store
