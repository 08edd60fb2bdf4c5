// How one front follows another: the new version of the program serves at once, while the one
// before answers what it had in flight and tells how many requests it has in which pods.

#include <unistd.h>

#include "base/log.h"
#include "front.h"
#include "front_worker.h"
#include "node/packet.h"
#include "node/supervisor.h"

namespace ebb {
namespace {

using namespace std::chrono_literals;

constexpr auto kApiPatience = 30s;     // for requests to the API
constexpr auto kScrapePatience = 5s;   // of metrics
constexpr auto kStartPatience = 5s;    // for requests that wait for a pod, while more come
constexpr auto kLastPatience = 500ms;  // likewise, when no more come
constexpr auto kGoodbye = 200ms;       // until clients know that, by HTTP/2
constexpr auto kFlushPatience = 2s;    // for orders on their way
constexpr auto kLeave = 300s;          // for requests in flight, and upgraded connections
constexpr auto kLook = 5ms;
constexpr auto kTellBusy = 20ms;  // how often it is looked
constexpr auto kTellAgain = 1s;   // though nothing changed: a front that starts again must know
constexpr const char* kLog = "front";

// Until `latest`, or when it is done, but not before `least`.
net::Task<void> wait(net::Executor& executor, TimePoint least, TimePoint latest,
                     std::function<bool()> is_done) {
  while (executor.now() < least || (executor.now() < latest && !is_done())) {
    auto pause = executor.sleep_until(executor.now() + kLook);
    co_await pause;
  }
}

}  // namespace

// --- The one that takes over ---

void Front::read_predecessors(std::vector<UniqueFd> busy) {
  for (auto& socket : busy) {
    predecessors_.push_back(std::make_unique<node::PredecessorPods>(control_, std::move(socket),
                                                                    [this] { on_predecessor(); }));
  }
  if (!predecessors_.empty()) on_predecessor();
}

void Front::on_predecessor() {
  node::BusyPods all;
  for (const auto& one : predecessors_) {
    for (const auto& [pod, requests] : one->busy()) all[pod] += requests;
  }
  scheduler_.set_busy(std::move(all));
  if (!has_predecessor() && std::exchange(awaits_predecessors_, false)) drained(0);
}

bool Front::has_predecessor() const {
  return std::any_of(predecessors_.begin(), predecessors_.end(),
                     [](const auto& one) { return !one->ended(); });
}

// Before pods are ended. They have been told to hurry.
void Front::await_predecessors(TimePoint deadline) {
  if (!has_predecessor()) return;
  awaits_predecessors_ = true;
  ++still_draining_;
  patience_.fire = [this] {
    if (std::exchange(awaits_predecessors_, false)) drained(0);
  };
  control_.arm(patience_, deadline);
}

// --- The one that leaves ---

void Front::hand_over() {
  if (phase_ != Phase::kOpen) return;
  auto pair = node::make_packet_pair();
  if (!pair) {
    log::error(kLog, "cannot hand over: {}", pair.error().message);
    static_cast<void>(node::send_packet(supervisor_.get(), node::kFrontStays));
    return;
  }
  successor_ = std::move(pair->ours);
  for_successor_ = std::move(pair->theirs);
  phase_ = Phase::kDraining;
  hands_over_ = true;
  log::info(kLog, "handing over");
  control_.spawn(hand_over_task());
}

// Until nothing needs more than what the pods have. Who connects at last waits for the next
// front; functions' calls of each other are accepted longest, since what is in flight may wait
// for them.
net::Task<void> Front::hand_over_task() {
  const auto nobody_waits = [this] { return traffic_.waiting() == 0; };
  const auto all_have_left = [this] { return still_accepting_ == 0; };
  const auto told = [this] { return !controller_ || controller_->flushed(); };
  api_->end_watches();
  cut_ = co_await api_server_->drain(control_.now() + kApiPatience);
  if (metrics_server_) {
    const size_t cut = co_await metrics_server_->drain(control_.now() + kScrapePatience);
    cut_ += cut;
  }
  auto starts = wait(control_, TimePoint{}, control_.now() + kStartPatience, nobody_waits);
  co_await starts;
  leave(/*inside=*/false);
  auto outside = wait(control_, TimePoint{}, kNever, all_have_left);
  co_await outside;
  auto goodbye =
      wait(control_, control_.now() + kGoodbye, control_.now() + kLastPatience, nobody_waits);
  co_await goodbye;
  leave(/*inside=*/true);
  auto inside = wait(control_, TimePoint{}, kNever, all_have_left);
  co_await inside;
  if (hands_over_) {
    if (controller_) static_cast<void>(controller_->send(node::HandOver{}));
    scheduler_.retire();
    auto orders = wait(control_, TimePoint{}, control_.now() + kFlushPatience, told);
    co_await orders;
  }
  control_.post([this] { let_go(); });  // which ends tasks
}

void Front::leave(bool inside) {
  still_accepting_ = workers_.size();
  for (auto& worker : workers_) {
    worker->leave(inside, [this] { control_.post([this] { --still_accepting_; }); });
  }
}

void Front::let_go() {
  if (!hands_over_) {  // told to end meanwhile
    drain_workers(control_.now() + kDrainTimeout, http::Exchange::kTunnelGrace);
    await_predecessors(control_.now() + kDrainTimeout);
    return;
  }
  phase_ = Phase::kLeaving;
  traffic_.close(
      {serving::Refusal::kShutdown, "Ebb is being replaced by a new version of it: try again", 1});
  autoscaler_.stop();
  for (auto* timer : {&settle_pools_, &reconnect_, &deadline_}) timer->disarm();
  predecessors_.clear();
  control_.end_tasks();
  api_server_.reset();
  metrics_server_.reset();
  api_.reset();
  reconcilers_.reset();
  code_.reset();
  blobs_.reset();
  client_.reset();
  store_.reset();
  // After what it has posted.
  control_.post([gone = std::shared_ptr<node::ControllerClient>(std::move(controller_))] {});

  supervisor_watch_.reset();
  tell_busy();
  const int fds[] = {for_successor_.get()};
  if (auto told = node::send_packet(supervisor_.get(), node::kFrontLeaves, fds); !told) {
    log::error(kLog, "cannot hand over: {}", told.error().message);
    ::_exit(1);  // another one takes over, as after a crash
  }
  for_successor_.reset();
  drain_workers(control_.now() + kLeave, kLeave);
}

void Front::tell_busy() {
  node::BusyPods busy = traffic_.requests_by_pod();
  const TimePoint now = control_.now();
  if (busy != told_busy_ || now - told_busy_at_ >= kTellAgain) {
    if (node::send_busy_pods(successor_.get(), busy)) {
      told_busy_ = std::move(busy);
      told_busy_at_ = now;
    }
  }
  tell_busy_.fire = [this] { tell_busy(); };
  control_.arm(tell_busy_, now + kTellBusy);
}

}  // namespace ebb
