#include "store/sqlite_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "net/one_shot.h"
#include "store/watch_hub.h"
#include "store/work_queue.h"

namespace ebb::store {
namespace {

// One operation on its way through the worker.
class Operation {
 public:
  virtual ~Operation() = default;
  // Does it; may be called again after a rollback. Throws SqlError.
  virtual void run(SqliteTables& tables) = 0;
  // What run() gave is durable: hands it to the caller.
  virtual void acknowledge() = 0;
  virtual void refuse(Error error) = 0;
};

template <class T, class Run>
class OperationOf final : public Operation {
 public:
  OperationOf(Run run, typename net::OneShot<Result<T>>::Sender sender)
      : run_(std::move(run)), sender_(std::move(sender)) {}
  void run(SqliteTables& tables) override { result_.emplace(run_(tables)); }
  void acknowledge() override { sender_.set(std::move(*result_)); }
  void refuse(Error error) override { sender_.set(fail(std::move(error))); }

 private:
  Run run_;
  typename net::OneShot<Result<T>>::Sender sender_;
  std::optional<Result<T>> result_;
};

using Batch = std::deque<std::unique_ptr<Operation>>;

// Takes the file for this process, for as long as the descriptor lives.
Result<UniqueFd> lock(const std::string& path) {
  std::string lock_path = path + ".lock";
  UniqueFd fd(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno(errno, "cannot open " + lock_path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno(errno, "cannot lock " + lock_path);
    constexpr size_t kMaxPid = 32;
    auto holder = read_file(lock_path, kMaxPid);
    std::string who = holder && !holder->empty() ? "process " + *holder : "another process";
    return fail(Errc::kUnavailable,
                "{} is in use by {}: stop that ebb first, or choose another data folder", path,
                who);
  }
  std::string pid = std::to_string(::getpid());
  if (::ftruncate(fd.get(), 0) != 0 ||
      ::pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return fail_errno(errno, "cannot write " + lock_path);
  }
  return fd;
}

// Makes the file, so that its mode is ours and SQLite's side files take it over.
Result<void> create(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(errno, "cannot open " + path);
  auto slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  UniqueFd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir || ::fsync(dir.get()) != 0) return fail_errno(errno, "cannot sync " + folder);
  return {};
}

}  // namespace

struct SqliteStore::Impl {
  Impl(net::Executor& executor, UniqueFd locked, const std::string& path, SqliteOptions options)
      : home(executor), lock_fd(std::move(locked)), tables(path, options) {}

  // Queues `run(SqliteTables&) -> Result<T>` and waits for what it gives. A write
  // is made in a transaction that is committed before the answer.
  template <class T, class Run>
  net::Task<Result<T>> perform(Run run, size_t bytes) {
    auto shot = net::OneShot<Result<T>>::make(home);
    std::unique_ptr<Operation> operation =
        std::make_unique<OperationOf<T, Run>>(std::move(run), shot.sender);
    if (!queue.push(operation, bytes)) {
      co_return fail(Errc::kExhausted,
                     "too many operations wait for the store (at most {}, or {} MiB)", kMaxQueued,
                     kMaxQueuedBytes >> 20);
    }
    auto waiting = shot.receiver.wait(kNever);
    auto result = co_await waiting;
    if (!result) co_return fail(Errc::kCanceled, "the store was closed");
    co_return std::move(*result);
  }

  void work() {
    for (;;) {
      Batch batch = queue.take_all();
      if (batch.empty()) return;
      if (try_commit(batch)) continue;
      // One of them may be at fault (too large for the disk): each for itself.
      for (auto& operation : batch) {
        Batch one;
        one.push_back(std::move(operation));
        if (try_commit(one)) continue;
        one.front()->refuse(last_error);
      }
    }
  }

  // False, with last_error set, if nothing was done.
  bool try_commit(Batch& batch) {
    if (broken) return false;
    try {
      tables.begin();
      for (auto& operation : batch) operation->run(tables);
      tables.commit();
    } catch (const SqlError& error) {
      undo(error);
      return false;
    }
    auto changes = tables.take_changes();
    if (!changes.empty() || fed_compacted != tables.compacted()) {
      fed_compacted = tables.compacted();
      // Before the answers, so that a watch is never behind what its owner has read.
      home.post([to = hub, events = std::move(changes), upto = fed_compacted]() mutable {
        to->feed(std::move(events), upto);
      });
    }
    for (auto& operation : batch) operation->acknowledge();
    return true;
  }

  void undo(const SqlError& error) {
    last_error = error.error();
    log::error("store", "{}", last_error.message);
    if (error.sync_failed()) broken = true;
    try {
      tables.rollback();
    } catch (const SqlError& again) {
      log::error("store", "{}", again.what());
      broken = true;
    }
    if (broken) last_error.message += "; the store refuses work until a restart";
  }

  net::Executor& home;
  UniqueFd lock_fd;
  WorkQueue<std::unique_ptr<Operation>> queue{kMaxQueued, kMaxQueuedBytes};
  std::shared_ptr<WatchHub> hub;  // shared: its watches may outlive the store

  // The worker's, once it runs.
  SqliteTables tables;
  RevisionNumber fed_compacted = 0;
  bool broken = false;
  Error last_error;

  std::thread worker;
};

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(net::Executor& home, const std::string& path,
                                                       SqliteOptions options) {
  auto locked = lock(path);
  if (!locked) return fail(locked.error());
  auto created = create(path);
  if (!created) return fail(created.error());
  try {
    auto impl = std::make_unique<Impl>(home, std::move(*locked), path, options);
    return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(impl)));
  } catch (const SqlError& error) {
    return fail(error.error().code, "{}: {}", path, error.what());
  }
}

SqliteStore::SqliteStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  auto* self = impl_.get();
  self->hub = std::make_shared<WatchHub>(
      self->home, self->tables.revision(), [self](std::string prefix, RevisionNumber after) {
        return self->perform<History>(
            [prefix = std::move(prefix), after](SqliteTables& tables) {
              return tables.history(prefix, after, WatchHub::kEventsPerNext);
            },
            0);
      });
  self->fed_compacted = self->tables.compacted();
  self->worker = std::thread([self] { self->work(); });
}

SqliteStore::~SqliteStore() {
  impl_->queue.stop();
  impl_->worker.join();
  impl_->hub->close();
}

net::Task<Result<std::optional<KeyValue>>> SqliteStore::get(std::string key) {
  return impl_->perform<std::optional<KeyValue>>(
      [key = std::move(key)](SqliteTables& tables) -> Result<std::optional<KeyValue>> {
        return tables.get(key);
      },
      0);
}

net::Task<Result<Range>> SqliteStore::list(std::string prefix) {
  return impl_->perform<Range>(
      [prefix = std::move(prefix)](SqliteTables& tables) -> Result<Range> {
        return tables.list(prefix);
      },
      0);
}

net::Task<Result<RevisionNumber>> SqliteStore::put(std::string key, std::string value,
                                                   RevisionNumber expected) {
  size_t bytes = value.size();
  return impl_->perform<RevisionNumber>(
      [key = std::move(key), value = std::move(value),
       expected](SqliteTables& tables) -> Result<RevisionNumber> {
        if (key.empty() || key.size() > kMaxKeyBytes) {
          return fail(Errc::kInvalid, "a key has 1 to {} bytes, not {}", kMaxKeyBytes, key.size());
        }
        if (value.size() > kMaxValueBytes) {
          return fail(Errc::kInvalid, "{} is too large: {} bytes, at most {}", key, value.size(),
                      kMaxValueBytes);
        }
        return tables.put(key, value, expected);
      },
      bytes);
}

net::Task<Result<RevisionNumber>> SqliteStore::remove(std::string key, RevisionNumber expected) {
  return impl_->perform<RevisionNumber>(
      [key = std::move(key), expected](SqliteTables& tables) {
        return tables.remove(key, expected);
      },
      0);
}

std::unique_ptr<Watch> SqliteStore::watch(std::string prefix, RevisionNumber after) {
  return impl_->hub->watch(std::move(prefix), after);
}

net::Task<Result<void>> SqliteStore::compact(RevisionNumber upto) {
  return impl_->perform<void>(
      [upto](SqliteTables& tables) -> Result<void> {
        tables.compact(upto);
        return {};
      },
      0);
}

}  // namespace ebb::store
