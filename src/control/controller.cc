#include "control/controller.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <map>

#include "base/log.h"

namespace ebb::control {

using resources::ObjectKey;

struct Controller::State : std::enable_shared_from_this<State> {
  struct Entry {
    bool waiting = false;  // in `queue`
    bool running = false;
    bool again = false;  // changed during the run
    int failures = 0;    // in a row
    int conflicts = 0;
    std::string complaint;  // the last error that was logged
    TimePoint wish = kNever;
    net::Timer timer;
  };

  State(net::Executor& e, std::string n, Reconcile r, ControllerOptions o)
      : executor(e), name(std::move(n)), reconcile(std::move(r)), options(o) {}

  void add(const ObjectKey& key) {
    Entry& entry = entries[key];
    if (entry.running) entry.again = true;
    if (entry.running || entry.waiting) return;
    entry.waiting = true;
    queue.push_back(key);
    pump_soon();
  }

  void add_after(const ObjectKey& key, Duration delay) {
    Entry& entry = entries[key];
    const TimePoint when = executor.now() + delay;
    if (entry.timer.armed() && entry.wish <= when) return;
    entry.wish = when;
    entry.timer.fire = [this, key] { add(key); };
    executor.arm(entry.timer, when);
  }

  // Posted, so that no reconcile runs inside the callback that added its key.
  void pump_soon() {
    if (!started || pumping || ended) return;
    pumping = true;
    executor.post([state = shared_from_this()] {
      state->pumping = false;
      state->pump();
    });
  }

  void pump() {
    while (!ended && !queue.empty() && running < options.parallel) {
      const ObjectKey key = std::move(queue.front());
      queue.pop_front();
      Entry& entry = entries.at(key);
      entry.waiting = false;
      entry.running = true;
      ++running;
      executor.spawn(run(shared_from_this(), key));
    }
  }

  void finished(const ObjectKey& key, const Result<void>& result) {
    if (ended) return;
    --running;
    Entry& entry = entries.at(key);
    entry.running = false;
    const bool again = std::exchange(entry.again, false);
    if (result) {
      entry.failures = 0;
      entry.conflicts = 0;
      entry.complaint.clear();
      if (!again && !entry.timer.armed()) entries.erase(key);
    } else {
      failed(key, entry, result.error());
    }
    if (again) add(key);
    pump_soon();
    if (idle() && on_idle) on_idle();
  }

  [[nodiscard]] bool idle() const { return queue.empty() && running == 0; }

  void failed(const ObjectKey& key, Entry& entry, const Error& error) {
    // Someone was faster: the new version is on its way, or here already.
    if (error.code == Errc::kConflict && entry.conflicts < options.conflicts_at_once) {
      ++entry.conflicts;
      add(key);
      return;
    }
    constexpr int kMostDoublings = 30;
    const int doublings = std::min(entry.failures++, kMostDoublings);
    const Duration delay =
        std::min(options.last_retry, Duration(options.first_retry * (1LL << doublings)));
    add_after(key, delay);
    if (entry.complaint == error.message) return;
    entry.complaint = error.message;
    log::warn(name, "{}/{}: {}; trying again in {} ms", key.ns, key.name, error.message,
              delay / std::chrono::milliseconds(1));
  }

  net::Executor& executor;
  const std::string name;
  const Reconcile reconcile;
  const ControllerOptions options;
  bool started = false;
  bool pumping = false;
  bool ended = false;
  size_t running = 0;
  std::function<void()> on_idle;
  std::map<ObjectKey, Entry> entries;  // nodes stay where they are: timers live in them
  std::deque<ObjectKey> queue;
};

Controller::Controller(net::Executor& executor, std::string name, Reconcile reconcile,
                       ControllerOptions options)
    : state_(std::make_shared<State>(executor, std::move(name), std::move(reconcile), options)) {}

Controller::~Controller() {
  state_->ended = true;
  state_->queue.clear();
  state_->entries.clear();  // and their timers
}

void Controller::start() {
  state_->started = true;
  state_->pump_soon();
}

void Controller::add(const ObjectKey& key) { state_->add(key); }

void Controller::add_after(const ObjectKey& key, Duration delay) { state_->add_after(key, delay); }

bool Controller::idle() const { return state_->idle(); }

void Controller::on_idle(std::function<void()> callback) { state_->on_idle = std::move(callback); }

net::Task<void> Controller::run(std::shared_ptr<State> state, ObjectKey key) {
  auto trying = attempt(state, key);
  const Result<void> result = co_await trying;
  state->finished(key, result);
}

net::Task<Result<void>> Controller::attempt(std::shared_ptr<State> state, ObjectKey key) {
  Result<void> result;
  try {
    auto reconciling = state->reconcile(key);
    result = co_await reconciling;
  } catch (const std::exception& e) {
    result = fail(Errc::kInternal, "{}", e.what());
  }
  co_return result;
}

}  // namespace ebb::control
