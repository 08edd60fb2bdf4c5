// One SQLite connection and its statements. Not thread-safe. Failures are thrown as
// SqlError, to end one operation; nothing above sqlite_store.cc sees them.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace ebb::store {

class SqlError final : public std::exception {
 public:
  SqlError(int code, std::string message);
  [[nodiscard]] const char* what() const noexcept override { return error_.message.c_str(); }
  [[nodiscard]] const Error& error() const { return error_; }
  // The kernel could not say that data reached the disk: no later success means
  // anything, so the database must not be used any more.
  [[nodiscard]] bool sync_failed() const;

 private:
  int code_;  // SQLite's extended result code
  Error error_;
};

class Database final {
 public:
  explicit Database(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void exec(const char* sql);
  [[nodiscard]] bool in_transaction() const;
  [[nodiscard]] sqlite3* handle() const { return handle_; }

 private:
  sqlite3* handle_ = nullptr;
};

// A prepared statement, used again and again:
//   auto row = select.run(key);           // binds ?1, ?2, ...
//   while (row.next()) use(row.text(0));
class Statement final {
 public:
  Statement(Database& database, std::string_view sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // One execution; resets the statement at its end.
  class [[nodiscard]] Rows final {
   public:
    explicit Rows(Statement& statement) : statement_(statement) {}
    ~Rows();
    Rows(const Rows&) = delete;
    Rows& operator=(const Rows&) = delete;
    [[nodiscard]] bool next();
    [[nodiscard]] int64_t integer(int column) const;
    [[nodiscard]] std::string text(int column) const;

   private:
    Statement& statement_;
  };

  template <class... Args>
  Rows run(const Args&... args) {
    int index = 0;
    (bind(++index, args), ...);
    return Rows(*this);
  }
  // For statements that return no rows.
  template <class... Args>
  void execute(const Args&... args) {
    auto rows = run(args...);
    while (rows.next()) {
    }
  }

 private:
  void bind(int index, int64_t value);
  void bind(int index, std::string_view value);  // the bytes must outlive the rows

  Database& database_;
  sqlite3_stmt* statement_ = nullptr;
};

}  // namespace ebb::store
