#include "apiserver/backup_endpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>

#include "apiserver/send.h"
#include "apiserver/status.h"
#include "base/log.h"
#include "store/tar_writer.h"

namespace ebb::apiserver {
namespace {

constexpr int kFormat = 1;

class [[nodiscard]] Busy final {
 public:
  explicit Busy(bool& flag) : flag_(flag) { flag_ = true; }
  ~Busy() { flag_ = false; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  bool& flag_;
};

Result<std::string> read_at(int fd, uint64_t offset, size_t size) {
  std::string piece(size, '\0');
  const ssize_t n = ::pread(fd, piece.data(), size, static_cast<off_t>(offset));
  if (n < 0) return fail_errno(errno, "cannot read the copy of the store");
  if (n == 0) return fail(Errc::kInternal, "the copy of the store is too short");
  piece.resize(static_cast<size_t>(n));
  return piece;
}

}  // namespace

// One answer under way. False, or an error that was logged: it is cut.
class BackupEndpoint::Run final {
 public:
  Run(BackupEndpoint& endpoint, http::Exchange& exchange)
      : endpoint_(endpoint), exchange_(exchange) {}

  net::Task<bool> begin() {
    http::ResponseHead head;
    head.fields.add("Content-Type", "application/x-tar");
    head.fields.add("Cache-Control", "no-store");
    head.body.kind = http::BodyLength::Kind::kUntilClose;
    auto begun = co_await exchange_.begin(head);
    if (!begun) co_return false;
    const std::string note =
        api::Json{{"format", kFormat}, {"version", endpoint_.version_}}.dump() + "\n";
    bool good =
        wrote(tar_.add_file("ebb-backup.json", note.size(), false)) && wrote(tar_.data(note));
    if (good) good = co_await flush();
    co_return good;
  }

  // Sends the packages that were not sent yet. Sets missing() if some are gone.
  net::Task<bool> send_blobs(const std::vector<std::string>& digests) {
    missing_.clear();
    for (const std::string& digest : digests) {
      if (sent_.contains(digest)) continue;
      auto reader = co_await endpoint_.blobs_.open(digest);
      if (!reader && reader.error().code == Errc::kNotFound) {
        missing_.push_back(digest);
        continue;
      }
      if (!reader) {
        log::error("apiserver", "backup: {}", reader.error().message);
        co_return false;
      }
      bool good = co_await send_blob(digest, **reader);
      if (!good) co_return false;
      sent_.insert(digest);
    }
    co_return true;
  }
  [[nodiscard]] const std::vector<std::string>& missing() const { return missing_; }

  net::Task<bool> send_store(const store::Snapshot& snapshot) {
    // The job's own, shared: it may outlive this task.
    const auto file =
        std::make_shared<const UniqueFd>(::fcntl(snapshot.file.get(), F_DUPFD_CLOEXEC, 0));
    bool good = wrote(tar_.add_file("store/state.db", snapshot.size, false));
    for (uint64_t at = 0; good && at < snapshot.size;) {
      const size_t size = std::min<uint64_t>(kPiece, snapshot.size - at);
      auto reading = endpoint_.disk_.run<std::string>(
          endpoint_.executor_, [file, at, size] { return read_at(file->get(), at, size); }, 0);
      auto piece = co_await reading;
      good = piece && wrote(tar_.data(*piece));
      if (!piece) log::error("apiserver", "backup: {}", piece.error().message);
      if (good) good = co_await flush();
      if (good) at += piece->size();
    }
    good = good && wrote(tar_.close());
    if (good) good = co_await flush();
    if (!good) co_return false;
    auto finished = co_await exchange_.finish();
    co_return finished.has_value();
  }

 private:
  static bool wrote(const Result<void>& done) {
    if (!done) log::error("apiserver", "backup: {}", done.error().message);
    return done.has_value();
  }

  net::Task<bool> flush() {
    const std::string bytes = tar_.take();
    auto sent = co_await exchange_.write(bytes);
    co_return sent.has_value();
  }

  net::Task<bool> send_blob(const std::string& digest, store::BlobReader& reader) {
    const std::string hex = digest.substr(digest.find(':') + 1);
    bool good = wrote(tar_.add_file("blobs/sha256/" + hex, reader.size(), false));
    while (good) {
      auto piece = co_await reader.read();
      if (!piece) {
        log::error("apiserver", "backup: {}", piece.error().message);
        co_return false;
      }
      if (piece->empty()) break;
      good = wrote(tar_.data(*piece));
      if (good) good = co_await flush();
    }
    co_return good;
  }

  BackupEndpoint& endpoint_;
  http::Exchange& exchange_;
  store::TarWriter tar_{store::TarWriter::Names::kAscii};
  std::set<std::string> sent_;
  std::vector<std::string> missing_;
};

net::Task<Result<store::Snapshot>> BackupEndpoint::take_snapshot() {
  return disk_.run<store::Snapshot>(
      executor_, [path = state_] { return store::take_snapshot(path); }, 0);
}

net::Task<void> BackupEndpoint::serve(http::Exchange& exchange) {
  Response refusal;
  if (exchange.request().method != "GET") {
    refusal = failure(405, "only GET is possible here");
  } else if (state_.empty()) {
    refusal = failure(404, "this API has no store of its own to back up");
  } else if (busy_) {
    refusal = failure(429, "another backup is under way: try again when it has ended");
  }
  if (refusal.code >= 400) {
    co_await send(exchange, refusal);
    co_return;
  }
  const Busy busy(busy_);
  auto snapshot = co_await take_snapshot();
  if (!snapshot) {
    refusal = failure(http_code_of(snapshot.error().code),
                      "the store could not be copied: " + snapshot.error().message);
    co_await send(exchange, refusal);
    co_return;
  }
  Run run(*this, exchange);
  bool good = co_await run.begin();
  if (good) good = co_await run.send_blobs(snapshot->digests);
  // A package may have been given up since the store was copied: then with all that
  // named it, so a new copy does not.
  for (int i = 1; good && !run.missing().empty() && i < kMaxSnapshots; ++i) {
    auto again = co_await take_snapshot();
    if (!again) {
      log::error("apiserver", "backup: {}", again.error().message);
      co_return;
    }
    snapshot = std::move(again);
    good = co_await run.send_blobs(snapshot->digests);
  }
  if (!good) co_return;
  for (const std::string& digest : run.missing()) {
    log::warn("apiserver", "backup: the code package {} is named but not stored", digest);
  }
  (void)co_await run.send_store(*snapshot);
}

}  // namespace ebb::apiserver
