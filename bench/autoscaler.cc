// What the AutoScaler costs with many revisions. See bench/autoscaler.
//
// Revisions, throttlers and the AutoScaler are the real ones; pods are ready the moment
// they are wanted, and active revisions have a request inside all the time. Times are CPU
// seconds of the one thread. Memory is what malloc gave out, between before and after.
#include <fmt/core.h>
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "control/autoscaler.h"
#include "figures.h"

namespace ebb::bench {
namespace {

using namespace std::chrono_literals;
using serving::Throttler;

double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

size_t heap_bytes() {
  const auto info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

class InstantNode final : public scheduling::ScaleTarget, public scheduling::PodSource {
 public:
  void scale(const std::string& revision, int pods) override {
    auto& one = revisions.at(revision);
    while (std::ssize(one.names) < pods) {
      one.names.push_back(revision + "-" + std::to_string(next++));
      one.listener->pod_added({one.names.back(), "unix:/x", false});
      one.listener->pod_ready(one.names.back());
    }
    if (const int extra = static_cast<int>(one.names.size()) - pods; extra > 0) {
      for (const auto& name : one.listener->begin_drain(extra).chosen) {
        std::erase(one.names, name);
        one.listener->pod_gone(name, {.reason = "Stopped", .message = {}});
      }
    }
  }
  void subscribe(std::shared_ptr<const scheduling::PodTemplate> /*revision*/,
                 std::shared_ptr<scheduling::PodListener> /*listener*/) override {}
  void unsubscribe(const std::string& /*revision*/) override {}
  void pod_drained(const std::string& /*pod*/) override {}

  struct Revision {
    std::shared_ptr<Throttler> listener;
    std::vector<std::string> names;
  };
  std::unordered_map<std::string, Revision> revisions;
  int next = 0;
};

struct Times {
  double sum = 0;
  double worst = 0;
  int count = 0;
  void add(double seconds) {
    sum += seconds;
    worst = std::max(worst, seconds);
    ++count;
  }
  void print(const Figures& figures, const char* name) const {
    const double average = sum / std::max(1, count) * 1000;
    figures.say("{:<36} {:>9.1f} ms on average, {:>8.1f} ms at most ({} ticks)\n", name, average,
                worst * 1000, count);
    figures.add(fmt::format("autoscaler, {}: average", name), average, "ms");
    figures.add(fmt::format("autoscaler, {}: most", name), worst * 1000, "ms");
  }
};

class Bench {
 public:
  Bench(const Figures& figures, size_t revisions, size_t active)
      : figures_(figures), active_(active) {
    uids_.reserve(revisions);
    for (size_t i = 0; i < revisions; ++i) {
      uids_.push_back(fmt::format("{:08x}-0000-4000-8000-{:012x}", i, i));  // as long as a uid
    }
  }

  void add() {
    const size_t before = heap_bytes();
    std::vector<ScalePlan> plans;
    plans.reserve(uids_.size());
    for (size_t i = 0; i < uids_.size(); ++i) {
      auto pod = std::make_shared<scheduling::PodTemplate>();
      pod->revision = uids_[i];
      pod->ns = "default";
      pod->name = fmt::format("function-{:06}-00001", i);
      pod->concurrency = 1;
      auto throttler = std::make_shared<Throttler>(
          serving::ThrottlerOptions{.revision = uids_[i], .concurrency = 1}, node_, clock_,
          [](const std::string&, const std::string&) {});
      node_.revisions[uids_[i]].listener = throttler;
      traffic_.add(throttler);
      plans.emplace_back().pod = std::move(pod);
    }
    const size_t built = heap_bytes();
    for (auto& plan : plans) scaler_.add(std::move(plan));
    report("never called", built);
    figures_.say("{:<36} {:>9.0f} B (its throttler, template, metrics and this program's lists)\n",
                 "  beside it, for each revision", per_revision(built - before));
    figures_.add("autoscaler, beside it: memory of a revision", per_revision(built - before), "B");
    added_ = built - plans.capacity() * sizeof(ScalePlan);  // the list goes now
  }

  // Every revision is called once and goes back to rest at zero, some at a time.
  void rest(scaling::PolicyClass policy, const char* name) {
    scaling::PolicySpec spec{.policy = policy};
    spec.kpa.stable_window = 6s;
    spec.adaptive.window = 6s;
    const auto brief = std::make_shared<const scaling::PolicySpec>(spec);
    constexpr size_t kAtOnce = 10'000;
    for (size_t first = 0; first < uids_.size(); first += kAtOnce) {
      const size_t end = std::min(uids_.size(), first + kAtOnce);
      for (size_t i = first; i < end; ++i) {
        ScalePlan plan;
        plan.policy = brief;
        scaler_.replan(uids_[i], std::move(plan));
        scaler_.wake(uids_[i]);
        auto slot = throttler(uids_[i]).try_acquire();
      }
      while (scaler_.active() > 0) {
        clock_.advance(1s);
        scaler_.tick();
      }
    }
    static_cast<void>(scaler_.take_rescaled());
    report(name, added_);
  }

  void ticks() {
    std::vector<serving::Slot> inside;
    for (size_t i = 0; i < active_; ++i) {
      scaler_.wake(uids_[i * (uids_.size() / active_)]);
      inside.push_back(
          std::move(*throttler(uids_[i * (uids_.size() / active_)]).try_acquire().slot));
    }
    Times sampling;
    Times deciding;
    Times telling;
    int64_t seen = scaler_.version();
    constexpr int kTicks = 60;
    for (int i = 0; i < kTicks; ++i) {
      clock_.advance(1s);
      const double began = cpu_seconds();
      scaler_.tick();
      const double took = cpu_seconds() - began;
      (i % 2 == 0 ? deciding : sampling).add(took);
      std::vector<control::ScaleStatus> changed;
      const double asked = cpu_seconds();
      if (!scaler_.changes(seen, &changed)) std::abort();
      if (!changed.empty()) telling.add(cpu_seconds() - asked);
      seen = scaler_.version();
    }
    figures_.say("{} of {} revisions are active\n", scaler_.active(), uids_.size());
    (deciding.sum > sampling.sum ? sampling : deciding).print(figures_, "tick that samples");
    (deciding.sum > sampling.sum ? deciding : sampling)
        .print(figures_, "tick that samples and decides");
    telling.print(figures_, "what changed, to who watches");
    const double began = cpu_seconds();
    const size_t changed = scaler_.take_rescaled().size();
    const double took = (cpu_seconds() - began) * 1000;
    figures_.say("{:<36} {:>9.1f} ms ({} revisions)\n", "what was rescaled", took, changed);
    figures_.add("autoscaler, what was rescaled", took, "ms");
  }

 private:
  using ScalePlan = control::ScalePlan;
  Throttler& throttler(const std::string& uid) { return *node_.revisions.at(uid).listener; }
  [[nodiscard]] double per_revision(size_t bytes) const {
    return static_cast<double>(bytes) / static_cast<double>(uids_.size());
  }
  void report(const char* name, size_t base) const {
    const double bytes = per_revision(heap_bytes() - base);
    figures_.say("{:<36} {:>9.0f} B in the AutoScaler\n", name, bytes);
    figures_.add(fmt::format("autoscaler, {}: memory of a revision", name), bytes, "B");
  }

  const Figures& figures_;
  const size_t active_;
  std::vector<std::string> uids_;
  FakeClock clock_;
  net::Executor executor_{"control"};
  serving::Traffic traffic_;
  InstantNode node_;
  control::AutoScaler scaler_{executor_, traffic_, node_, clock_};
  size_t added_ = 0;
};

}  // namespace
}  // namespace ebb::bench

int main(int argc, char** argv) {
  const ebb::bench::Figures figures(argc, argv);
  const size_t revisions = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  const double percent = argc > 2 ? std::strtod(argv[2], nullptr) : 1;
  const auto active = static_cast<size_t>(static_cast<double>(revisions) * percent / 100);
  if (revisions == 0 || active == 0 || active > revisions) {
    fmt::print(stderr, "usage: bench/autoscaler [REVISIONS [ACTIVE PERCENT]] [--json]\n");
    return 2;
  }
  ebb::log::set_level(ebb::log::Level::kWarn);
  ebb::bench::Bench bench(figures, revisions, active);
  bench.add();
  bench.ticks();
  bench.rest(ebb::scaling::PolicyClass::kKpa, "at rest after a call, kpa");
  bench.rest(ebb::scaling::PolicyClass::kAdaptive, "at rest after a call, adaptive");
  return 0;
}
