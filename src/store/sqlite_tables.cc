#include "store/sqlite_tables.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>

namespace ebb::store {
namespace {

constexpr int64_t kApplicationId = 0x45626231;  // "Ebb1", in the file's header
constexpr int64_t kSchemaVersion = 1;
// History is cut when it is this much over its bound, so not at every commit.
constexpr int64_t kSlackRevisions = 1'000;

// The least key after all keys that begin with `prefix`; empty: there is none.
std::string prefix_end(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) ++end.back();
  return end;
}

int64_t pragma(Database& db, std::string_view sql) {
  Statement statement(db, sql);
  auto row = statement.run();
  return row.next() ? row.integer(0) : 0;
}

}  // namespace

SqliteTables::Setup::Setup(Database& db) {
  int64_t tables = pragma(db, "SELECT count(*) FROM sqlite_master");
  int64_t application = pragma(db, "PRAGMA application_id");
  int64_t version = pragma(db, "PRAGMA user_version");
  if (tables != 0 && application != kApplicationId) {
    throw SqlError(SQLITE_NOTADB, "the file is a database of another program");
  }
  if (version > kSchemaVersion) {
    throw SqlError(SQLITE_NOTADB,
                   fmt::format("the database has format {}, which needs a newer ebb; this one "
                               "reads up to {}",
                               version, kSchemaVersion));
  }
  db.exec("PRAGMA journal_mode=WAL");
  db.exec("PRAGMA synchronous=FULL");
  db.exec("PRAGMA busy_timeout=5000");  // a person may look with the sqlite3 tool
  if (version == kSchemaVersion) return;
  db.exec("BEGIN IMMEDIATE");
  db.exec(
      "CREATE TABLE kv(key BLOB PRIMARY KEY, value BLOB NOT NULL, created INTEGER NOT NULL,"
      " modified INTEGER NOT NULL)");
  db.exec(
      "CREATE TABLE log(revision INTEGER PRIMARY KEY, type INTEGER NOT NULL, key BLOB NOT NULL,"
      " value BLOB NOT NULL, created INTEGER NOT NULL)");
  db.exec("CREATE TABLE meta(name BLOB PRIMARY KEY, value INTEGER NOT NULL)");
  db.exec(fmt::format("PRAGMA application_id={}", kApplicationId).c_str());
  db.exec(fmt::format("PRAGMA user_version={}", kSchemaVersion).c_str());
  db.exec("COMMIT");
}

SqliteTables::SqliteTables(const std::string& path, SqliteOptions options)
    : options_(options),
      db_(path),
      setup_(db_),
      get_(db_, "SELECT value, created, modified FROM kv WHERE key=?1"),
      list_(db_,
            "SELECT key, value, created, modified FROM kv"
            " WHERE key>=?1 AND (?2=x'' OR key<?2) ORDER BY key"),
      upsert_(db_,
              "INSERT INTO kv(key, value, created, modified) VALUES(?1, ?2, ?3, ?4)"
              " ON CONFLICT(key) DO UPDATE SET value=?2, modified=?4"),
      delete_(db_, "DELETE FROM kv WHERE key=?1"),
      append_(db_, "INSERT INTO log(revision, type, key, value, created) VALUES(?1,?2,?3,?4,?5)"),
      history_(db_,
               "SELECT revision, type, key, value, created FROM log"
               " WHERE revision>?1 AND key>=?2 AND (?3=x'' OR key<?3) ORDER BY revision LIMIT ?4"),
      oldest_(db_, "SELECT revision, length(value) FROM log ORDER BY revision"),
      log_bytes_(db_, "SELECT coalesce(sum(length(value)), 0) FROM log WHERE revision<=?1"),
      forget_(db_, "DELETE FROM log WHERE revision<=?1"),
      set_meta_(db_,
                "INSERT INTO meta(name, value) VALUES(?1, ?2)"
                " ON CONFLICT(name) DO UPDATE SET value=?2") {
  Statement read_meta(db_, "SELECT value FROM meta WHERE name=?1");
  auto meta = [&](std::string_view name) {
    auto row = read_meta.run(name);
    return row.next() ? row.integer(0) : 0;
  };
  state_.revision = meta("revision");
  state_.compacted = meta("compacted");
  auto row = log_bytes_.run(state_.revision);
  if (row.next()) state_.log_bytes = row.integer(0);
  committed_ = state_;
  int64_t page_bytes = std::max<int64_t>(pragma(db_, "PRAGMA page_size"), 1);
  int64_t pages = options.max_file_bytes / page_bytes;
  db_.exec(fmt::format("PRAGMA max_page_count={}", pages).c_str());
}

std::optional<KeyValue> SqliteTables::get(std::string_view key) {
  auto row = get_.run(key);
  if (!row.next()) return std::nullopt;
  return KeyValue{std::string(key), row.text(0), row.integer(1), row.integer(2)};
}

Range SqliteTables::list(std::string_view prefix) {
  Range range;
  range.revision = state_.revision;
  std::string end = prefix_end(prefix);
  auto rows = list_.run(prefix, std::string_view(end));
  while (rows.next()) {
    range.items.push_back({rows.text(0), rows.text(1), rows.integer(2), rows.integer(3)});
  }
  return range;
}

Result<History> SqliteTables::history(std::string_view prefix, RevisionNumber after,
                                      int64_t max_events) {
  if (after < state_.compacted || after > state_.revision) {
    return fail(Errc::kGone,
                "the history after revision {} is not kept (it begins after {}): "
                "list again",
                after, state_.compacted);
  }
  History history;
  history.upto = state_.revision;
  std::string end = prefix_end(prefix);
  auto rows = history_.run(after, prefix, std::string_view(end), max_events);
  size_t bytes = 0;
  while (rows.next()) {
    auto type = rows.integer(1) == 0 ? Event::Type::kPut : Event::Type::kDelete;
    history.events.push_back(
        {type, {rows.text(2), rows.text(3), rows.integer(4), rows.integer(0)}});
    bytes += history.events.back().item.value.size();
    bool full = static_cast<int64_t>(history.events.size()) == max_events || bytes >= kHistoryBytes;
    if (!full) continue;
    history.upto = history.events.back().item.modified;
    break;
  }
  return history;
}

void SqliteTables::begin() {
  db_.exec("BEGIN IMMEDIATE");
  committed_ = state_;
  changes_.clear();
}

void SqliteTables::commit() {
  keep_within_bounds();
  if (state_ == committed_) {  // only reads: nothing to write, nothing to sync
    db_.exec("COMMIT");
    return;
  }
  set_meta_.execute(std::string_view("revision"), state_.revision);
  set_meta_.execute(std::string_view("compacted"), state_.compacted);
  db_.exec("COMMIT");
}

void SqliteTables::rollback() {
  state_ = committed_;
  changes_.clear();
  // Some failures have rolled back already.
  if (db_.in_transaction()) db_.exec("ROLLBACK");
}

Result<RevisionNumber> SqliteTables::put(std::string_view key, std::string_view value,
                                         RevisionNumber expected) {
  auto current = get(key);
  RevisionNumber actual = current ? current->modified : kMustNotExist;
  if (actual != expected) {
    return fail(Errc::kConflict, "{} has revision {}, not {}", key, actual, expected);
  }
  KeyValue item{std::string(key), std::string(value), 0, state_.revision + 1};
  item.created = current ? current->created : item.modified;
  upsert_.execute(key, value, item.created, item.modified);
  append(Event::Type::kPut, item);
  return item.modified;
}

Result<RevisionNumber> SqliteTables::remove(std::string_view key, RevisionNumber expected) {
  auto current = get(key);
  if (!current) return fail(Errc::kNotFound, "{} does not exist", key);
  if (current->modified != expected) {
    return fail(Errc::kConflict, "{} has revision {}, not {}", key, current->modified, expected);
  }
  current->modified = state_.revision + 1;
  delete_.execute(key);
  append(Event::Type::kDelete, *current);
  return current->modified;
}

void SqliteTables::append(Event::Type type, const KeyValue& item) {
  append_.execute(item.modified, static_cast<int64_t>(type), std::string_view(item.key),
                  std::string_view(item.value), item.created);
  state_.revision = item.modified;
  state_.log_bytes += static_cast<int64_t>(item.value.size());
  changes_.push_back({type, item});
}

void SqliteTables::compact(RevisionNumber upto) {
  upto = std::min(upto, state_.revision);
  if (upto <= state_.compacted) return;
  auto row = log_bytes_.run(upto);
  if (row.next()) state_.log_bytes -= row.integer(0);
  forget_.execute(upto);
  state_.compacted = upto;
}

void SqliteTables::keep_within_bounds() {
  if (state_.revision - state_.compacted > options_.history_revisions + kSlackRevisions) {
    compact(state_.revision - options_.history_revisions);
  }
  if (state_.log_bytes <= options_.history_bytes) return;
  // Down to three quarters, so that this is rare.
  int64_t excess = state_.log_bytes - options_.history_bytes / 4 * 3;
  RevisionNumber upto = state_.compacted;
  {
    auto rows = oldest_.run();
    while (excess > 0 && rows.next()) {
      upto = rows.integer(0);
      excess -= rows.integer(1);
    }
  }
  compact(upto);
}

}  // namespace ebb::store
