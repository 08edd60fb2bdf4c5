#include "serving/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serving/fakes.h"
#include "serving/traffic.h"

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;
using testing::Eq;
using testing::HasSubstr;
using testing::Not;

class MetricsTest : public testing::Test {
 protected:
  MetricsTest() {
    throttler_ = std::make_shared<Throttler>(
        ThrottlerOptions{.revision = "uid"}, source_, clock_,
        [](const std::string& /*pod*/, const std::string& /*error*/) {});
    Route route;
    route.ns = "default";
    route.name = "hello";
    Target target;
    target.backend.throttler = throttler_;
    target.backend.name = "hello-00001";
    target.backend.metrics =
        traffic_.add(throttler_, {.ns = "default", .service = "hello", .revision = "hello-00001"});
    route.targets.push_back(std::move(target));
    route_ = std::make_shared<const Route>(std::move(route));
  }
  RequestRecord record(int status, Duration took) {
    RequestRecord out;
    out.received_at = clock_.now();
    out.granted_at = out.received_at;
    out.ended_at = out.received_at + took;
    out.first_byte_at = out.ended_at;
    out.status = status;
    out.route = route_;
    out.backend = &route_->choose();
    return out;
  }

  FakeClock clock_;
  NoSource source_;
  Traffic traffic_{2};
  Metrics metrics_{traffic_, 2};
  std::shared_ptr<Throttler> throttler_;
  std::shared_ptr<const Route> route_;
};

TEST_F(MetricsTest, AddsUpWhatExecutorsCount) {
  metrics_.gateway(0).count(record(200, 7ms));
  metrics_.gateway(1).count(record(200, 30s));
  auto refused = record(503, 1ms);
  refused.refused = Refusal::kQueueFull;
  refused.waited = 1ms;
  refused.granted_at = {};
  metrics_.gateway(1).count(refused);
  const std::string text = metrics_.exposition();
  constexpr const char* kLabels = R"({namespace="default",service="hello",revision="hello-00001")";
  EXPECT_THAT(text, HasSubstr(fmt::format("ebb_requests_total{},code=\"2xx\"}} 2\n", kLabels)));
  EXPECT_THAT(text, HasSubstr(fmt::format("ebb_requests_total{},code=\"5xx\"}} 1\n", kLabels)));
  EXPECT_THAT(text, HasSubstr(fmt::format(
                        "ebb_requests_refused_total{},reason=\"queue_full\"}} 1\n", kLabels)));
  EXPECT_THAT(text, HasSubstr(fmt::format("ebb_request_duration_seconds_bucket{},le=\"0.01\"}} 2\n",
                                          kLabels)));
  EXPECT_THAT(text, HasSubstr(fmt::format("ebb_request_duration_seconds_bucket{},le=\"50\"}} 3\n",
                                          kLabels)));
  EXPECT_THAT(text,
              HasSubstr(fmt::format("ebb_request_duration_seconds_sum{}}} 30.008\n", kLabels)));
  EXPECT_THAT(text, HasSubstr(fmt::format("ebb_request_wait_seconds_count{}}} 1\n", kLabels)));
}

TEST_F(MetricsTest, ARevisionGoesWithItsNumbers) {
  metrics_.gateway(0).count(record(200, 1ms));
  EXPECT_THAT(metrics_.exposition(), HasSubstr("hello-00001"));
  traffic_.remove("uid");
  EXPECT_THAT(metrics_.exposition(), Not(HasSubstr("hello-00001")));
  metrics_.gateway(0).count(record(200, 1ms));  // one that was in flight
}

TEST_F(MetricsTest, WhoWasNeverCalledTakesNoRoom) {
  EXPECT_THAT(metrics_.exposition(), Not(HasSubstr("hello-00001")));
}

TEST_F(MetricsTest, CountsWhatHasNoRevision) {
  RequestRecord lost;
  lost.refused = Refusal::kNoRoute;
  lost.status = 404;
  metrics_.gateway(0).count(lost);
  metrics_.gateway(1).count(lost);
  EXPECT_THAT(metrics_.exposition(),
              HasSubstr("ebb_requests_unrouted_total{reason=\"no_route\"} 2"));
}

TEST_F(MetricsTest, AColdStartIsTakenApart) {
  throttler_->pod_added({"pod-1", "unix:/x", false});
  auto entry = throttler_->try_acquire();
  ASSERT_TRUE(entry.slot);
  auto cold = record(200, 10ms);
  cold.cold = cold.no_pods = true;
  cold.pod = entry.slot->shared_pod();
  cold.asked_at = cold.received_at + 1ms;
  cold.granted_at = cold.received_at + 3ms;
  EXPECT_FALSE(cold_start_of(cold).split);
  EXPECT_THAT(server_timing(cold), HasSubstr("start;dur=7.000, total;dur=10.000"));
  clock_.advance(8ms);
  throttler_->pod_ready("pod-1", 4ms);
  EXPECT_EQ(server_timing(cold),
            "queue;dur=1.000, schedule;dur=2.000, pod;dur=1.000, code;dur=4.000, app;dur=2.000, "
            "total;dur=10.000");
  metrics_.gateway(0).count(cold);
  const std::string text = metrics_.exposition();
  EXPECT_THAT(text, HasSubstr("ebb_cold_start_phase_seconds_sum{phase=\"code\"} 0.004"));
  EXPECT_THAT(text, HasSubstr("ebb_cold_start_phase_seconds_count{phase=\"first_byte\"} 1"));
  EXPECT_THAT(text, HasSubstr("ebb_cold_start_seconds_count 1"));
}

TEST_F(MetricsTest, OthersMayAddFamilies) {
  metrics_.add_collector([](Exposition& out) {
    out.family("ebb_pods", "gauge", "Pods, by state.");
    out.sample("ebb_pods", {{"state", "Cold"}}, 8);
  });
  EXPECT_THAT(metrics_.exposition(),
              HasSubstr("# HELP ebb_pods Pods, by state.\n# TYPE ebb_pods gauge\n"
                        "ebb_pods{state=\"Cold\"} 8\n"));
}

TEST(Exposition, EscapesWhatUsersName) {
  Exposition out;
  out.family("m", "gauge", "a\\b\nc");
  out.sample("m", {{"l", "q\"\\\n"}}, 0.25);
  EXPECT_THAT(out.take(), Eq("# HELP m a\\\\b\\nc\n# TYPE m gauge\nm{l=\"q\\\"\\\\\\n\"} 0.25\n"));
}

TEST(Exposition, HistogramsAreCumulative) {
  Exposition out;
  const std::array<double, 2> bounds{0.5, 1};
  const std::array<uint64_t, 3> counts{1, 2, 4};
  out.histogram("h", {}, bounds, counts, 9.5);
  EXPECT_THAT(
      out.take(),
      Eq("h_bucket{le=\"0.5\"} 1\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 7\nh_sum 9.5\n"
         "h_count 7\n"));
}

}  // namespace
}  // namespace ebb::serving
