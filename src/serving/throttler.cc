#include "serving/throttler.h"

#include <algorithm>
#include <tuple>

#include "base/log.h"

namespace ebb::serving {

void Slot::give_back_unused() {
  if (owner_) owner_->release(*pod_, std::nullopt);
  disarm();
}

void Slot::release() {
  if (!owner_) return;
  owner_->release(*pod_, since_);
  owner_.reset();
  pod_.reset();
}

Throttler::Throttler(ThrottlerOptions options, scheduling::PodSource& pods, const Clock& clock,
                     StartOutcome on_start)
    : options_(std::move(options)),
      source_(pods),
      clock_(clock),
      on_start_(std::move(on_start)),
      pod_target_(options_.pod_target),
      changed_at_(clock.now()),
      sampled_at_(changed_at_) {}

Throttler::~Throttler() = default;

// --- The request path ---

Throttler::Entry Throttler::try_acquire() {
  std::unique_lock lock(mutex_);
  if (waiting_.empty()) {
    if (auto pod = pick()) {
      count(+1);
      ++arrivals_;
      retries_.deposit();
      entered(*pod);
      Slot slot(shared_from_this(), pod, changed_at_);
      if (pod->frozen_) {
        const FreezeChange thaw = change(pod, false);
        lock.unlock();
        tell(thaw);
      }
      return {.slot = std::move(slot), .refused = {}};
    }
  }
  return {.slot = {}, .refused = refusal(0)};
}

Throttler::Ticket Throttler::enqueue(GrantShot::Sender sender, size_t bytes) {
  const std::lock_guard lock(mutex_);
  const uint64_t number = next_ticket_++;
  if (auto refused = refusal(bytes)) {
    Grant refusal = fail(std::move(*refused));
    sender.set(std::move(refusal));
    return {.number = number};
  }
  count(+1);
  ++arrivals_;
  retries_.deposit();
  waiting_.emplace_hint(
      waiting_.end(), number,
      Waiter{.sender = std::move(sender),
             .bytes = bytes,
             .since = clock_.now(),
             .place = options_.budget ? options_.budget->enter(bytes) : WaitingBudget::Place()});
  waiting_bytes_ += bytes;
  grant_waiting();  // if a slot came free since try_acquire
  const bool crowded = !pods_.empty() && !waiting_.empty() && !crowd_told_;
  crowd_told_ = crowd_told_ || crowded;
  return {.number = number, .queued = true, .no_pods = pods_.empty(), .crowded = crowded};
}

Throttler::Waiters::iterator Throttler::erase_waiter(Waiters::iterator waiter) {
  waiting_bytes_ -= waiter->second.bytes;
  return waiting_.erase(waiter);
}

void Throttler::leave(uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  pass(clock_.now());
  if (const auto found = waiting_.find(ticket); found != waiting_.end()) erase_waiter(found);
  count(-1);
}

bool Throttler::may_retry() {
  const std::lock_guard lock(mutex_);
  return retries_.withdraw();
}

std::optional<Refused> Throttler::refusal(size_t bytes) const {
  if (closed_) return closed_;
  if (pods_.empty() && clock_.now() < retry_at_) {
    const auto wait = std::chrono::ceil<std::chrono::seconds>(retry_at_ - clock_.now());
    return Refused{Refusal::kStartFailed, last_failure_, static_cast<int>(wait.count())};
  }
  if (waiting_.size() >= options_.max_waiting) {
    return Refused{Refusal::kQueueFull,
                   fmt::format("{} requests wait for it already", waiting_.size()), 1};
  }
  if (bytes > options_.max_waiting_bytes - std::min(waiting_bytes_, options_.max_waiting_bytes)) {
    return Refused{Refusal::kQueueBytes,
                   fmt::format("the {} requests that wait for it hold {} bytes already",
                               waiting_.size(), waiting_bytes_),
                   1};
  }
  if (options_.budget && !options_.budget->has_room(waiting(), bytes)) {
    const Waiting all = options_.budget->taken();
    return Refused{Refusal::kQueueShare,
                   fmt::format("{} requests wait for it with {} bytes, and {} for all functions "
                               "with {}: more of it would leave too little room for others",
                               waiting_.size(), waiting_bytes_, all.requests, all.bytes),
                   1};
  }
  return std::nullopt;
}

std::shared_ptr<QueueProxy> Throttler::first_with_room(int full, bool slow_start) {
  const bool serves = slow_start && std::any_of(pods_.begin(), pods_.end(),
                                                [](const auto& pod) { return pod->ready_; });
  std::shared_ptr<QueueProxy> frozen;
  for (const auto& pod : pods_) {
    if (pod->in_flight_ >= full || (serves && !pod->ready_)) continue;
    if (!pod->frozen_) return pod;
    if (!frozen) frozen = pod;
  }
  return frozen;
}

std::shared_ptr<QueueProxy> Throttler::pick() {
  if (pods_.empty()) return nullptr;
  const bool slow_start = last_load_ >= scheduling::kSlowLoad;
  const bool limited = options_.concurrency > 0;
  if (options_.balancing == Balancing::kPack ||
      (options_.balancing == Balancing::kByLimit && limited)) {
    auto pod = first_with_room(limited ? options_.concurrency : pod_target_, slow_start);
    if (pod || limited) return pod;
  }
  const auto rank = [slow_start](const QueueProxy& pod) {
    return std::tuple(slow_start && !pod.ready_, pod.in_flight_, pod.frozen_);
  };
  const auto& least =
      *std::min_element(pods_.begin(), pods_.end(),
                        [&rank](const auto& a, const auto& b) { return rank(*a) < rank(*b); });
  return limited && least->in_flight_ >= options_.concurrency ? nullptr : least;
}

Throttler::FreezeChange Throttler::change(const std::shared_ptr<QueueProxy>& pod, bool frozen) {
  pod->frozen_ = frozen;
  return {.pod = pod, .frozen = frozen, .turn = ++pod->freeze_turn_};
}

void Throttler::tell(const FreezeChange& change) {
  if (source_.set_frozen(change.pod->pod(), change.frozen, change.turn)) return;
  const std::lock_guard lock(mutex_);
  if (change.pod->freeze_turn_ == change.turn) change.pod->frozen_ = !change.frozen;
}

void Throttler::freeze_idle(TimePoint now) {
  std::vector<FreezeChange> changes;
  {
    const std::lock_guard lock(mutex_);
    for (const auto* list : {&pods_, &draining_}) {
      for (const auto& pod : *list) {
        // One that was given out of the line, with the source's lock held, or whose node
        // could not be told.
        if (pod->frozen_ && pod->in_flight_ > 0) changes.push_back(change(pod, false));
      }
    }
    for (const auto& pod : pods_) {
      const bool idle = waiting_.empty() && pod->ready_ && pod->in_flight_ == 0 && !pod->frozen_ &&
                        now - pod->idle_since_ >= kIdleBeforeFreeze;
      if (idle) changes.push_back(change(pod, true));
    }
  }
  for (const auto& each : changes) tell(each);
}

void Throttler::grant_waiting() {
  while (!waiting_.empty()) {
    auto pod = pick();
    if (!pod) return;
    const auto oldest = waiting_.begin();
    pass(clock_.now());
    Grant grant(Slot(shared_from_this(), pod, changed_at_));
    if (oldest->second.sender.set(std::move(grant))) {
      entered(*pod);
    } else {
      grant->disarm();  // NOLINT(bugprone-use-after-move): a refused set() leaves it
    }
    erase_waiter(oldest);
  }
}

void Throttler::refuse_waiting(const Refused& refused) {
  waiting_bytes_ = 0;
  pass(clock_.now());
  for (auto& [ticket, waiter] : std::exchange(waiting_, {})) {
    Grant refusal = fail(refused);
    if (waiter.sender.set(std::move(refusal))) count(-1);  // else it will leave()
  }
}

void Throttler::release(QueueProxy& pod, std::optional<TimePoint> since) {
  bool drained = false;
  {
    const std::lock_guard lock(mutex_);
    count(-1);
    if (!pod.ready_) --loading_;
    if (pod.ready_ && since) {
      const TimePoint loaded = pod.loaded_at_.load(std::memory_order_relaxed);
      ++ended_;
      service_ += std::max(0.0, to_seconds(changed_at_ - std::max(*since, loaded)));
    }
    if (--pod.in_flight_ == 0) pod.idle_since_ = changed_at_;
    drained = pod.draining_ && pod.in_flight_ == 0 && !pod.exit_;
    if (!pod.draining_) grant_waiting();
  }
  if (drained) source_.pod_drained(pod.pod());
}

net::Task<std::optional<scheduling::PodExit>> Throttler::exit_of(std::shared_ptr<QueueProxy> pod,
                                                                 net::Executor& executor,
                                                                 TimePoint deadline) {
  auto shot = QueueProxy::ExitShot::make(executor);
  {
    const std::lock_guard lock(mutex_);
    if (pod->exit_) co_return pod->exit_;
    pod->exit_waiters_.push_back(shot.sender);
  }
  auto waiting = shot.receiver.wait(deadline);
  auto exit = co_await waiting;
  if (!exit) co_return std::nullopt;
  co_return std::move(*exit);
}

void Throttler::pod_unreachable(const QueueProxy& pod) {
  const std::lock_guard lock(mutex_);
  put_out_of_use(pod);
}

bool Throttler::put_out_of_use(const QueueProxy& pod) {
  const auto found = std::find_if(pods_.begin(), pods_.end(),
                                  [&](const auto& other) { return other.get() == &pod; });
  if (found == pods_.end()) return false;
  (*found)->draining_ = true;
  draining_.push_back(std::move(*found));
  pods_.erase(found);
  return true;
}

void Throttler::pod_silent(QueueProxy& pod) {
  {
    const std::lock_guard lock(mutex_);
    if (pod.silences_.fetch_add(1, std::memory_order_relaxed) + 1 < kHungAfter) return;
    if (!put_out_of_use(pod)) return;
    ++hung_;
  }
  source_.pod_hung(pod.pod());
}

void Throttler::pod_misbehaved(const QueueProxy& pod, const std::string& reason,
                               const std::string& message) {
  {
    const std::lock_guard lock(mutex_);
    const TimePoint now = clock_.now();
    if (misbehaviour_told_at_ != TimePoint() && now < misbehaviour_told_at_ + kTellMisbehaviour) {
      return;
    }
    misbehaviour_told_at_ = now;
  }
  source_.pod_misbehaved(pod.pod(), reason, message);
}

// --- Pods ---

void Throttler::pod_added(const scheduling::PodEndpoint& endpoint) {
  auto address = net::Address::parse(endpoint.address);
  if (!address) {
    log::error("throttler", "pod {}: {}", endpoint.pod, address.error().message);
    return;
  }
  const std::lock_guard lock(mutex_);
  auto pod = std::make_shared<QueueProxy>(endpoint.pod, std::move(*address), options_.h2c);
  pod->ready_ = endpoint.ready;
  pod->starting_ = !endpoint.ready;
  // Taken over from an earlier front: how long it has been idle is not known.
  if (endpoint.ready) last_active_ = clock_.now();
  pods_.push_back(std::move(pod));
  grant_waiting();
}

void Throttler::pod_ready(const std::string& name, Duration load) {
  const std::lock_guard lock(mutex_);
  failures_ = 0;
  retry_at_ = {};
  last_failure_.clear();
  last_load_ = load;
  for (const auto& list : {&pods_, &draining_}) {
    for (const auto& pod : *list) {
      if (pod->pod() != name) continue;
      if (!pod->ready_) {
        pass(clock_.now());
        loading_ -= pod->in_flight_;
      }
      pod->ready_ = true;
      pod->load_took_ = load;
      pod->loaded_at_ = clock_.now();
      pod->starting_ = false;
      pod->idle_since_ = clock_.now();
    }
  }
  grant_waiting();
  on_start_(name, "");
}

void Throttler::pod_gone(const std::string& name, const scheduling::PodExit& exit) {
  const std::lock_guard lock(mutex_);
  for (auto* list : {&pods_, &draining_}) {
    const auto found = std::find_if(list->begin(), list->end(),
                                    [&](const auto& pod) { return pod->pod() == name; });
    if (found == list->end()) continue;
    const std::shared_ptr<QueueProxy> pod = std::move(*found);
    list->erase(found);
    pod->draining_ = true;
    pod->exit_ = exit;
    pod->exit_->was_ready = pod->ready_;
    for (auto& waiter : pod->exit_waiters_) {
      scheduling::PodExit copy = *pod->exit_;
      waiter.set(std::move(copy));
    }
    pod->exit_waiters_.clear();
    if (pod->elsewhere_ > 0) count(-pod->elsewhere_);
    if (!pod->ready_) loading_ -= pod->elsewhere_;
    if (!pod->ready_ && !scheduling::is_blameless(exit)) {
      const auto pause = Duration(kFirstRetry * (1LL << std::min(failures_++, 6)));
      start_failed(name, exit.message, std::min(kLastRetry, pause));
    }
    return;
  }
}

void Throttler::start_failed(const std::string& pod, const std::string& message, Duration pause) {
  last_failure_ = message;
  retry_at_ = clock_.now() + pause;
  if (pods_.empty()) refuse_waiting({Refusal::kStartFailed, message, 1});
  on_start_(pod, message);
}

void Throttler::pods_unavailable(const std::string& message) {
  const std::lock_guard lock(mutex_);
  // Not the code's doing: who makes pods tries again by itself, so that waiting longer each time
  // would only refuse requests when there are pods again.
  if (pods_.empty()) start_failed("", message, kFirstRetry);
}

std::optional<TimePoint> Throttler::oldest_waiting() const {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty()) return std::nullopt;
  return waiting_.begin()->second.since;
}

scheduling::PodListener::Drain Throttler::begin_drain(int count) {
  Drain drain;
  const std::lock_guard lock(mutex_);
  // Newest of the least busy first: the oldest are the warmest.
  std::stable_sort(pods_.begin(), pods_.end(),
                   [](const auto& a, const auto& b) { return a->in_flight_ > b->in_flight_; });
  while (count-- > 0 && !pods_.empty()) {
    auto pod = std::move(pods_.back());
    pods_.pop_back();
    pod->draining_ = true;
    drain.chosen.push_back(pod->pod());
    if (pod->in_flight_ == 0) drain.idle.push_back(pod->pod());
    draining_.push_back(std::move(pod));
  }
  return drain;
}

void Throttler::close(Refused why) {
  const std::lock_guard lock(mutex_);
  closed_ = std::move(why);
  refuse_waiting(*closed_);
}

bool Throttler::pod_busy(const std::string& name, int requests) {
  const std::lock_guard lock(mutex_);
  for (const auto* list : {&pods_, &draining_}) {
    for (const auto& pod : *list) {
      if (pod->pod() != name) continue;
      const int change = requests - std::exchange(pod->elsewhere_, requests);
      count(change);
      pod->in_flight_ += change;
      if (!pod->ready_) loading_ += change;
      if (pod->in_flight_ == 0) pod->idle_since_ = changed_at_;
      if (pod->draining_) return pod->in_flight_ == 0;
      grant_waiting();
      return false;
    }
  }
  return false;
}

// --- The AutoScaler ---

Throttler::Counts Throttler::counts() const {
  const std::lock_guard lock(mutex_);
  Counts counts;
  for (const auto& pod : pods_) {
    ++(pod->ready_ ? counts.ready : counts.starting);
    counts.in_flight += pod->in_flight_;
    if (pod->starting()) counts.in_starting += pod->in_flight_;
    if (pod->frozen_) ++counts.frozen;
  }
  for (const auto& pod : draining_) counts.in_flight += pod->in_flight_;
  counts.waiting = static_cast<int>(waiting_.size());
  counts.waiting_bytes = waiting_bytes_;
  counts.hung = hung_;
  counts.last_active = in_system_ > 0 ? clock_.now() : last_active_;
  counts.retry_at = retry_at_;
  counts.last_failure = last_failure_;
  return counts;
}

void Throttler::add_requests(std::map<std::string, int>& by_pod) const {
  const std::lock_guard lock(mutex_);
  for (const auto* list : {&pods_, &draining_}) {
    for (const auto& pod : *list) {
      const int ours = pod->in_flight_ - pod->elsewhere_;
      if (ours > 0) by_pod[pod->pod()] += ours;
    }
  }
}

int Throttler::needed_pods() const {
  const std::lock_guard lock(mutex_);
  if (options_.concurrency == 0) return 0;
  int requests = static_cast<int>(waiting_.size());
  for (const auto& pod : pods_) requests += pod->in_flight_;
  return (requests + options_.concurrency - 1) / options_.concurrency;
}

void Throttler::set_pod_target(int requests) {
  const std::lock_guard lock(mutex_);
  pod_target_ = requests;
}

void Throttler::crowd_seen() {
  const std::lock_guard lock(mutex_);
  crowd_told_ = false;
}

void Throttler::pass(TimePoint now) {
  const double passed = to_seconds(now - changed_at_);
  area_ += in_system_ * passed;
  waiting_area_ += (static_cast<double>(waiting_.size()) + loading_) * passed;
  changed_at_ = now;
}

void Throttler::count(int change) {
  pass(clock_.now());
  in_system_ += change;
  last_active_ = changed_at_;
}

void Throttler::entered(QueueProxy& pod) {
  ++pod.in_flight_;
  if (!pod.ready_) ++loading_;
}

void Throttler::begin_sampling(TimePoint now) {
  const std::lock_guard lock(mutex_);
  // arrivals_ stay: the request that woke the AutoScaler is in them.
  area_ = 0;
  waiting_area_ = 0;
  ended_ = 0;
  service_ = 0;
  changed_at_ = now;
  sampled_at_ = now;
}

scaling::Metric Throttler::sample(TimePoint now) {
  const std::lock_guard lock(mutex_);
  pass(now);
  const double period = std::max(1e-9, to_seconds(now - sampled_at_));
  scaling::Metric metric{.at = now,
                         .period = now - sampled_at_,
                         .concurrency = area_ / period,
                         .requests = arrivals_ / period,
                         .queued = waiting_area_ / period,
                         .ended = ended_ / period,
                         .service_seconds = service_ / period};
  area_ = 0;
  waiting_area_ = 0;
  arrivals_ = 0;
  ended_ = 0;
  service_ = 0;
  sampled_at_ = now;
  return metric;
}

}  // namespace ebb::serving
