#include "control/event_recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace ebb::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using EventType = EventRecorder::Type;

class EventRecorderTest : public testing::Test {
 protected:
  void record(const std::string& name, const std::string& reason, const std::string& message) {
    const EventRecorder::Subject about{"v1", "Thing", "default", name, "uid-" + name};
    events_.record(about, EventType::kNormal, reason, message);
  }
  static std::vector<std::string> lines(const std::vector<EventRecorder::Numbered>& events) {
    std::vector<std::string> out;
    for (const auto& one : events) {
      out.push_back(fmt::format("{} {} {}{}", one.event.involved.name, one.event.message,
                                one.event.count, one.gone ? " gone" : ""));
    }
    return out;
  }
  std::vector<std::string> changes(int64_t after) {
    std::vector<EventRecorder::Numbered> out;
    EXPECT_TRUE(events_.changes(after, &out));
    return lines(out);
  }

  FakeClock clock_;
  EventRecorder events_{clock_};
};

TEST_F(EventRecorderTest, TheSameAgainCountsUp) {
  record("a", "Scaled", "0 -> 1");
  record("b", "Scaled", "0 -> 1");
  clock_.advance(5s);
  record("a", "Scaled", "0 -> 1");
  EXPECT_THAT(lines(events_.list()), ElementsAre("b 0 -> 1 1", "a 0 -> 1 2"));
  const auto event = events_.list().back().event;
  EXPECT_EQ(event.first_timestamp, "2026-01-01T00:00:00Z");
  EXPECT_EQ(event.last_timestamp, "2026-01-01T00:00:05Z");
}

TEST_F(EventRecorderTest, OneReasonOfOneObjectCannotFillTheRing) {
  record("quiet", "Ready", "ready");
  for (int i = 0; i < 100'000; ++i) record("loud", "Scaled", std::to_string(i));
  const auto all = events_.list();
  EXPECT_EQ(all.size(), 1 + EventRecorder::kMaxPerReason);
  EXPECT_EQ(all.front().event.involved.name, "quiet");
  EXPECT_EQ(all.back().event.message, "99999");
}

TEST_F(EventRecorderTest, TheRingIsBounded) {
  for (size_t i = 0; i < EventRecorder::kMaxEvents + 10; ++i) {
    record("object-" + std::to_string(i), "Ready", "");
  }
  EXPECT_EQ(events_.list().size(), EventRecorder::kMaxEvents);
  EXPECT_EQ(events_.list().front().event.involved.name, "object-10");
}

TEST_F(EventRecorderTest, ALongMessageIsCutBetweenCharacters) {
  std::string message(EventRecorder::kMaxMessage - 1, 'x');
  for (int i = 0; i < 4; ++i) message += "\xc3\xa4";
  record("a", "Failed", message);
  EXPECT_EQ(events_.list().front().event.message.size(), EventRecorder::kMaxMessage - 1);
}

TEST_F(EventRecorderTest, ChangesAreToldInOrderAndOnce) {
  record("a", "Ready", "1");
  const int64_t seen = events_.version();
  record("b", "Ready", "1");
  record("a", "Ready", "1");
  EXPECT_THAT(changes(seen), ElementsAre("b 1 1", "a 1 2"));
  EXPECT_THAT(changes(events_.version()), ElementsAre());
  std::vector<EventRecorder::Numbered> out;
  EXPECT_FALSE(events_.changes(events_.version() + 1, &out)) << "of another process";
  EXPECT_FALSE(events_.changes(0, &out)) << "of another process";
}

TEST_F(EventRecorderTest, WhatLeavesTheRingIsToldToo) {
  record("a", "Scaled", "0");
  const int64_t seen = events_.version();
  for (size_t i = 1; i <= EventRecorder::kMaxPerReason; ++i) {
    record("a", "Scaled", std::to_string(i));
  }
  const auto told = changes(seen);
  EXPECT_EQ(told.size(), 1 + EventRecorder::kMaxPerReason);
  EXPECT_EQ(told.back(), "a 0 1 gone");
}

TEST_F(EventRecorderTest, ARevisionsEventsAreItsServicesToo) {
  scheduling::PodTemplate pod;
  pod.revision = "r-uid";
  pod.ns = "default";
  pod.name = "hello-00001";
  pod.service = "hello";
  pod.service_uid = "s-uid";
  events_.record(pod, EventType::kWarning, "StartFailed", "SyntaxError");
  const auto all = events_.list();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].event.involved.uid, "r-uid");
  EXPECT_EQ(all[1].event.involved.uid, "s-uid");
  EXPECT_EQ(all[1].event.message, "hello-00001: SyntaxError");
}

TEST_F(EventRecorderTest, ManyThreadsMayRecord) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 1000; ++i) record("object-" + std::to_string(t), "Ready", "same");
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& one : events_.list()) EXPECT_EQ(one.event.count, 1000);
}

}  // namespace
}  // namespace ebb::control
