// What many revisions leave behind.
#include <malloc.h>

#include "control/reconcilers_fixture.h"
#include "control/scheduler.h"

namespace ebb::control {
namespace {

TEST(RevisionHostTest, TenThousandRevisionsLeaveNothingBehind) {
  net::Executor executor("control");
  FakeClock clock;
  EventRecorder events(clock);
  serving::Traffic traffic;
  Scheduler scheduler({.pods_folder = "/run",
                       .pool_of =
                           [](const std::string& /*runtime*/) {
                             return scheduling::PoolSize{.least = 2, .most = 2};
                           },
                       .events = &events},
                      clock);
  scheduler.add_node("local", [](const node::ToController& /*m*/) -> Result<void> { return {}; });
  scheduler.on_message(
      "local",
      node::Welcome{
          .node = "local", .slots = 4, .pods = {}, .node_address = {}, .network_problem = {}});
  AutoScaler autoscaler(executor, traffic, scheduler, clock, {.events = &events});
  RevisionHost host(traffic, scheduler, autoscaler, clock);
  std::vector<std::weak_ptr<serving::Throttler>> throttlers;
  size_t after_warm_up = 0;
  constexpr int kCycles = 10'000;
  for (int i = 0; i < kCycles; ++i) {
    api::Revision revision;
    revision.meta.uid = fmt::format("uid-{}", i);
    revision.meta.ns = "default";
    revision.meta.name = fmt::format("hello-{}-00001", i);
    revision.meta.annotations[std::string(api::kCodeAnnotation)] = "sha256:" + std::string(64, 'a');
    revision.spec.containers.emplace_back().image = fmt::format("ebb.dev/runtimes/r{}", i % 100);
    host.announce(revision);
    ASSERT_TRUE(host.add(revision));
    throttlers.push_back(traffic.find(revision.meta.uid));
    autoscaler.wake(revision.meta.uid);  // no pod comes: it waits in line
    if (i % 2 == 0) {
      const std::string pod = fmt::format("pod-{}", i);
      scheduler.on_message("local", node::PodCold{pod, fmt::format("r{}", i % 100)});
      scheduler.on_message("local", node::PodReady{pod, 1});
    }
    host.remove(revision.meta.uid);
    if (i % 2 == 0) {
      scheduler.on_message("local", node::PodGone{fmt::format("pod-{}", i), "Stopped", ""});
    }
    executor.run_until(TimePoint{});
    static_cast<void>(autoscaler.take_rescaled());
    if (i == kCycles / 2) after_warm_up = mallinfo2().uordblks;
  }
  for (const auto& throttler : throttlers) EXPECT_TRUE(throttler.expired());
  EXPECT_TRUE(scheduler.pods().empty());
  EXPECT_TRUE(autoscaler.list().empty());
  EXPECT_EQ(autoscaler.active(), 0u);
  // The list of weak pointers above grows; nothing else does.
  const size_t grown = mallinfo2().uordblks - std::min(after_warm_up, mallinfo2().uordblks);
  EXPECT_LT(grown, size_t{4} << 20);
}

TEST(RevisionHostTest, WhetherCodeStaysLoadedIsTheRevisionsOwnWishFirst) {
  using scheduling::Preload;
  net::Executor executor("control");
  const FakeClock clock;
  serving::Traffic traffic;
  Scheduler scheduler({.pods_folder = "/run"}, clock);
  AutoScaler autoscaler(executor, traffic, scheduler, clock);
  RevisionHost never(traffic, scheduler, autoscaler, clock);
  RevisionHost automatic(traffic, scheduler, autoscaler, clock, {}, nullptr, nullptr,
                         Preload::kAutomatic);
  auto preload = [number = 0](RevisionHost& host, const char* wish) mutable {
    api::Revision revision;
    revision.meta.uid = fmt::format("uid-{}", ++number);
    revision.meta.annotations[std::string(api::kCodeAnnotation)] = "sha256:" + std::string(64, 'a');
    if (wish) revision.meta.annotations[std::string(api::kPreloadAnnotation)] = wish;
    revision.spec.containers.emplace_back().image = "ebb.dev/runtimes/python";
    EXPECT_TRUE(host.add(revision));
    return host.find(revision.meta.uid)->preload;
  };
  EXPECT_EQ(preload(never, nullptr), Preload::kNever);
  EXPECT_EQ(preload(never, "auto"), Preload::kAutomatic);
  EXPECT_EQ(preload(never, "true"), Preload::kAlways);
  EXPECT_EQ(preload(automatic, nullptr), Preload::kAutomatic);
  EXPECT_EQ(preload(automatic, "false"), Preload::kNever);
  EXPECT_EQ(preload(automatic, "true"), Preload::kAlways);
}

}  // namespace
}  // namespace ebb::control
