// Brings committed changes to the watches of a store: from the newest ones, which
// it keeps in memory, or from the history, for a watch that is further behind.
//
// A watch is only a position. It holds no buffer, so a slow one costs nothing; it
// gets kGone when the history it needs is no longer kept. Used on the store's home
// executor only.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "net/executor.h"
#include "net/one_shot.h"
#include "store/sqlite_tables.h"
#include "store/store.h"

namespace ebb::store {

class WatchHub final : public std::enable_shared_from_this<WatchHub> {
 public:
  static constexpr size_t kTailEvents = 4'096;
  static constexpr size_t kTailBytes = 16 << 20;  // of keys and values
  static constexpr int64_t kEventsPerNext = 512;

  // Reads the history (from disk).
  using ReadHistory =
      std::function<net::Task<Result<History>>(std::string prefix, RevisionNumber after)>;

  // Everything up to `revision` was committed before.
  WatchHub(net::Executor& home, RevisionNumber revision, ReadHistory read_history);

  // What was committed, in order. `compacted`: nothing up to it may be delivered.
  void feed(std::vector<Event> events, RevisionNumber compacted);
  // Ends all watches with kCanceled.
  void close();

  [[nodiscard]] std::unique_ptr<Watch> watch(std::string prefix, RevisionNumber after);

 private:
  class HubWatch;
  void trim();

  net::Executor& home_;
  ReadHistory read_history_;
  bool closed_ = false;
  // The tail holds all events in (tail_after_, revision_].
  std::deque<Event> tail_;
  size_t tail_bytes_ = 0;
  RevisionNumber tail_after_;
  RevisionNumber revision_;
  std::list<HubWatch*> waiting_;
};

}  // namespace ebb::store
