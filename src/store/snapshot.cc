#include "store/snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "store/blob_store.h"
#include "store/sqlite_db.h"
#include "store/sqlite_tables.h"

namespace ebb::store {
namespace {

constexpr size_t kDigestLength = kDigestPrefix.size() + 64;

// All that look like digests in a text.
void find_digests(const std::string& text, std::set<std::string>& into) {
  for (size_t at = 0; (at = text.find(kDigestPrefix, at)) != std::string::npos;
       at += kDigestPrefix.size()) {
    std::string digest = text.substr(at, kDigestLength);
    if (is_blob_digest(digest)) into.insert(std::move(digest));
  }
}

std::vector<std::string> digests_in(Database& db) {
  std::set<std::string> found;
  Statement values(db, "SELECT value FROM kv");
  auto rows = values.run();
  while (rows.next()) find_digests(rows.text(0), found);
  return {found.begin(), found.end()};
}

// As a literal of SQL.
std::string sql_literal(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += c;
    out += c;
  }
  return out + "'";
}

}  // namespace

Result<Snapshot> take_snapshot(const std::string& path) {
  const std::string copy = path + ".snapshot";
  ::unlink(copy.c_str());  // of a process that ended in the middle
  Snapshot snapshot;
  try {
    {
      Database db(path);
      db.exec("PRAGMA busy_timeout=5000");
      db.exec(("VACUUM INTO " + sql_literal(copy)).c_str());
    }
    snapshot.file.reset(::open(copy.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!snapshot.file) return fail_errno(errno, "cannot open " + copy);
    Database db(copy);
    snapshot.digests = digests_in(db);
  } catch (const SqlError& error) {
    ::unlink(copy.c_str());
    return fail(error.error());
  }
  ::unlink(copy.c_str());
  struct stat info{};
  if (::fstat(snapshot.file.get(), &info) != 0) return fail_errno(errno, "cannot read " + copy);
  snapshot.size = static_cast<uint64_t>(info.st_size);
  return snapshot;
}

Result<std::vector<std::string>> check_store_file(const std::string& path) {
  try {
    const SqliteTables tables(path, {});  // refuses what is not Ebb's, or is newer
    Database db(path);
    Statement check(db, "PRAGMA quick_check(1)");
    auto rows = check.run();
    if (!rows.next() || rows.text(0) != "ok") {
      return fail(Errc::kInvalid, "the store in it is damaged: {}", rows.text(0));
    }
    return digests_in(db);
  } catch (const SqlError& error) {
    return fail(Errc::kInvalid, "the store in it is not usable: {}", error.what());
  }
}

}  // namespace ebb::store
