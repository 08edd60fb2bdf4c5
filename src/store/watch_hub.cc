#include "store/watch_hub.h"

#include <algorithm>

namespace ebb::store {
namespace {

size_t size_of(const Event& event) { return event.item.key.size() + event.item.value.size(); }

}  // namespace

class WatchHub::HubWatch final : public Watch {
 public:
  // Shared: a store may end before its watches.
  HubWatch(std::shared_ptr<WatchHub> hub, std::string prefix, RevisionNumber after)
      : hub_(std::move(hub)), prefix_(std::move(prefix)), position_(after) {}
  ~HubWatch() override { hub_->waiting_.remove(this); }

  net::Task<Result<std::vector<Event>>> next(TimePoint deadline) override {
    for (;;) {
      if (hub_->closed_) co_return fail(Errc::kCanceled, "the store was closed");
      std::vector<Event> events;
      // A position from the future is either not heard of yet, or of another store.
      if (position_ < hub_->tail_after_ || position_ > hub_->revision_) {
        std::string prefix = prefix_;
        auto reading = hub_->read_history_(std::move(prefix), position_);
        auto history = co_await reading;
        if (!history) co_return fail(history.error());
        position_ = history->upto;
        events = std::move(history->events);
      } else {
        events = take_from_tail();
      }
      if (!events.empty()) co_return events;
      if (position_ < hub_->revision_) continue;
      auto shot = net::OneShot<bool>::make(hub_->home_);
      wake_ = shot.sender;
      hub_->waiting_.push_back(this);
      auto waiting = shot.receiver.wait(deadline);
      auto woken = co_await waiting;
      hub_->waiting_.remove(this);
      if (!woken) co_return fail(Errc::kTimeout, "no change so far");
    }
  }

  // True if it must look at these new events. If none is for it, it is past them.
  [[nodiscard]] bool wants(const std::vector<Event>& events, RevisionNumber revision) {
    bool any = std::any_of(events.begin(), events.end(), [this](const Event& event) {
      return event.item.modified > position_ && event.item.key.starts_with(prefix_);
    });
    // Else a watch of what seldom changes would fall behind the kept history.
    if (!any) position_ = std::max(position_, revision);
    return any;
  }
  void wake() { wake_.set(true); }

 private:
  std::vector<Event> take_from_tail() {
    std::vector<Event> out;
    const auto& tail = hub_->tail_;
    auto at = std::upper_bound(
        tail.begin(), tail.end(), position_,
        [](RevisionNumber after, const Event& event) { return after < event.item.modified; });
    for (; at != tail.end(); ++at) {
      if (static_cast<int64_t>(out.size()) == kEventsPerNext) return out;
      position_ = at->item.modified;
      if (at->item.key.starts_with(prefix_)) out.push_back(*at);
    }
    position_ = std::max(position_, hub_->revision_);
    return out;
  }

  std::shared_ptr<WatchHub> hub_;
  std::string prefix_;
  RevisionNumber position_;  // all events up to here were delivered, or are not ours
  net::OneShot<bool>::Sender wake_;
};

WatchHub::WatchHub(net::Executor& home, RevisionNumber revision, ReadHistory read_history)
    : home_(home),
      read_history_(std::move(read_history)),
      tail_after_(revision),
      revision_(revision) {}

std::unique_ptr<Watch> WatchHub::watch(std::string prefix, RevisionNumber after) {
  return std::make_unique<HubWatch>(shared_from_this(), std::move(prefix), after);
}

void WatchHub::feed(std::vector<Event> events, RevisionNumber compacted) {
  if (!events.empty()) revision_ = events.back().item.modified;
  std::vector<HubWatch*> to_wake;
  for (auto* watch : waiting_) {
    if (watch->wants(events, revision_)) to_wake.push_back(watch);
  }
  for (auto& event : events) {
    tail_bytes_ += size_of(event);
    tail_.push_back(std::move(event));
  }
  tail_after_ = std::max(tail_after_, compacted);
  trim();
  // From here on it has events to take: later ones must not move it past them.
  for (auto* watch : to_wake) {
    waiting_.remove(watch);
    watch->wake();
  }
}

void WatchHub::trim() {
  while (!tail_.empty()) {
    bool over = tail_.size() > kTailEvents || tail_bytes_ > kTailBytes;
    if (!over && tail_.front().item.modified > tail_after_) return;
    tail_after_ = std::max(tail_after_, tail_.front().item.modified);
    tail_bytes_ -= size_of(tail_.front());
    tail_.pop_front();
  }
}

void WatchHub::close() {
  closed_ = true;
  read_history_ = nullptr;
  for (auto* watch : waiting_) watch->wake();
}

}  // namespace ebb::store
