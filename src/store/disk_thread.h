// A thread for blocking work on files, with a bounded queue, so that an executor
// never waits for a disk.
//
// Work is done in the order it was asked for. Ask on any executor; the answer
// resumes there. Destroy it when those executors have stopped; what is queued is
// finished first.
//
//   auto size = co_await disk.run<uint64_t>(executor, [path] { return size_of(path); }, 0);
#pragma once

#include <memory>
#include <thread>
#include <utility>

#include "base/result.h"
#include "net/executor.h"
#include "net/one_shot.h"
#include "net/task.h"
#include "store/work_queue.h"

namespace ebb::store {

class DiskThread final {
 public:
  static constexpr size_t kMaxQueued = 256;            // jobs
  static constexpr size_t kMaxQueuedBytes = 32 << 20;  // of data that jobs carry

  DiskThread();
  ~DiskThread();
  DiskThread(const DiskThread&) = delete;
  DiskThread& operator=(const DiskThread&) = delete;

  // Runs `fn() -> Result<T>` there; `bytes` is what it carries. kExhausted when
  // the queue is full.
  template <class T, class Fn>
  [[nodiscard]] net::Task<Result<T>> run(net::Executor& home, Fn fn, size_t bytes) {
    auto shot = net::OneShot<Result<T>>::make(home);
    std::unique_ptr<Job> job = std::make_unique<JobOf<T, Fn>>(std::move(fn), shot.sender);
    if (!queue_.push(job, bytes)) {
      co_return fail(Errc::kExhausted, "too much work waits for the disk");
    }
    auto waiting = shot.receiver.wait(kNever);
    auto result = co_await waiting;
    if (!result) co_return fail(Errc::kCanceled, "the disk thread ended");
    co_return std::move(*result);
  }

  // Runs `fn()` some time; on this thread if the queue is full.
  template <class Fn>
  void run_later(Fn fn) {
    std::unique_ptr<Job> job = std::make_unique<PlainJob<Fn>>(std::move(fn));
    if (!queue_.push(job, 0)) job->run();
  }

 private:
  class Job {
   public:
    virtual ~Job() = default;
    virtual void run() = 0;
  };
  template <class T, class Fn>
  class JobOf final : public Job {
   public:
    JobOf(Fn fn, typename net::OneShot<Result<T>>::Sender sender)
        : fn_(std::move(fn)), sender_(std::move(sender)) {}
    void run() override {
      Result<T> result = fn_();
      sender_.set(std::move(result));
    }

   private:
    Fn fn_;
    typename net::OneShot<Result<T>>::Sender sender_;
  };
  template <class Fn>
  class PlainJob final : public Job {
   public:
    explicit PlainJob(Fn fn) : fn_(std::move(fn)) {}
    void run() override { fn_(); }

   private:
    Fn fn_;
  };

  WorkQueue<std::unique_ptr<Job>> queue_{kMaxQueued, kMaxQueuedBytes};
  std::thread thread_;
};

}  // namespace ebb::store
