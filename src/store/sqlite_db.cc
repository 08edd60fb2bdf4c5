#include "store/sqlite_db.h"

#include <fmt/format.h>
#include <sqlite3.h>

namespace ebb::store {
namespace {

Errc to_errc(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return Errc::kExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Errc::kUnavailable;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return Errc::kPermission;
    default:
      return Errc::kInternal;
  }
}

[[noreturn]] void raise(sqlite3* handle, std::string_view doing) {
  const int code = sqlite3_extended_errcode(handle);
  std::string message = fmt::format("the database failed to {}: {}", doing, sqlite3_errmsg(handle));
  const char* file = sqlite3_db_filename(handle, "main");
  if ((code & 0xff) == SQLITE_FULL && file != nullptr) {
    message += fmt::format(
        ". What is deployed goes on; to change anything, make room on the disk of {}", file);
  }
  throw SqlError(code, std::move(message));
}

}  // namespace

SqlError::SqlError(int code, std::string message)
    : code_(code), error_{to_errc(code), std::move(message)} {}

bool SqlError::sync_failed() const {
  return code_ == SQLITE_IOERR_FSYNC || code_ == SQLITE_IOERR_DIR_FSYNC;
}

Database::Database(const std::string& path) {
  // The worker thread alone uses it after open: no mutex inside.
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(path.c_str(), &handle_, flags, nullptr) != SQLITE_OK) {
    SqlError error(sqlite3_extended_errcode(handle_),
                   fmt::format("cannot open {}: {}", path, sqlite3_errmsg(handle_)));
    sqlite3_close(handle_);
    throw error;
  }
  sqlite3_extended_result_codes(handle_, 1);
}

Database::~Database() { sqlite3_close(handle_); }

void Database::exec(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) raise(handle_, sql);
}

bool Database::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

Statement::Statement(Database& database, std::string_view sql) : database_(database) {
  int code = sqlite3_prepare_v3(database.handle(), sql.data(), static_cast<int>(sql.size()),
                                SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
  if (code != SQLITE_OK) raise(database.handle(), "prepare a statement");
}

Statement::~Statement() { sqlite3_finalize(statement_); }

void Statement::bind(int index, int64_t value) {
  if (sqlite3_bind_int64(statement_, index, value) != SQLITE_OK) raise(database_.handle(), "bind");
}

void Statement::bind(int index, std::string_view value) {
  // An empty view may have a null pointer, which would bind NULL.
  const char* data = value.empty() ? "" : value.data();
  if (sqlite3_bind_blob64(statement_, index, data, value.size(), SQLITE_STATIC) != SQLITE_OK) {
    raise(database_.handle(), "bind");
  }
}

Statement::Rows::~Rows() {
  sqlite3_reset(statement_.statement_);
  sqlite3_clear_bindings(statement_.statement_);
}

bool Statement::Rows::next() {
  int code = sqlite3_step(statement_.statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  raise(statement_.database_.handle(), "run a statement");
}

int64_t Statement::Rows::integer(int column) const {
  return sqlite3_column_int64(statement_.statement_, column);
}

std::string Statement::Rows::text(int column) const {
  const void* data = sqlite3_column_blob(statement_.statement_, column);
  auto size = static_cast<size_t>(sqlite3_column_bytes(statement_.statement_, column));
  return data ? std::string(static_cast<const char*>(data), size) : std::string();
}

}  // namespace ebb::store
