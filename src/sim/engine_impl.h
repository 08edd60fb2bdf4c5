// The engine as a class. Internal to sim/engine*.cc: requests and time are in engine.cc,
// how many pods there are in engine_scale.cc.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "scaling/greedy_dual.h"
#include "scheduling/wait_line.h"
#include "sim/engine.h"
#include "sim/engine_state.h"
#include "sim/event_queue.h"
#include "sim/timeline.h"

namespace ebb::sim {

class Engine final {
 public:
  Engine(const Trace& trace, const EngineOptions& options);
  [[nodiscard]] Report run();

 private:
  enum class EventKind : uint32_t {
    kEnd,       // a: pod; value: service, ns
    kPodReady,  // a: pod; value: life
    kCluster,   // a: node; value: Cluster::Event::Kind
    kRelief,    // of crowds
    kUnload,    // a: pod; value: life
    kPrewarm,   // a: function; value: calls
  };
  struct Event {
    EventKind kind = EventKind::kEnd;
    uint32_t a = 0;
    int64_t value = 0;
  };

  // --- Time: engine.cc ---
  void advance(int64_t until);
  void handle(const Event& event);
  void finish();

  // --- Requests: engine.cc ---
  void arrive(const Arrival& arrival);
  void pass(Live& live) const;  // time, for what is sampled
  void count(Live& live, int change);
  [[nodiscard]] uint32_t pick(Live& live);
  void bind(Live& live, uint32_t pod, const Request& request);
  void begin(Live& live, uint32_t pod, const Request& request, bool cold);
  void grant_waiting(Live& live);
  void end(uint32_t pod, int64_t service);
  void append(RequestList& list, const Request& request);
  Request take(RequestList& list);

  // --- Pods: engine_pods.cc ---
  [[nodiscard]] bool has_room(const PodState& pod) const {
    return options_.concurrency == 0 || pod.in_flight < options_.concurrency;
  }
  void scale(Live& live, int want);
  void fill(Live& live);
  bool give(Live& live);
  void drain(Live& live, int count);
  void take_out(Live& live, uint32_t pod);  // it gets no further requests
  void remove(uint32_t pod);
  void count_pods(int change);
  void pod_ready(uint32_t pod, uint32_t life);
  void note_asked(int pods);  // wanted, whether there are any or not
  void note_shortage(Live& live);
  void serve_line();
  void keep_place(const Live& live);  // in the line, by its oldest request

  // --- Which functions are live: engine_scale.cc ---
  Live& activate(FunctionId function);
  [[nodiscard]] uint32_t index_of(const Live& live) const { return live_of_[live.function]; }
  void release_if_at_rest(Live& live);

  // --- By policy: engine_scale.cc ---
  void start_ticking(Live& live);
  void stop_ticking(Live& live);
  void ensure_ticks();
  void tick();
  void sample(Live& live);
  void decide(Live& live);
  void note_error(const scaling::Decision& decision);
  [[nodiscard]] TimePoint last_active(const Live& live) const;  // as of Throttler::Counts
  [[nodiscard]] scaling::Situation situation(const Live& live) const;
  [[nodiscard]] int needed_pods(const Live& live) const;
  void wake(Live& live);
  void crowd(Live& live);
  void relieve_crowds();
  void decide_now(Live& live);
  [[nodiscard]] int64_t same_until(const Live& live) const;
  bool rest(Live& live);                        // false: there is no reason to
  void wake_up(Live& live, int64_t last_tick);  // from resting
  void end_rests();                             // the earliest ones
  void rest_ended(uint32_t live, uint32_t generation);

  // --- On demand: engine_demand.cc ---
  [[nodiscard]] bool on_demand() const { return !options_.policy.make; }
  void demand(Live& live);
  void called(const Arrival& arrival);
  void idle(Live& live, uint32_t pod);
  void unload(uint32_t pod);
  void end_idle(uint32_t pod);
  void forget_missing(Live& live);
  void prewarm(FunctionId function, uint32_t calls);
  void used(const Live& live, uint32_t pod);
  void offer(const Live& live, uint32_t pod);  // it may go for others
  void withdraw(uint32_t pod);
  void make_room();

  [[nodiscard]] static TimePoint time(int64_t ns);
  [[nodiscard]] int64_t length() const;  // of what is replayed of the trace

  const Trace& trace_;
  const EngineOptions& options_;
  ArrivalStream arrivals_;
  Report report_;
  TimelineRecorder timeline_;
  int64_t now_ = 0;
  int64_t next_tick_ = INT64_MAX;
  int64_t next_relief_ = 0;
  bool relief_coming_ = false;
  int64_t in_system_ = 0;
  int64_t waiting_ = 0;  // of them, without a slot
  int64_t last_end_ = 0;

  EventQueue<Event> events_;
  // Ends of rests, by time: Live, generation. Apart, since they are many, at few times, and
  // most are out of date when they come.
  std::map<int64_t, std::vector<std::pair<uint32_t, uint32_t>>> rest_ends_;
  std::optional<Cluster> cluster_;
  std::vector<uint32_t> live_of_;  // by function
  std::deque<Live> lives_;         // a deque: they stay where they are
  std::vector<uint32_t> free_lives_;
  std::vector<uint32_t> ticking_;
  std::vector<std::pair<uint32_t, uint32_t>> crowds_;  // Live, generation
  std::vector<PodState> pods_;
  std::vector<uint32_t> free_pods_;
  std::vector<Request> requests_;
  scaling::Metric metric_;  // of sample(), used again
  std::vector<uint32_t> free_requests_;
  scheduling::WaitLine<uint32_t> line_;  // Lives that want a cold pod
  std::vector<Starts> starts_;           // by function
  std::vector<Kept> kept_;               // by function, on demand
  std::optional<scaling::EvictionOrder> eviction_;
  std::vector<Worth> worth_;                       // by pod, with an eviction rule
  std::set<std::pair<double, uint32_t>> offered_;  // Worth::rank, pod
  // Policies at rest that learn.
  std::unordered_map<FunctionId, std::unique_ptr<scaling::Policy>> rested_;
  int missing_ = 0;
  int pods_now_ = 0;
  int64_t pods_changed_at_ = 0;
  int64_t starts_second_ = -1;
  uint64_t starts_in_second_ = 0;
};

}  // namespace ebb::sim
