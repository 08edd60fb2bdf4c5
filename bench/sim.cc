// How fast does the simulator replay traces, and what memory does it take? Times are CPU
// seconds of one thread, the best of three runs, since machines do other things, too.
// See bench/sim.
#include "sim.h"

#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>

#include "sim/engine.h"
#include "sim/keep_alive_run.h"
#include "sim/memory_run.h"
#include "sim/trace_files.h"

namespace ebb::bench {

using namespace ebb::sim;

sim::Trace azure_day(int functions) {
  const char* shared = std::getenv("EBB_SHARED");
  if (shared == nullptr) return {};
  auto trace = open_trace(fmt::format("{}/traces/azure2019/{}_inv.csv", shared, functions));
  if (!trace) {
    fmt::print(stderr, "{}\n", trace.error().message);
    std::exit(1);
  }
  return *std::move(trace);
}

namespace {

constexpr int kRounds = 3;

// Only runs whose name contains it.
std::string only;

double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

// Runs it and prints calls per second; `work` returns the number of calls.
void speed(const Figures& figures, const std::string& name, const std::function<uint64_t()>& work) {
  if (name.find(only) == std::string::npos) return;
  double best = 1e9;
  uint64_t calls = 0;
  for (int i = 0; i < kRounds; ++i) {
    const double began = cpu_seconds();
    calls = work();
    best = std::min(best, cpu_seconds() - began);
  }
  const double rate = static_cast<double>(calls) / best / 1e6;
  figures.say("{:<64} {:>9} calls {:>7.3f} s {:>6.2f} M calls/s\n", name, calls, best, rate);
  figures.add(fmt::format("sim, {}: speed", name), rate, "M calls/s");
}

PolicyChoice choice(const char* name, const char* settings = "", int concurrency = 1) {
  return *PolicyTable().make(name, *parse_settings(settings), concurrency);
}

// With `nodes` > 0: so many from the start, 60 at most.
EngineOptions options(PolicyChoice policy, int concurrency, int nodes) {
  EngineOptions out{.policy = std::move(policy), .concurrency = concurrency};
  out.arrivals.spread = Spread::kExponential;
  out.start = *StartTime::parse("lognormal:300ms:0.3");
  if (nodes > 0) {
    out.cluster = ClusterOptions{.min_nodes = nodes, .max_nodes = 60, .slots = 64};
  }
  return out;
}

// So many functions called so often, 20 ms on average with a tail.
Trace steady(uint32_t functions, uint32_t calls_per_minute, uint32_t minutes) {
  TraceBuilder builder;
  for (uint32_t f = 0; f < functions; ++f) {
    (void)builder.function({.name = fmt::format("f{}", f),
                            .mean_ms = 20,
                            .max_ms = 500,
                            .percentiles_ms = {2, 3, 8, 14, 25, 90, 500}});
    for (uint32_t m = 0; m < minutes; ++m) {
      builder.minute(m, calls_per_minute * (1 + (f + m) % 3));  // load goes up and down
    }
  }
  return *std::move(builder).build();
}

void engine_speed(const Figures& figures, const char* name, const Trace& trace,
                  const EngineOptions& engine) {
  std::string found;
  speed(figures, name, [&] {
    const Report report = run_engine(trace, engine);
    found = fmt::format(
        "{} pods started, {} at most at a time, wait p99 {:.3f} s, {} decisions, "
        "{} samples, {} events",
        report.pods_started, report.peak_pods, report.waits.percentile(0.99), report.decisions,
        report.samples, report.events);
    return report.calls;
  });
  if (!found.empty()) figures.say("    {}\n", found);
}

void speeds(const Figures& figures, const Trace& day) {
  figures.say("# Speed\n");
  if (!day.functions.empty()) {
    const KeepAliveMaker fixed = [](const Function&) {
      return std::make_unique<scaling::FixedKeepAlive>(std::chrono::minutes(10));
    };
    const KeepAliveMaker hybrid = [](const Function&) {
      return std::make_unique<scaling::HybridHistogram>();
    };
    for (const bool one : {true, false}) {
      const char* how = one ? "first-order model" : "drawn executions, many instances";
      KeepAliveOptions keep{.policy = fixed, .one_instance = one};
      if (one) keep.arrivals = {.spread = Spread::kStart, .service = Service::kZero};
      speed(figures, fmt::format("keep-alive only, fixed 10 min, {}", how),
            [&] { return run_keep_alive(day, keep).calls; });
      keep.policy = hybrid;
      speed(figures, fmt::format("keep-alive only, hybrid, {}", how),
            [&] { return run_keep_alive(day, keep).calls; });
    }
    speed(figures, "one machine of 60 GB, greedy-dual",
          [&] { return run_memory(day, {.memory_mb = 60 * 1024}).calls; });
    const auto kpa = [] { return choice("kpa"); };
    engine_speed(figures, "engine, 1350-function day, keep-alive", day,
                 options(choice("keep-alive"), 1, 0));
    engine_speed(figures, "engine, 1350-function day, keep-alive, nodes and pools", day,
                 options(choice("keep-alive"), 1, 1));
    engine_speed(figures, "engine, 1350-function day, hybrid, nodes and pools", day,
                 options(choice("hybrid"), 1, 1));
    engine_speed(figures, "engine, 1350-function day, kpa", day, options(kpa(), 1, 0));
    engine_speed(figures, "engine, 1350-function day, kpa, nodes and pools", day,
                 options(kpa(), 1, 1));
    engine_speed(figures, "engine, 1350-function day, adaptive", day,
                 options(choice("adaptive"), 1, 0));
    engine_speed(figures, "engine, 1350-function day, adaptive, nodes and pools", day,
                 options(choice("adaptive"), 1, 1));
  }
  const Trace busy = steady(50, 3000, 10);
  engine_speed(figures, "engine, 50 functions at 100 calls/s, kpa, nodes, concurrency 1", busy,
               options(choice("kpa"), 1, 16));
  engine_speed(figures, "engine, 50 functions at 100 calls/s, kpa, nodes, concurrency 10", busy,
               options(choice("kpa", "", 10), 10, 16));
}

// In a process of its own, so that its peak is its own.
void memory(const Figures& figures, const char* name, const std::function<std::string()>& work) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string said = work();
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const double most = static_cast<double>(usage.ru_maxrss) / (1 << 20);
    figures.say("{:<64} {:>6.2f} GiB at most; {}\n", name, most, said);
    figures.add(fmt::format("sim, a million functions, {}: memory", name), most, "GiB");
    std::fflush(stdout);
    std::_Exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
}

// The first `minutes` of a day, every function `copies` times.
Trace cut(const Trace& day, uint32_t minutes, uint32_t copies) {
  TraceBuilder builder;
  for (uint32_t copy = 0; copy < copies; ++copy) {
    for (size_t f = 0; f < day.size(); ++f) {
      (void)builder.function(day.functions[f]);
      for (uint64_t i = day.first[f]; i < day.first[f + 1] && day.minutes[i].minute < minutes;
           ++i) {
        builder.minute(day.minutes[i].minute, day.minutes[i].count);
      }
    }
  }
  return *std::move(builder).build(std::chrono::minutes(minutes));
}

void memories(const Figures& figures, const Trace& day) {
  figures.say("\n# Memory, with a million functions\n");
  if (day.functions.empty()) return;
  constexpr uint32_t kCopies = 741;  // of 1350
  const auto engine = [&](const char* name, PolicyChoice policy, uint32_t minutes) {
    memory(figures, name, [&] {
      const Trace many = cut(day, minutes, kCopies);
      const Report report = run_engine(many, options(std::move(policy), 1, 0));
      return fmt::format("{} functions, {} called, {} calls, {:.2f} M calls/s, {} pods at most",
                         many.size(), report.functions_called, report.calls,
                         report.calls_per_s() / 1e6, report.peak_pods);
    });
  };
  engine("ten minutes, keep-alive", choice("keep-alive"), 10);
  engine("two minutes, kpa", choice("kpa"), 2);
}

int main_of(const Figures& figures, const std::string& part, std::vector<std::string> names) {
  const Trace day = azure_day(1350);
  if (day.functions.empty())
    figures.say("EBB_SHARED is not set: no traces, only what is synthetic\n");
  const bool all = part.empty();
  if (part == "speed" && !names.empty()) only = names.front();
  if (all || part == "speed") speeds(figures, day);
  if (all || part == "memory") memories(figures, day);
  if (day.functions.empty()) return 0;
  if (all || part == "tables") {
    keep_alive_table(figures, day);
    eviction_table(figures, day);
  }
  if (all || part == "days") {
    if (names.empty()) names = {"kpa", "adaptive"};
    policies_table(figures, "400", azure_day(400), names);
    policies_table(figures, "1350", day, names);
  }
  return 0;
}

}  // namespace
}  // namespace ebb::bench

int main(int argc, char** argv) {
  const ebb::bench::Figures figures(argc, argv);
  std::vector<std::string> names;
  for (int i = 2; i < argc; ++i) names.emplace_back(argv[i]);
  return ebb::bench::main_of(figures, argc > 1 ? argv[1] : "", std::move(names));
}
