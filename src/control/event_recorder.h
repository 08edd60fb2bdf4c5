// What happened to whom, lately: the events that `kubectl describe` and `ebb describe`
// show. Kept in memory only, in a ring.
//
// The same again counts up instead of filling the ring. Thread-safe and cheap: called
// with the locks of AutoScaler and Scheduler held, also on the request path.
//
//   EventRecorder events(clock);
//   events.record(about(revision), EventRecorder::Type::kWarning, "StartFailed", why);
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/event.h"
#include "api/types.h"
#include "base/clock.h"
#include "scheduling/scale_target.h"

namespace ebb::control {

class EventRecorder final {
 public:
  using Type = api::Event::Type;
  using Subject = api::Event::Involved;

  static constexpr size_t kMaxEvents = 4096;   // over it the longest unseen one goes
  static constexpr size_t kMaxPerReason = 8;   // with other messages, for one object
  static constexpr size_t kMaxMessage = 1024;  // bytes; longer ones are cut
  static constexpr size_t kMaxGone = 1024;     // that a watch can still be told of

  explicit EventRecorder(const Clock& clock);
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  void record(const Subject& about, Type type, std::string_view reason, std::string_view message);
  // To a revision, and to the Service that it belongs to: there a person looks first.
  void record(const scheduling::PodTemplate& revision, Type type, std::string_view reason,
              std::string_view message);
  void record(const api::Revision& revision, Type type, std::string_view reason,
              std::string_view message);
  // To a Configuration or Route, and to the Service that it belongs to.
  void record(const api::Kind& kind, const api::ObjectMeta& meta, Type type,
              std::string_view reason, std::string_view message);

  // --- To be shown. Every change has a number that grows, also from process to process ---

  struct Numbered {
    api::Event event;
    int64_t made = 0;     // the change that made it
    int64_t changed = 0;  // the newest change of it
    bool gone = false;
  };
  [[nodiscard]] int64_t version() const;
  [[nodiscard]] std::vector<Numbered> list() const;  // longest unseen first
  // What changed after the change number `after`, in order. False: no longer known.
  [[nodiscard]] bool changes(int64_t after, std::vector<Numbered>* out) const;

 private:
  using Ring = std::list<Numbered>;

  void drop(Ring::iterator which);

  const Clock& clock_;
  const std::string run_;  // tells the names of this process's events from those before

  mutable std::mutex mutex_;
  Ring ring_;  // by their newest change
  // The events of one object with one reason, longest unseen first.
  std::unordered_map<std::string, std::vector<Ring::iterator>> groups_;
  std::deque<Numbered> gone_;
  int64_t version_;
  int64_t forgotten_;  // what went up to here is not told any more
};

// The revision that a pod template belongs to, and its Service.
[[nodiscard]] EventRecorder::Subject about_revision(const scheduling::PodTemplate& pod);
[[nodiscard]] EventRecorder::Subject about_service(const scheduling::PodTemplate& pod);
[[nodiscard]] EventRecorder::Subject about_node(const std::string& node);
// Any object that is stored.
[[nodiscard]] EventRecorder::Subject about(const api::Kind& kind, const api::ObjectMeta& meta);

}  // namespace ebb::control
