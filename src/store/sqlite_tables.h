// The tables of the SQLite store, and what one operation does to them:
//   kv(key, value, created, modified)              the current values
//   log(revision, type, key, value, created)       the history, for watches
//   meta(name, value)                              revision, compacted, version
//
// Not thread-safe: used by the store's worker thread. Throws SqlError. Changes are
// made between begin() and commit(); what rollback() undoes includes the revision.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/sqlite_db.h"
#include "store/store.h"

namespace ebb::store {

struct SqliteOptions {
  // How much history stays for watches that are behind.
  int64_t history_revisions = 10'000;
  int64_t history_bytes = 64 << 20;    // of values
  int64_t max_file_bytes = 8LL << 30;  // over it writes fail with kExhausted
};

// A part of the history.
struct History {
  std::vector<Event> events;
  RevisionNumber upto = 0;  // all events up to here are among them, or before
};

class SqliteTables final {
 public:
  // Creates the tables in an empty file; kInvalid in SqlError for a file that is
  // not Ebb's or is newer than this program.
  SqliteTables(const std::string& path, SqliteOptions options);

  [[nodiscard]] std::optional<KeyValue> get(std::string_view key);
  [[nodiscard]] Range list(std::string_view prefix);
  // At most `max_events` and about kHistoryBytes. kGone if compacted.
  [[nodiscard]] Result<History> history(std::string_view prefix, RevisionNumber after,
                                        int64_t max_events);

  void begin();
  void commit();  // also drops history over the bounds
  void rollback();

  // These four inside begin() and commit(). The first two fail before they change
  // anything, and otherwise add to changes().
  [[nodiscard]] Result<RevisionNumber> put(std::string_view key, std::string_view value,
                                           RevisionNumber expected);
  [[nodiscard]] Result<RevisionNumber> remove(std::string_view key, RevisionNumber expected);
  void compact(RevisionNumber upto);
  // What happened since begin(), in order; empties it.
  [[nodiscard]] std::vector<Event> take_changes() { return std::exchange(changes_, {}); }

  [[nodiscard]] RevisionNumber revision() const { return state_.revision; }
  [[nodiscard]] RevisionNumber compacted() const { return state_.compacted; }

  static constexpr size_t kHistoryBytes = 4 << 20;  // of values, in one answer

 private:
  struct State {
    RevisionNumber revision = 0;
    RevisionNumber compacted = 0;
    int64_t log_bytes = 0;
    friend bool operator==(const State&, const State&) = default;
  };
  // Makes the tables, before the statements are prepared.
  struct Setup {
    explicit Setup(Database& db);
  };
  void append(Event::Type type, const KeyValue& item);
  void keep_within_bounds();

  SqliteOptions options_;
  Database db_;
  Setup setup_;
  Statement get_;
  Statement list_;
  Statement upsert_;
  Statement delete_;
  Statement append_;
  Statement history_;
  Statement oldest_;
  Statement log_bytes_;
  Statement forget_;
  Statement set_meta_;
  State state_;
  State committed_;  // what rollback() goes back to
  std::vector<Event> changes_;
};

}  // namespace ebb::store
