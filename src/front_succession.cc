// How one front follows another: the new version of the program serves at once, while the one
// before answers what it had in flight and tells how many requests it has in which pods.

#include "base/log.h"
#include "front.h"
#include "front_worker.h"
#include "node/packet.h"
#include "node/supervisor.h"

namespace ebb {
namespace {

using namespace std::chrono_literals;

constexpr auto kApiPatience = 5s;    // for requests to the API
constexpr auto kStartPatience = 5s;  // for requests that wait for a pod
constexpr auto kLeave = 300s;        // for requests in flight, and upgraded connections
constexpr auto kLook = 5ms;
constexpr auto kTellBusy = 20ms;  // how often it is looked
constexpr auto kTellAgain = 1s;   // though nothing changed: a front that starts again must know
constexpr const char* kNode = "local";
constexpr const char* kLog = "front";

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
  phase_ = Phase::kDraining;
  hands_over_ = true;
  log::info(kLog, "handing over");
  control_.spawn(hand_over_task());
}

// Until nothing needs more than what the pods have: who connects meanwhile waits for the next.
net::Task<void> Front::hand_over_task() {
  api_->end_watches();
  cut_ = co_await api_server_->drain(control_.now() + kApiPatience);
  if (metrics_server_) {
    const size_t cut = co_await metrics_server_->drain(control_.now() + kApiPatience);
    cut_ += cut;
  }
  still_accepting_ = workers_.size();
  for (auto& worker : workers_) {
    worker->stop_accepting([this] { control_.post([this] { --still_accepting_; }); });
  }
  const TimePoint latest = control_.now() + kStartPatience;
  while (still_accepting_ > 0 || (traffic_.waiting() > 0 && control_.now() < latest)) {
    auto pause = control_.sleep_until(control_.now() + kLook);
    co_await pause;
  }
  control_.post([this] { let_go(); });  // which ends tasks
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
  if (controller_) static_cast<void>(controller_->send(node::HandOver{}));
  // Pods are no longer ours to start and to stop.
  scheduler_.add_node(kNode, [](const node::ToController&) { return Result<void>(); });
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
  controller_.reset();

  supervisor_watch_.reset();
  auto pair = node::make_packet_pair();
  auto told = pair ? Result<void>() : fail(pair.error());
  if (told) {
    successor_ = std::move(pair->ours);
    tell_busy();
    const int fds[] = {pair->theirs.get()};
    told = node::send_packet(supervisor_.get(), node::kFrontLeaves, fds);
  }
  if (!told) log::error(kLog, "cannot hand over: {}", told.error().message);
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
