#include "cli/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "cli/cli.h"
#include "sim/compare.h"

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
  EXPECT_FALSE(up.settings.pool);
  EXPECT_EQ(up.settings.log_level, log::Level::kInfo);
}

TEST(OptionsTest, UpTakesFlagsAndDataOnEitherSide) {
  const auto up =
      command<UpOptions>({"up", "--data", "d", "--gateway", ":0", "--api", "[::1]:0", "--pool=3",
                          "--domain", "x.org", "--runtimes", "r", "--log-level", "debug"});
  EXPECT_EQ(up.data, "d");
  EXPECT_EQ(up.gateway.host, "0.0.0.0");
  EXPECT_EQ(up.api.host, "::1");
  EXPECT_EQ(up.settings.pool, (scheduling::PoolSize{3, 3}));
  EXPECT_EQ(up.runtimes, "r");
  EXPECT_EQ(up.settings.log_level, log::Level::kDebug);
  EXPECT_EQ(command<UpOptions>({"--data", "d", "up"}).data, "d");
}

TEST(OptionsTest, VariablesStandInForFlags) {
  const Variable pool("EBB_POOL", "5");
  const Variable data("EBB_DATA", "from-env");
  const Variable level("EBB_LOG_LEVEL", "warn");
  EXPECT_EQ(command<UpOptions>({"up"}).settings.pool, (scheduling::PoolSize{5, 5}));
  EXPECT_EQ(command<UpOptions>({"up"}).data, "from-env");
  EXPECT_EQ(command<UpOptions>({"up"}).settings.log_level, log::Level::kWarn);
  EXPECT_EQ(command<UpOptions>({"up", "--pool", "6-9", "--data", "x"}).settings.pool,
            (scheduling::PoolSize{6, 9}));
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

TEST(OptionsTest, DeployTakesVariablesAway) {
  const Args line{"deploy", "hello", "--runtime", "python", "--code", "dir"};
  const auto with = [&line](Args more) {
    more.insert(more.begin(), line.begin(), line.end());
    return more;
  };
  const auto deploy = command<DeployOptions>(with({"--env", "A-", "--env", "B=2-"}));
  EXPECT_THAT(deploy.unset_env, ElementsAre("A"));
  EXPECT_THAT(deploy.env, ElementsAre(KeyValue("B", "2-")));
  expect_usage_error(with({"--env", "A-", "--env", "A=1"}), "A is both set and taken away");
  expect_usage_error(with({"--env", "-"}), "KEY=VALUE, or KEY-");
}

TEST(OptionsTest, AVariableHasAValueOfARepeatedFlagInEachLine) {
  const Variable env("EBB_ENV", "A=1\n\nB=2 3\nC-\n");
  const Variable annotation("EBB_ANNOTATION", "a/b=1\na/c=2");
  const Args line{"deploy", "hello", "--runtime", "python", "--code", "dir"};
  const auto deploy = command<DeployOptions>(line);
  EXPECT_THAT(deploy.env, ElementsAre(KeyValue("A", "1"), KeyValue("B", "2 3")));
  EXPECT_THAT(deploy.unset_env, ElementsAre("C"));
  EXPECT_THAT(deploy.annotations, ElementsAre(KeyValue("a/b", "1"), KeyValue("a/c", "2")));
  Args given = line;
  given.insert(given.end(), {"--env", "TEXT=two\nlines"});
  EXPECT_THAT(command<DeployOptions>(given).env, ElementsAre(KeyValue("TEXT", "two\nlines")));
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
  EXPECT_THAT(command<DeleteOptions>({"delete", "service", "a", "b"}).names, ElementsAre("a", "b"));
  (void)command<VersionOptions>({"version"});
}

TEST(OptionsTest, WrongUsageIsSaid) {
  expect_usage_error({}, "deploy");
  expect_usage_error({"fly"}, "fly");
  expect_usage_error({"get", "cats"}, "not a kind of resource");
  expect_usage_error({"get", "ksvc", "../x"}, "is not a name");
  expect_usage_error({"get", "ksvc", "x", "-A"}, "cannot be combined");
  expect_usage_error({"get", "ksvc", "-o", "xml"}, "xml");
  expect_usage_error({"get", "ksvc", "x", "-l", "a=b"}, "cannot be combined");
  expect_usage_error({"get", "ksvc", "-n", "a/b"}, "is not a name");
  expect_usage_error({"delete", "service"}, "NAME");
  expect_usage_error({"delete", "service", "x", "--all"}, "say what to delete");
  expect_usage_error({"delete", "service", "-f", "x.yaml"}, "say what to delete");
  expect_usage_error({"apply"}, "--filename");
  expect_usage_error({"restore", "x.tar"}, "--data");
  expect_usage_error({"up", "--gateway", "nonsense"}, "gateway");
  expect_usage_error({"up", "--pool", "-1"}, "pool");
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
  expect_usage_error(with({"--memory", "much"}), "--memory");
  expect_usage_error(with({"--cpu", "-1"}), "--cpu");
  expect_usage_error(with({"--network", "all"}), "--network");
}

TEST(OptionsTest, DeployTakesAPortWithAName) {
  const auto with = [](const char* text) {
    return Args{"deploy", "hello", "--runtime", "exec", "--code", "dir", "--port", text};
  };
  const auto port = [&](const char* text) {
    const auto of = command<DeployOptions>(with(text));
    return std::pair(of.port_name, of.port.value_or(0));
  };
  EXPECT_EQ(port("9000"), std::pair(std::string(), 9000));
  EXPECT_EQ(port("h2c"), std::pair(std::string("h2c"), 8080));
  EXPECT_EQ(port("h2c:50051"), std::pair(std::string("h2c"), 50051));
  for (const char* bad : {"http", "0", "70000", "h2:80", "h2c:", ":80", "80x"}) {
    expect_usage_error(with(bad), "--port");
  }
}

TEST(OptionsTest, DeployTakesLimitsAndToolOptions) {
  const auto deploy = command<DeployOptions>(
      {"deploy", "hello", "--runtime", "anything", "--code", "dir", "--memory", "128Mi", "--cpu",
       "500m", "--network", "none", "--pip-option=--no-index", "--pip-option=--find-links=w",
       "--npm-option=--offline", "--no-call", "--no-install"});
  EXPECT_EQ(deploy.memory, "128Mi");
  EXPECT_EQ(deploy.cpu, "500m");
  EXPECT_EQ(deploy.network, "none");
  EXPECT_THAT(deploy.pip_options, ElementsAre("--no-index", "--find-links=w"));
  EXPECT_THAT(deploy.npm_options, ElementsAre("--offline"));
  EXPECT_FALSE(deploy.call);
  EXPECT_FALSE(deploy.install);
}

TEST(OptionsTest, Traffic) {
  const auto traffic =
      command<TrafficOptions>({"traffic", "hello", "--revision", "hello-00001=90", "--revision",
                               "@latest=10%", "--tag", "next=@latest", "--untag", "old"});
  EXPECT_THAT(traffic.revisions, ElementsAre(std::pair<std::string, int>("hello-00001", 90),
                                             std::pair<std::string, int>("@latest", 10)));
  EXPECT_THAT(traffic.tags, ElementsAre(KeyValue("next", "@latest")));
  EXPECT_THAT(traffic.untag, ElementsAre("old"));
  expect_usage_error({"traffic", "hello"}, "say what changes");
  expect_usage_error({"traffic", "hello", "--revision", "a=60"}, "sum to 60");
  expect_usage_error({"traffic", "hello", "--revision", "a=101"}, "0 to 100");
  expect_usage_error({"traffic", "hello", "--revision", "a=1x"}, "0 to 100");
  expect_usage_error({"traffic", "hello", "--revision", "a=50", "--revision", "a=50"}, "twice");
  expect_usage_error({"traffic", "hello", "--revision", "@newest=100"}, "@latest");
  expect_usage_error({"traffic", "hello", "--tag", "A=b"}, "is not a tag");
  EXPECT_EQ(command<RollbackOptions>({"rollback", "hello", "--to", "hello-00001"}).to,
            "hello-00001");
}

TEST(OptionsTest, Invoke) {
  const auto invoke = command<InvokeOptions>({"invoke", "hello", "-d", "", "-H", "A: b: c", "-X",
                                              "PUT", "--path", "x?y=1", "-i", "--no-fail"});
  EXPECT_EQ(invoke.body, "");
  EXPECT_THAT(invoke.headers, ElementsAre(KeyValue("A", "b: c")));
  EXPECT_EQ(invoke.method, "PUT");
  EXPECT_EQ(invoke.path, "/x?y=1");
  EXPECT_TRUE(invoke.include);
  EXPECT_FALSE(invoke.fail);
  EXPECT_EQ(command<InvokeOptions>({"invoke", "hello"}).body, std::nullopt);
  expect_usage_error({"invoke", "hello", "-H", "novalue"}, "--header");
  expect_usage_error({"invoke", "hello", "--timeout", "0"}, "--timeout");
}

TEST(OptionsTest, Logs) {
  const auto logs = command<LogsOptions>({"logs", "hello", "-f", "--since", "5m", "--tail", "3"});
  EXPECT_TRUE(logs.follow);
  EXPECT_EQ(logs.since, std::chrono::minutes(5));
  EXPECT_EQ(logs.tail, 3);
  expect_usage_error({"logs"}, "whose logs");
  expect_usage_error({"logs", "hello", "--since", "yesterday"}, "--since");
}

// Every command says how it is used, with an example, and every flag has its variable.
TEST(OptionsTest, EveryCommandHasHelpWithAnExample) {
  for (const char* name :
       {"up", "deploy", "apply", "get", "describe", "delete", "invoke", "logs", "top", "traffic",
        "rollback", "backup", "restore", "simulate", "runtimes", "version", "completion", "help"}) {
    const auto help = parse({name, "-h"});
    ASSERT_FALSE(help) << name;
    EXPECT_EQ(help.error().code, kExitOk) << name;
    EXPECT_THAT(help.error().out, HasSubstr(std::string("Example:\n  "))) << name;
    EXPECT_THAT(help.error().out, HasSubstr(std::string("ebb ") + name)) << name;
    EXPECT_EQ(parse({"help", name}).error().out, help.error().out) << name;
    for (size_t at = 0; (at = help.error().out.find("\n  -", at)) != std::string::npos; ++at) {
      const std::string line =
          help.error().out.substr(at + 1, help.error().out.find('\n', at + 1) - at - 1);
      if (line.find("--help") == std::string::npos) {
        EXPECT_THAT(line, HasSubstr("EBB_")) << name;
      }
    }
  }
  EXPECT_THAT(parse({"help"}).error().out, HasSubstr("rollback"));
  EXPECT_EQ(parse({"help", "fly"}).error().code, kExitUsage);
}

TEST(OptionsTest, UnknownCommandsAreNamed) {
  const auto why = [](const Args& args) { return parse(args).error().err; };
  EXPECT_EQ(why({"bogus"}), "Error: unknown command \"bogus\": `ebb help` lists them\n");
  EXPECT_EQ(why({"delpoy", "x"}), "Error: unknown command \"delpoy\": did you mean \"deploy\"?\n");
  EXPECT_EQ(why({"-n", "team", "gets"}),
            "Error: unknown command \"gets\": did you mean \"get\"?\n");
  EXPECT_THAT(why({"--bogus"}), HasSubstr("--bogus"));
  EXPECT_THAT(why({"get", "services", "a", "b"}), HasSubstr("not expected: b"));
}

TEST(OptionsTest, AVariableThatIsWrongIsNamed) {
  {
    const Variable no_wait("EBB_NO_WAIT", "maybe");
    expect_usage_error({"deploy", "x", "--runtime", "python", "--code", "dir"},
                       "Error: EBB_NO_WAIT of the environment: \"maybe\" must be true or false");
  }
  const Variable output("EBB_OUTPUT", "xml");
  expect_usage_error({"get", "services"}, "Error: EBB_OUTPUT of the environment: --output: xml");
  const auto given = parse({"get", "services", "-o", "pdf"});
  EXPECT_EQ(given.error().err.find("EBB_OUTPUT"), std::string::npos) << "the flag was wrong";
  EXPECT_EQ(command<GetOptions>({"get", "services", "-o", "json"}).output, Output::kJson);
}

TEST(OptionsTest, AnotherCommandsVariablesDoNotMatter) {
  const Variable output("EBB_OUTPUT", "yaml");  // of which `ebb simulate` knows nothing
  EXPECT_EQ(command<GetOptions>({"get", "services"}).output, Output::kYaml);
  expect_usage_error({"simulate", "x.csv"}, "EBB_OUTPUT of the environment");
}

TEST(OptionsTest, VersionIsAFlagToo) {
  (void)command<VersionOptions>({"--version"});
  const Variable other("EBB_VERSION", "1.2.3");
  (void)command<GetOptions>({"get", "services"});
}

TEST(OptionsTest, HelpOfACommandInACommand) {
  const auto help = parse({"help", "policy", "check"});
  EXPECT_EQ(help.error().code, kExitOk);
  EXPECT_THAT(help.error().out, HasSubstr("Usage: ebb policy check [OPTIONS] FILE"));
  EXPECT_EQ(help.error().out, parse({"policy", "check", "-h"}).error().out);
  EXPECT_THAT(parse({"help", "policy", "fly"}).error().err,
              HasSubstr("\"policy fly\" is not a command"));
}

TEST(OptionsTest, KindAndNameMayBeOneWord) {
  const auto get = command<GetOptions>({"get", "service/hello"});
  EXPECT_EQ(get.kind, "service");
  EXPECT_EQ(get.name, "hello");
  EXPECT_EQ(command<DescribeOptions>({"describe", "po/p1"}).name, "p1");
  const auto remove = command<DeleteOptions>({"delete", "service.serving.knative.dev/a", "ksvc/b"});
  EXPECT_EQ(remove.kind, "service.serving.knative.dev");
  EXPECT_THAT(remove.names, ElementsAre("a", "b"));
  expect_usage_error({"get", "service/a", "service/b"}, "only one can be named");
  expect_usage_error({"get", "service/a", "b"}, "not of the form KIND/NAME");
  expect_usage_error({"get", "service/"}, "names nothing");
  expect_usage_error({"get", "cats/a"}, "not a kind of resource");
  expect_usage_error({"get", "service/a/b"}, "is not a name");
  expect_usage_error({"describe", "service"}, "NAME is required");
  expect_usage_error({"delete", "service/a", "route/a"}, "one kind at a time");
  expect_usage_error({"delete", "service/a", "--all"}, "say what to delete");
}

TEST(OptionsTest, ShortNamesOfKinds) {
  for (const char* kind : {"ksvc", "rev", "rt", "cfg", "config", "po", "no", "hpa", "kpa", "ev"}) {
    (void)command<GetOptions>({"get", kind});
  }
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

TEST(OptionsTest, SimulateTakesPoliciesAndMachines) {
  const auto plain = command<SimulateOptions>({"simulate", "calls.csv"});
  EXPECT_EQ(plain.compare->run.trace.path, "calls.csv");
  EXPECT_THAT(plain.compare->policies, ElementsAre("kpa", "adaptive", "fixed:10m", "hybrid"));
  EXPECT_EQ(plain.output, SimulateOptions::Output::kTable);
  EXPECT_FALSE(plain.compare->run.reading.lenient);
  EXPECT_FALSE(plain.compare->run.cluster);
  const auto full = command<SimulateOptions>({"simulate",
                                              "--policy",
                                              "adaptive,window=30s",
                                              "--policy",
                                              "fixed:10m",
                                              "t.csv",
                                              "--nodes",
                                              "20",
                                              "--node-memory",
                                              "16Gi",
                                              "--cold-start",
                                              "python=1ms",
                                              "--seed",
                                              "7",
                                              "--until",
                                              "2h",
                                              "-o",
                                              "html",
                                              "--lenient",
                                              "--min-nodes",
                                              "0",
                                              "--pool",
                                              "3",
                                              "--pod-create",
                                              "20ms",
                                              "--spread",
                                              "uniform",
                                              "--node-policy",
                                              "average,target=0.8",
                                              "--node-boot",
                                              "2m"});
  EXPECT_THAT(full.compare->policies, ElementsAre("adaptive,window=30s", "fixed:10m"));
  EXPECT_EQ(full.compare->run.cluster->max_nodes, 20);
  EXPECT_EQ(full.compare->node_memory_mb, 16384);
  EXPECT_EQ(full.compare->run.start, "1ms");
  EXPECT_EQ(full.compare->run.arrivals.seed, 7);
  EXPECT_EQ(full.compare->run.arrivals.spread, sim::Spread::kUniform);
  EXPECT_EQ(plain.compare->run.arrivals.spread, sim::Spread::kEquidistant);
  EXPECT_EQ(full.compare->run.arrivals.until, std::chrono::hours(2));
  EXPECT_EQ(full.output, SimulateOptions::Output::kHtml);
  EXPECT_TRUE(full.compare->run.reading.lenient);
  EXPECT_EQ(full.compare->run.cluster->min_nodes, 0);
  EXPECT_EQ(full.compare->run.cluster->pool, 3);
  EXPECT_EQ(full.compare->run.cluster->pod_create, std::chrono::milliseconds(20));
  EXPECT_EQ(full.compare->run.cluster->node_boot, std::chrono::minutes(2));
  EXPECT_EQ(full.compare->run.node_policy, "average,target=0.8");
  EXPECT_EQ(command<SimulateOptions>({"simulate", "t", "-o", "json"}).output,
            SimulateOptions::Output::kJson);
}

TEST(OptionsTest, SimulateRefusesWhatMakesNoSense) {
  expect_usage_error({"simulate"}, "TRACE");
  expect_usage_error({"simulate", "t", "--cold-start", "soon"}, "--cold-start: \"soon\"");
  expect_usage_error({"simulate", "t", "--cold-start", "cobol=1ms"},
                     "--cold-start: there is no runtime \"cobol\"; there are: exec, node, python");
  expect_usage_error({"simulate", "t", "--cold-start", "=1ms"}, "there is no runtime \"\"");
  expect_usage_error({"simulate", "t", "--spread", "wide"},
                     "--spread: wide not in {equidistant,aligned,uniform,exponential,start}");
  expect_usage_error({"simulate", "t", "--node-memory", "16Gi"}, "--nodes must say");
  expect_usage_error({"simulate", "t", "--nodes", "2", "--node-memory", "x"}, "such as 16Gi");
  expect_usage_error({"simulate", "t", "--nodes", "2", "--node-memory", "1Gi", "--node-slots", "3"},
                     "exclude each other");
  expect_usage_error({"simulate", "t", "--until", "0"}, "--until must be above 0");
  expect_usage_error({"simulate", "t", "--nodes", "0"}, "--nodes");
  expect_usage_error({"simulate", "t", "--nodes", "2", "--min-nodes", "3"}, "0 to --nodes, 2");
  expect_usage_error({"simulate", "t", "--nodes", "2", "--node-slots", "0"}, "--node-slots");
  expect_usage_error({"simulate", "t", "--pool", "3"}, "--nodes must say");
  expect_usage_error({"simulate", "t", "--node-policy", "kpa"}, "--nodes must say");
  expect_usage_error({"simulate", "t", "--nodes", "2", "--pool", "65"}, "0 to --node-slots, 64");
  expect_usage_error({"simulate", "t", "--nodes", "2", "--pod-create", "x"}, "--pod-create: \"x\"");
  expect_usage_error({"simulate", "t", "--concurrency", "1001"}, "--concurrency");
  expect_usage_error({"simulate", "t", "-o", "pdf"}, "pdf");
}

}  // namespace
}  // namespace ebb::cli
