#include "serving/failure_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "http/talk_fixture.h"

namespace ebb::serving {
namespace {

using testing::HasSubstr;

class FailureLogTest : public testing::Test {
 protected:
  FailureLogTest() {
    log::init("", log::Level::kInfo);
    auto route = std::make_shared<Route>();
    route->ns = "default";
    route->name = "hello";
    record_.route = route;
    record_.refused = Refusal::kQueueFull;
    record_.status = 503;
    head_.method = "GET";
    testing::internal::CaptureStderr();
  }
  ~FailureLogTest() override { log::init("test", log::Level::kInfo); }
  void fail(int times) {
    for (int i = 0; i < times; ++i) log_->write(head_, record_);
  }

  net::Executor executor_{"test"};
  RequestRecord record_;
  http::RequestHead head_;
  std::optional<FailureLog> log_{std::in_place, executor_};
};

TEST_F(FailureLogTest, TheRestIsCountedAndToldWhenTheSecondEnds) {
  fail(FailureLog::kLines + 7);
  executor_.run_until(executor_.now() + std::chrono::milliseconds(1500));
  fail(1);
  log_.reset();
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(http::times(text, "request failed: status=503 reason=queue_full namespace=default "),
            static_cast<size_t>(FailureLog::kLines + 1));
  EXPECT_THAT(text, HasSubstr("7 more requests failed in a second"));
  EXPECT_LT(text.find("7 more"), text.rfind("request failed"));
}

TEST_F(FailureLogTest, WhatIsLeftIsToldAtTheEnd) {
  fail(FailureLog::kLines + 2);
  log_.reset();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("2 more requests failed"));
}

}  // namespace
}  // namespace ebb::serving
