#include "cli/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "cli/cli.h"

namespace ebb::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Args = std::vector<std::string>;

template <class T>
T command(const Args& args) {
  const auto invocation = parse(args);
  EXPECT_TRUE(invocation) << invocation.error().err;
  if (!invocation || !std::holds_alternative<T>(invocation->command)) {
    ADD_FAILURE() << "another command";
    return {};
  }
  return std::get<T>(invocation->command);
}

void expect_usage_error(const Args& args, const std::string& why) {
  const auto invocation = parse(args);
  ASSERT_FALSE(invocation);
  EXPECT_EQ(invocation.error().code, kExitUsage);
  EXPECT_THAT(invocation.error().err, HasSubstr(why));
}

// Sets a variable for one test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

TEST(OptionsTest, UpHasDefaults) {
  const auto up = command<UpOptions>({"up"});
  EXPECT_EQ(up.data, "/var/lib/ebb");
  EXPECT_EQ(up.gateway.to_string(), "127.0.0.1:8080");
  EXPECT_EQ(up.api.to_string(), "127.0.0.1:8081");
  EXPECT_EQ(up.domain, "localhost");
  EXPECT_EQ(up.pool, -1);
  EXPECT_EQ(up.log_level, log::Level::kInfo);
}

TEST(OptionsTest, UpTakesFlagsAndDataOnEitherSide) {
  const auto up =
      command<UpOptions>({"up", "--data", "d", "--gateway", ":0", "--api", "[::1]:0", "--pool=3",
                          "--domain", "x.org", "--runtimes", "r", "--log-level", "debug"});
  EXPECT_EQ(up.data, "d");
  EXPECT_EQ(up.gateway.host, "0.0.0.0");
  EXPECT_EQ(up.api.host, "::1");
  EXPECT_EQ(up.pool, 3);
  EXPECT_EQ(up.runtimes, "r");
  EXPECT_EQ(up.log_level, log::Level::kDebug);
  EXPECT_EQ(command<UpOptions>({"--data", "d", "up"}).data, "d");
}

TEST(OptionsTest, VariablesStandInForFlags) {
  const Variable pool("EBB_POOL", "5");
  const Variable data("EBB_DATA", "from-env");
  const Variable level("EBB_LOG_LEVEL", "warn");
  EXPECT_EQ(command<UpOptions>({"up"}).pool, 5);
  EXPECT_EQ(command<UpOptions>({"up"}).data, "from-env");
  EXPECT_EQ(command<UpOptions>({"up"}).log_level, log::Level::kWarn);
  EXPECT_EQ(command<UpOptions>({"up", "--pool", "6", "--data", "x"}).pool, 6);
  EXPECT_EQ(command<UpOptions>({"up", "--pool", "6", "--data", "x"}).data, "x");
}

TEST(OptionsTest, Deploy) {
  const auto deploy = command<DeployOptions>(
      {"deploy",        "--env",  "A=1",          "hello",
       "--runtime",     "python", "--code",       "dir",
       "--env",         "B=x=y",  "--timeout",    "1m30s",
       "--min",         "0",      "--max",        "3",
       "--concurrency", "10",     "--annotation", "autoscaling.knative.dev/window=10s",
       "--no-wait"});
  EXPECT_EQ(deploy.name, "hello");
  EXPECT_EQ(deploy.code, "dir");
  EXPECT_THAT(deploy.env, ElementsAre(KeyValue("A", "1"), KeyValue("B", "x=y")));
  EXPECT_THAT(deploy.annotations, ElementsAre(KeyValue("autoscaling.knative.dev/window", "10s")));
  EXPECT_EQ(deploy.timeout, std::chrono::seconds(90));
  EXPECT_EQ(deploy.concurrency, 10);
  EXPECT_EQ(deploy.min, 0);
  EXPECT_FALSE(deploy.wait);
  const auto plain =
      command<DeployOptions>({"deploy", "hello", "--runtime", "python", "--code", "dir"});
  EXPECT_TRUE(plain.wait);
  EXPECT_EQ(plain.concurrency, std::nullopt);
  EXPECT_EQ(plain.wait_timeout, std::chrono::minutes(2));
}

TEST(OptionsTest, GetAndGlobals) {
  const auto invocation = parse({"get", "po", "-n", "team", "-o", "wide", "--server", "http://x"});
  ASSERT_TRUE(invocation) << invocation.error().err;
  EXPECT_EQ(invocation->connection.ns, "team");
  EXPECT_EQ(invocation->connection.server, "http://x");
  const auto& get = std::get<GetOptions>(invocation->command);
  EXPECT_EQ(get.kind, "po");
  EXPECT_EQ(get.output, Output::kWide);
  EXPECT_EQ(command<GetOptions>({"get", "ksvc", "hello"}).name, "hello");
  EXPECT_EQ(command<DeleteOptions>({"delete", "service", "hello"}).name, "hello");
  (void)command<VersionOptions>({"version"});
}

TEST(OptionsTest, WrongUsageIsSaid) {
  expect_usage_error({}, "deploy");
  expect_usage_error({"fly"}, "fly");
  expect_usage_error({"get", "cats"}, "not a kind of resource");
  expect_usage_error({"get", "ksvc", "../x"}, "is not a name");
  expect_usage_error({"get", "ksvc", "x", "-A"}, "cannot be combined");
  expect_usage_error({"get", "ksvc", "-o", "yaml"}, "yaml");
  expect_usage_error({"get", "ksvc", "-n", "a/b"}, "is not a name");
  expect_usage_error({"delete", "service"}, "NAME");
  expect_usage_error({"up", "--gateway", "nonsense"}, "--gateway");
  expect_usage_error({"up", "--pool", "-1"}, "--pool");
  const Args deploy{"deploy", "hello", "--runtime", "python", "--code", "dir"};
  const auto with = [&deploy](Args more) {
    more.insert(more.begin(), deploy.begin(), deploy.end());
    return more;
  };
  expect_usage_error({"deploy", "hello"}, "--runtime");
  expect_usage_error({"deploy", "Hello", "--runtime", "python", "--code", "d"}, "service name");
  expect_usage_error(with({"--env", "novalue"}), "KEY=VALUE");
  expect_usage_error(with({"--timeout", "1.5s"}), "whole seconds");
  expect_usage_error(with({"--timeout", "soon"}), "--timeout");
  expect_usage_error(with({"--min", "3", "--max", "2"}), "more than --max");
  expect_usage_error(with({"--concurrency", "1001"}), "--concurrency");
}

TEST(OptionsTest, HelpIsNoError) {
  const auto help = parse({"--help"});
  ASSERT_FALSE(help);
  EXPECT_EQ(help.error().code, kExitOk);
  EXPECT_THAT(help.error().out, HasSubstr("deploy"));
  EXPECT_THAT(parse({"up", "--help"}).error().out, HasSubstr("EBB_GATEWAY"));
}

TEST(OptionsTest, RunHandsUpItsOptionsAndReturnsItsCode) {
  std::ostringstream out;
  std::ostringstream err;
  Console console{out, err};
  std::string data;
  const auto up = [&data](const UpOptions& options) {
    data = options.data;
    return 7;
  };
  EXPECT_EQ(run(Args{"up", "--data", "here"}, up, console), 7);
  EXPECT_EQ(data, "here");
  EXPECT_EQ(run(Args{"nonsense"}, up, console), kExitUsage);
  EXPECT_NE(err.str(), "");
}

}  // namespace
}  // namespace ebb::cli
