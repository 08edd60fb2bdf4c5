// Quantities, durations, times, conditions, kinds.
#include <gtest/gtest.h>

#include "api/duration.h"
#include "api/kinds.h"
#include "api/object.h"
#include "api/quantity.h"
#include "api/types.h"

namespace ebb::api {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Quantity, Bytes) {
  EXPECT_EQ(parse_bytes("128Mi"), 128 << 20);
  EXPECT_EQ(parse_bytes("1.5Gi"), 1610612736);
  EXPECT_EQ(parse_bytes("100M"), 100'000'000);
  EXPECT_EQ(parse_bytes("1e3"), 1000);
  EXPECT_EQ(parse_bytes("12E2"), 1200);
  EXPECT_EQ(parse_bytes("0"), 0);
  EXPECT_EQ(parse_bytes("7Ei"), 7LL << 60);
  EXPECT_EQ(parse_bytes("100m"), 1) << "rounded up";
  EXPECT_EQ(parse_bytes("1e-400"), 1);
}

TEST(Quantity, Millicores) {
  EXPECT_EQ(parse_millicores("500m"), 500);
  EXPECT_EQ(parse_millicores("2"), 2000);
  EXPECT_EQ(parse_millicores("0.3"), 300);
  EXPECT_EQ(parse_millicores("0.0001"), 1);
  EXPECT_EQ(parse_millicores("1.001"), 1001);
}

TEST(Quantity, RefusesTheRest) {
  for (const char* text : {"", "Mi", "-1", "1.2.3", "1 Gi", "1gi", "0x10", "1e", "8Ei", "1e400",
                           ".", "+1", "inf", "nan", "1e1.5"}) {
    EXPECT_FALSE(parse_bytes(text)) << text;
  }
}

TEST(DurationText, ReadsWhatGoWrites) {
  EXPECT_EQ(parse_duration("60s"), seconds(60));
  EXPECT_EQ(parse_duration("1m30s"), seconds(90));
  EXPECT_EQ(parse_duration("1h0m0.5s"), seconds(3600) + milliseconds(500));
  EXPECT_EQ(parse_duration("300ms"), milliseconds(300));
  EXPECT_EQ(parse_duration("0"), seconds(0));
  EXPECT_EQ(parse_duration("-1s"), seconds(-1));
  for (const char* text : {"", "60", "s", "1x", "1s-", "-", "1 s", "1e3s", "999999999h", "infs"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(DurationText, WritesWhatItReads) {
  for (auto d : {seconds(0), seconds(6), seconds(90), seconds(3600), seconds(3661)}) {
    EXPECT_EQ(parse_duration(format_duration(d)), d) << format_duration(d);
  }
  EXPECT_EQ(format_duration(seconds(90)), "1m30s");
  EXPECT_EQ(format_duration(milliseconds(1500)), "1.5s");
}

TEST(Rfc3339, BothWays) {
  WallTime when = std::chrono::sys_days{std::chrono::year{2026} / 2 / 28} + seconds(86399);
  EXPECT_EQ(to_rfc3339(when), "2026-02-28T23:59:59Z");
  EXPECT_EQ(from_rfc3339("2026-02-28T23:59:59Z"), when);
  EXPECT_EQ(from_rfc3339("2026-02-28T23:59:59.123456Z"), when);
  for (const char* text :
       {"", "2026-02-30T00:00:00Z", "2026-02-28", "2026-02-28T24:00:00Z", "2026-02-28T23:59:59",
        "2026-02-28T23:59:59.Z", "2026-02-28T23:59:59+01:00", "0001-01-01T00:00:00Z"}) {
    EXPECT_FALSE(from_rfc3339(text)) << text;
  }
}

TEST(Conditions, TransitionTimeMovesOnlyWithTheStatus) {
  FakeClock clock;
  std::vector<Condition> conditions;
  set_condition(conditions, {"Ready", Condition::Status::kUnknown, "Deploying", "", ""},
                clock.wall());
  std::string first = conditions[0].last_transition_time;
  clock.advance(seconds(5));
  set_condition(conditions, {"Ready", Condition::Status::kUnknown, "Starting", "", ""},
                clock.wall());
  EXPECT_EQ(conditions[0].reason, "Starting");
  EXPECT_EQ(conditions[0].last_transition_time, first);
  set_condition(conditions, {"Ready", Condition::Status::kTrue, "", "", ""}, clock.wall());
  EXPECT_EQ(conditions[0].last_transition_time, to_rfc3339(clock.wall()));
  EXPECT_EQ(conditions.size(), 1U);
  EXPECT_NE(find_condition(conditions, "Ready"), nullptr);
  EXPECT_EQ(find_condition(conditions, "Active"), nullptr);
}

TEST(Kinds, AreFoundByWhatUsersType) {
  for (const char* name : {"services", "service", "ksvc", "Service", "KSVC",
                           "services.serving.knative.dev", "ksvc.serving.knative.dev"}) {
    EXPECT_EQ(find_kind(name), &Service::kind()) << name;
  }
  EXPECT_EQ(find_kind("rev"), &Revision::kind());
  EXPECT_EQ(find_kind("cfg"), &Configuration::kind());
  EXPECT_EQ(find_kind("config"), &Configuration::kind());
  EXPECT_EQ(find_kind("rt"), &Route::kind());
  EXPECT_EQ(find_kind("po"), &Pod::kind());
  EXPECT_EQ(find_kind("no"), &Node::kind());
  EXPECT_EQ(find_kind("deployments"), nullptr);
  EXPECT_EQ(find_kind("services.apps"), nullptr);
}

TEST(Kinds, AreFoundByPathAndByObject) {
  EXPECT_EQ(find_kind("serving.knative.dev", "v1", "routes"), &Route::kind());
  EXPECT_EQ(find_kind("", "v1", "pods"), &Pod::kind());
  EXPECT_EQ(find_kind("", "v1", "services"), nullptr);
  EXPECT_EQ(find_kind_of("v1", "Node"), &Node::kind());
  EXPECT_EQ(find_kind_of("serving.knative.dev/v1", "Service"), &Service::kind());
  EXPECT_EQ(find_kind_of("serving.knative.dev/v2", "Service"), nullptr);
}

}  // namespace
}  // namespace ebb::api
