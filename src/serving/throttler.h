// The slots of one revision's pods, and the requests that wait for one, oldest
// first. The only authority over who may send a request where.
//
// Thread-safe: one small mutex. A freed slot goes straight to the oldest waiter, on
// that waiter's executor. Also counts the traffic that the AutoScaler decides by.
//
//   auto entry = throttler->try_acquire();
//   if (entry.slot) co_return co_await forward(std::move(*entry.slot));
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/executor.h"
#include "net/one_shot.h"
#include "scaling/policy.h"
#include "scheduling/scale_target.h"
#include "serving/queue_proxy.h"
#include "serving/refusal.h"
#include "serving/waiting_budget.h"

namespace ebb::serving {

// Why a request was not let in.
struct Refused {
  Refusal why;
  std::string message;
  int retry_after_s = 1;
};

// The right to have one request in one pod; gives itself back.
class [[nodiscard]] Slot final {
 public:
  Slot() = default;
  Slot(std::shared_ptr<Throttler> owner, std::shared_ptr<QueueProxy> pod, TimePoint since)
      : owner_(std::move(owner)), pod_(std::move(pod)), since_(since) {}
  Slot(Slot&&) noexcept = default;
  Slot& operator=(Slot&& other) noexcept {
    release();
    owner_ = std::move(other.owner_);
    pod_ = std::move(other.pod_);
    since_ = other.since_;
    return *this;
  }
  ~Slot() { release(); }
  [[nodiscard]] QueueProxy& pod() const { return *pod_; }
  [[nodiscard]] const std::shared_ptr<QueueProxy>& shared_pod() const { return pod_; }
  void release();
  // Gives it back without a request having been sent: it does not count as one that ended.
  void give_back_unused();

 private:
  friend class Throttler;
  void disarm() {  // forgets the slot without giving it back
    owner_.reset();
    pod_.reset();
  }
  std::shared_ptr<Throttler> owner_;  // shared: a request outlives its revision
  std::shared_ptr<QueueProxy> pod_;   // shared: and its pod
  TimePoint since_{};
};

// Which pod gets a request: the first that is not full, so that the last ones fall idle, or the
// least busy one. Either way one that serves comes before one that loads slowly.
enum class Balancing : uint8_t {
  kByLimit,  // kPack where pods have a limit, else kSpread
  kPack,
  kSpread,
};

struct ThrottlerOptions {
  std::string revision = {};             // uid
  int concurrency = 0;                   // requests at a time in one pod; 0: no limit
  size_t max_waiting = 10000;            // requests held for want of a slot
  size_t max_waiting_bytes = 64u << 20;  // of memory that they hold
  bool h2c = false;                      // the function speaks HTTP/2
  Balancing balancing = Balancing::kByLimit;
  int pod_target = 100;  // see set_pod_target
  // Shared with all other revisions' requests that wait; null: those do not count.
  std::shared_ptr<WaitingBudget> budget = nullptr;
};

// How many requests may be sent a second time: a fifth of the first sendings, so that
// a revision in trouble is not given twice its load. Not thread-safe.
class RetryBudget final {
 public:
  static constexpr double kShare = 0.2;
  static constexpr double kMost = 100;  // saved up, that is of the last 500 requests
  static constexpr double kFirst = 10;  // to begin with

  void deposit() { tokens_ = std::min(kMost, tokens_ + kShare); }
  [[nodiscard]] bool withdraw() {
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  double tokens_ = kFirst;
};

class Throttler final : public scheduling::PodListener,
                        public std::enable_shared_from_this<Throttler> {
 public:
  using Grant = Result<Slot, Refused>;
  using GrantShot = net::OneShot<Grant>;

  // How the start of a pod ended: "" for well.
  using StartOutcome = std::function<void(const std::string& pod, const std::string& error)>;

  // `pods` hears of drained pods; `on_start` is called with locks held: it posts.
  Throttler(ThrottlerOptions options, scheduling::PodSource& pods, const Clock& clock,
            StartOutcome on_start);
  ~Throttler() override;

  // --- The request path; any executor ---

  // With a slot the request is counted in until that goes; without, nothing is counted.
  struct Entry {
    std::optional<Slot> slot;
    std::optional<Refused> refused;
  };
  // A slot if one is free, else a refusal if the queue is full or starts keep
  // failing, else neither: enqueue.
  [[nodiscard]] Entry try_acquire();
  // Waits in line, holding `bytes` of memory; the grant or refusal is set on `sender`,
  // perhaps at once.
  struct Ticket {
    uint64_t number = 0;
    bool queued = false;   // it waits, or has got its slot at once
    bool no_pods = false;  // the AutoScaler must be woken
    bool crowded = false;  // and here told: the pods are full. Not said again until
                           // crowd_seen()
  };
  [[nodiscard]] Ticket enqueue(GrantShot::Sender sender, size_t bytes = 0);
  // The waiter gave up before this set anything (its wait timed out, its client left).
  void leave(uint64_t ticket);
  // Whether one more request that a pod may have read may be sent a second time.
  [[nodiscard]] bool may_retry();

  // The pod broke the connection: waits until it is known why, nullopt at the
  // deadline.
  [[nodiscard]] net::Task<std::optional<scheduling::PodExit>> exit_of(
      std::shared_ptr<QueueProxy> pod, net::Executor& executor, TimePoint deadline);
  // Nobody listens at the pod's socket any more: no further request goes there.
  void pod_unreachable(const QueueProxy& pod);
  // The pod let a request's time run out without a first byte. After kHungAfter of them
  // in a row, and no first byte of any other answer in between, it counts as hung: it gets
  // no more requests, and its source is told, so that another takes its place.
  static constexpr int kHungAfter = 3;
  void pod_silent(QueueProxy& pod);
  // See PodSource; told on once in kTellMisbehaviour, so that a storm costs nothing.
  static constexpr Duration kTellMisbehaviour = std::chrono::seconds(1);
  void pod_misbehaved(const QueueProxy& pod, const std::string& reason, const std::string& message);

  // --- Pods; see PodListener ---
  void pod_added(const scheduling::PodEndpoint& endpoint) override;
  void pod_ready(const std::string& pod, Duration load = {}) override;
  void pod_gone(const std::string& pod, const scheduling::PodExit& exit) override;
  void pods_unavailable(const std::string& message) override;
  [[nodiscard]] Drain begin_drain(int count) override;
  [[nodiscard]] bool pod_busy(const std::string& pod, int requests) override;
  [[nodiscard]] std::optional<TimePoint> oldest_waiting() const override;

  // No more pods come, since the revision is deleted: refuses who waits and who would have to.
  void close(Refused why = {Refusal::kDeleted, "the revision has been deleted", 0});

  // --- The AutoScaler ---
  struct Counts {
    int ready = 0;
    int starting = 0;
    int in_flight = 0;
    int in_starting = 0;  // of those in flight: in pods that still load
    int frozen = 0;       // of those ready
    int waiting = 0;
    size_t waiting_bytes = 0;
    uint64_t hung = 0;        // pods that stopped answering, since the beginning
    TimePoint last_active{};  // when a request was last in the system
    TimePoint retry_at{};     // after failed starts: not before
    std::string last_failure;
  };
  [[nodiscard]] Counts counts() const;
  // Adds how many requests are in each of its pods, of those that hold some; not another
  // front's.
  void add_requests(std::map<std::string, int>& by_pod) const;
  // The pods that the requests in the system would just fill, those in draining pods
  // apart; 0 where a pod has no limit.
  [[nodiscard]] int needed_pods() const;
  // Without a limit kPack takes pods with so many requests for full, and where all are, the
  // least busy one: what the AutoScaler wants in each. At least 1.
  void set_pod_target(int requests);
  // The AutoScaler looks at the crowd now: the next who waits tells it anew.
  void crowd_seen();
  // Time-weighted averages of requests in the system and of those held, arrivals, and what
  // ended, since the last call. Time in a pod that still loads does not count as service.
  [[nodiscard]] scaling::Metric sample(TimePoint now);
  // Nobody sampled while nothing happened: the next sample's period begins now.
  void begin_sampling(TimePoint now);
  // Freezes ready pods that have held no request for kIdleBeforeFreeze. The next request of
  // one lets it go on; if that could not be told, the next call here tells it.
  static constexpr Duration kIdleBeforeFreeze = std::chrono::milliseconds(200);
  void freeze_idle(TimePoint now);

  [[nodiscard]] const std::string& revision() const { return options_.revision; }

 private:
  friend class Slot;
  // After a failed start: 1 s, doubling up to 60 s.
  static constexpr Duration kFirstRetry = std::chrono::seconds(1);
  static constexpr Duration kLastRetry = std::chrono::seconds(60);

  struct Waiter {
    GrantShot::Sender sender;
    size_t bytes = 0;
    TimePoint since;
    WaitingBudget::Place place;
  };
  using Waiters = std::map<uint64_t, Waiter>;  // by ticket: oldest first

  // `since`: when the request entered the pod; nullopt: it never did.
  void release(QueueProxy& pod, std::optional<TimePoint> since);
  [[nodiscard]] Waiting waiting() const {
    return {.requests = waiting_.size(), .bytes = waiting_bytes_};
  }
  Waiters::iterator erase_waiter(Waiters::iterator waiter);
  // With a free slot, or null. Of those that are equal one that is not frozen.
  std::shared_ptr<QueueProxy> pick();
  // The first with less than `full` requests in it, a frozen one only if there is no other.
  std::shared_ptr<QueueProxy> first_with_room(int full, bool slow_start);
  struct FreezeChange {
    std::shared_ptr<QueueProxy> pod;
    bool frozen = false;
    uint64_t turn = 0;
  };
  static FreezeChange change(const std::shared_ptr<QueueProxy>& pod, bool frozen);
  void tell(const FreezeChange& change);       // without the lock
  bool put_out_of_use(const QueueProxy& pod);  // false: it was already
  void grant_waiting();
  void refuse_waiting(const Refused& refused);
  [[nodiscard]] std::optional<Refused> refusal(size_t bytes) const;
  void count(int change);         // requests in the system
  void entered(QueueProxy& pod);  // a request; after pass()
  // Adds up what was in the system until now. Before that changes.
  void pass(TimePoint now);
  void start_failed(const std::string& pod, const std::string& message, Duration pause);

  const ThrottlerOptions options_;
  scheduling::PodSource& source_;
  const Clock& clock_;
  const StartOutcome on_start_;

  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<QueueProxy>> pods_;  // that take requests
  std::vector<std::shared_ptr<QueueProxy>> draining_;
  Waiters waiting_;
  size_t waiting_bytes_ = 0;
  bool crowd_told_ = false;
  int pod_target_;
  RetryBudget retries_;
  uint64_t hung_ = 0;
  TimePoint misbehaviour_told_at_{};
  uint64_t next_ticket_ = 1;
  std::optional<Refused> closed_;
  int failures_ = 0;  // starts in a row
  TimePoint retry_at_{};
  std::string last_failure_;
  Duration last_load_{};  // what the last pod took to load its code
  // Traffic since the last sample.
  int in_system_ = 0;
  int loading_ = 0;          // of those: in pods that are not ready yet
  double area_ = 0;          // request-seconds
  double waiting_area_ = 0;  // of those without a slot, or whose pod is not ready
  double arrivals_ = 0;
  double ended_ = 0;
  double service_ = 0;  // seconds
  TimePoint changed_at_;
  TimePoint sampled_at_;
  TimePoint last_active_{};
};

}  // namespace ebb::serving
