#include "sim/memory_run.h"

#include <algorithm>

#include "sim/event_queue.h"

namespace ebb::sim {
namespace {

constexpr double kMs = 1e6;
constexpr uint32_t kNone = UINT32_MAX;

double added_seconds(const Function& function) {
  return std::max(0.0, (function.max_ms - function.mean_ms) / 1000.0);
}

struct Instance {
  FunctionId function = 0;
  uint32_t heap_at = kNone;  // in the idle heap; kNone: busy
  double priority = 0;
  int64_t end_ns = 0;  // of its last execution
};

struct FunctionState {
  uint32_t instances = 0;
  double frequency = 0;
  std::vector<uint32_t> idle;  // the one used last at the end
};

class Machine {
 public:
  Machine(const Trace& trace, const MemoryOptions& options)
      : trace_(trace), options_(options), order_(options.rule), functions_(trace.size()) {}

  void call(const Arrival& arrival) {
    while (ends_.next_ns() <= arrival.at_ns) rest(ends_.pop());
    ++result_.calls;
    const Function& function = trace_.functions[arrival.function];
    FunctionState& state = functions_[arrival.function];
    uint32_t id = warm(state, arrival.at_ns);
    const bool cold = id == kNone;
    if (cold) {
      if (!make_room(function.memory_mb)) {
        ++result_.dropped;
        return;
      }
      id = take_in(arrival.function);
      ++result_.cold;
    }
    state.frequency += 1;
    const double warm_s = function.mean_ms / 1000.0;
    result_.warm_seconds += warm_s;
    if (cold) result_.added_seconds += added_seconds(function);
    const double ms = cold ? std::max(function.max_ms, function.mean_ms) : function.mean_ms;
    instances_[id].end_ns = arrival.at_ns + static_cast<int64_t>(ms * kMs);
    rank(id);
    ends_.push(instances_[id].end_ns, id);
  }

  [[nodiscard]] const MemoryResult& result() const { return result_; }

 private:
  // The idle instance of the function that was used last and is still kept.
  uint32_t warm(FunctionState& state, int64_t now) {
    if (state.idle.empty()) return kNone;
    const uint32_t id = state.idle.back();
    if (options_.keep > Duration(0) && now - instances_[id].end_ns > options_.keep.count()) {
      // All of them: the others have been idle for longer.
      while (!state.idle.empty()) drop(state.idle.back());
      return kNone;
    }
    state.idle.pop_back();
    heap_erase(id);
    return id;
  }

  uint32_t take_in(FunctionId function) {
    uint32_t id = 0;
    if (free_.empty()) {
      id = static_cast<uint32_t>(instances_.size());
      instances_.emplace_back();
    } else {
      id = free_.back();
      free_.pop_back();
    }
    instances_[id] = {.function = function};
    ++functions_[function].instances;
    used_mb_ += trace_.functions[function].memory_mb;
    result_.peak_mb = std::max(result_.peak_mb, used_mb_);
    return id;
  }

  bool make_room(double mb) {
    while (used_mb_ + mb > options_.memory_mb) {
      if (heap_.empty()) return false;
      const uint32_t victim = heap_.front();
      order_.evicted(instances_[victim].priority);
      ++result_.evictions;
      drop(victim);
    }
    return true;
  }

  void rest(uint32_t id) {
    if (options_.rank_when_idle) rank(id);
    functions_[instances_[id].function].idle.push_back(id);
    heap_push(id);
  }

  void rank(uint32_t id) {
    Instance& instance = instances_[id];
    const Function& function = trace_.functions[instance.function];
    instance.priority =
        order_.priority({.at_seconds = static_cast<double>(instance.end_ns) / kNsPerSecond,
                         .frequency = functions_[instance.function].frequency,
                         .start_seconds = added_seconds(function),
                         .memory_mb = function.memory_mb});
  }

  // An idle instance goes.
  void drop(uint32_t id) {
    const FunctionId function = instances_[id].function;
    FunctionState& state = functions_[function];
    heap_erase(id);
    std::erase(state.idle, id);
    used_mb_ -= trace_.functions[function].memory_mb;
    if (--state.instances == 0) state.frequency = 0;
    free_.push_back(id);
  }

  // A binary heap by priority, at one priority by number, that knows where each is.
  [[nodiscard]] bool before(uint32_t a, uint32_t b) const {
    const double pa = instances_[a].priority;
    const double pb = instances_[b].priority;
    return pa != pb ? pa < pb : a < b;
  }
  void put(size_t at, uint32_t id) {
    heap_[at] = id;
    instances_[id].heap_at = static_cast<uint32_t>(at);
  }
  void up(size_t at) {
    const uint32_t id = heap_[at];
    for (; at > 0 && before(id, heap_[(at - 1) / 2]); at = (at - 1) / 2)
      put(at, heap_[(at - 1) / 2]);
    put(at, id);
  }
  void down(size_t at) {
    const uint32_t id = heap_[at];
    while (true) {
      size_t child = 2 * at + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && before(heap_[child + 1], heap_[child])) ++child;
      if (!before(heap_[child], id)) break;
      put(at, heap_[child]);
      at = child;
    }
    put(at, id);
  }
  void heap_push(uint32_t id) {
    heap_.push_back(id);
    up(heap_.size() - 1);
  }
  void heap_erase(uint32_t id) {
    const size_t at = instances_[id].heap_at;
    instances_[id].heap_at = kNone;
    const uint32_t last = heap_.back();
    heap_.pop_back();
    if (last == id) return;
    put(at, last);
    up(at);
    down(instances_[last].heap_at);
  }

  const Trace& trace_;
  const MemoryOptions& options_;
  scaling::EvictionOrder order_;
  std::vector<FunctionState> functions_;
  std::vector<Instance> instances_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> heap_;
  EventQueue<uint32_t> ends_;
  double used_mb_ = 0;
  MemoryResult result_;
};

}  // namespace

MemoryResult run_memory(const Trace& trace, const MemoryOptions& options) {
  Machine machine(trace, options);
  ArrivalStream stream(trace, options.arrivals);
  std::vector<Arrival> minute;
  while (stream.next(minute)) {
    for (const Arrival& arrival : minute) machine.call(arrival);
  }
  return machine.result();
}

}  // namespace ebb::sim
