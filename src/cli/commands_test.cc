// The client's commands against a small API that keeps one service in memory.
#include "cli/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "api/json.h"
#include "cli/cli.h"
#include "http/server.h"
#include "net/listener.h"

namespace ebb::cli {
namespace {

namespace fs = std::filesystem;
using api::Json;
using testing::HasSubstr;

constexpr const char* kServices = "/apis/serving.knative.dev/v1/namespaces/default/services";
constexpr const char* kService = "/apis/serving.knative.dev/v1/namespaces/default/services/hello";
constexpr const char* kBlobs = "/apis/ebb.dev/v1/blobs/";

Json status_error(int code, const std::string& reason, const std::string& message) {
  return {{"kind", "Status"}, {"code", code}, {"reason", reason}, {"message", message}};
}

// What the API answers is decided before the server starts; what it saw is read after
// it has stopped.
struct FakeApi final : http::Handler {
  std::string ready = "True";  // how the service ends up; "never": it stays unknown
  int conflicts = 0;           // patches to refuse before one is taken
  bool watch_is_cut = false;   // the watch ends without an event
  bool remade = false;         // what is deleted is made again at once, with another uid

  std::map<std::string, std::string> texts;  // answers to GET, by target
  std::string gateway;
  Json runtimes = Json::array();  // none: not known
  std::map<std::string, std::string> blobs;
  Json service;
  std::vector<std::string> log;    // "METHOD path"
  std::vector<Json> bodies;        // of POST and PATCH
  std::vector<std::string> hosts;  // of calls to functions

  net::Task<void> serve(http::Exchange& exchange) override {
    const std::string method(exchange.request().method);
    const std::string target(exchange.request().target);
    if (exchange.request().authority.ends_with("hello.default.localhost")) {
      hosts.emplace_back(exchange.request().authority);
      co_await answer_as_function(exchange);
      co_return;
    }
    const bool known = exchange.request().fields.get("Authorization") == "Bearer secret";
    auto body = co_await exchange.read_all(1 << 20);
    if (!body) co_return;
    if (known && target.find("watch=true") != std::string::npos) {
      co_await watch(exchange);
      co_return;
    }
    if (known && texts.contains(target)) {
      const std::string text = texts[target];
      log.push_back(method + " " + target);
      co_await exchange.respond(200, "text/plain", text);
      co_return;
    }
    const Reply reply = known ? reply_to(method, target, *body) : kUnauthorized;
    const std::string text = reply.json.dump();
    co_await exchange.respond(reply.status, "application/json", text);
  }

  // What the gateway would answer: it is here too.
  net::Task<void> answer_as_function(http::Exchange& exchange) {
    auto body = co_await exchange.read_all(1 << 20);
    if (!body) co_return;
    std::string text(exchange.request().method);
    text.append(" ").append(exchange.request().target).append(" ").append(*body);
    for (const http::Field& field : exchange.request().fields) {
      if (http::iequals(field.name, "X-In")) text.append(" ").append(field.value);
    }
    const int status = exchange.request().target == "/broken" ? 503 : 200;
    http::Fields extra;
    extra.add("X-Out", "yes");
    co_await exchange.respond(status, "text/plain", text, &extra);
  }

  struct Reply {
    int status = 200;
    Json json;
  };
  const Reply kUnauthorized{401, status_error(401, "Unauthorized", "Unauthorized")};

  Reply reply_to(const std::string& method, const std::string& target, const std::string& body) {
    log.push_back(method + " " + target);
    const std::string path = target.substr(0, target.find('?'));
    if (path.starts_with(kBlobs)) {
      const std::string name = path.substr(std::string_view(kBlobs).size());
      if (method == "PUT") blobs[name] = body;
      return {blobs.contains(name) ? 200 : 404, Json::object()};
    }
    if (path == "/apis/ebb.dev/v1/info") {
      return {200, {{"gateway", gateway}, {"version", "9.9"}, {"runtimes", runtimes}}};
    }
    if (path == kServices && method == "GET") return {200, {{"items", Json::array({service})}}};
    if (path == kServices) {
      bodies.push_back(Json::parse(body));
      declare(bodies.back());
      return {201, service};
    }
    if (path != kService || service.is_null()) {
      return {404, status_error(404, "NotFound", "services \"hello\" not found")};
    }
    if (method == "PATCH") return patch(body);
    if (watch_is_cut) settle();
    const Json answer = service;
    if (method == "DELETE" && remade) {
      service["metadata"]["uid"] = "new";
      return {200, {{"kind", "Status"}, {"details", {{"uid", answer["metadata"]["uid"]}}}}};
    }
    if (method == "DELETE") service = nullptr;
    return {200, answer};
  }

  Reply patch(const std::string& body) {
    if (conflicts-- > 0) return {409, status_error(409, "Conflict", "changed meanwhile")};
    bodies.push_back(Json::parse(body));
    Json changed = service;
    changed.merge_patch(bodies.back());
    declare(changed);
    return {200, service};
  }

  void declare(Json object) {
    const int generation = service.is_null() ? 1 : service["metadata"].value("generation", 0) + 1;
    service = std::move(object);
    service["metadata"]["generation"] = generation;
    service["metadata"]["resourceVersion"] = std::to_string(10 * generation);
  }
  // The status that controllers would write.
  void settle() {
    if (ready == "never") return;
    const std::string latest =
        fmt::format("hello-{:05}", service["metadata"]["generation"].get<int>());
    Json traffic = service["spec"].value("traffic", Json::array({{{"percent", 100}}}));
    for (Json& target : traffic) {
      if (!target.contains("revisionName")) target["revisionName"] = latest;
      if (target.contains("tag")) {
        target["url"] = "http://" + target["tag"].get<std::string>() + "-hello.default.localhost";
      }
    }
    service["status"] = {
        {"observedGeneration", service["metadata"]["generation"]},
        {"url", "http://hello.default.localhost"},
        {"latestCreatedRevisionName", latest},
        {"latestReadyRevisionName", latest},
        {"traffic", std::move(traffic)},
        {"conditions", Json::array({{{"type", "Ready"}, {"status", ready}, {"message", "it broke"}},
                                    {{"type", "RoutesReady"}, {"status", ready}}})}};
  }

  net::Task<void> watch(http::Exchange& exchange) {
    http::ResponseHead head;
    head.body.kind = http::BodyLength::Kind::kUntilClose;
    auto begun = co_await exchange.begin(head);
    if (!begun) co_return;
    if (watch_is_cut) {
      co_await exchange.finish();
      co_return;
    }
    const std::string lines = events();
    for (size_t at = 0; at < lines.size(); at += 50) {
      auto sent = co_await exchange.write(std::string_view(lines).substr(at, 50));
      if (!sent) co_return;
    }
    co_await exchange.finish();
  }

  // Another service, a status of the past, then the real one.
  std::string events() {
    Json other = {{"metadata", {{"name", "other"}}}};
    Json old = service;
    old["status"] = {{"observedGeneration", 0},
                     {"conditions", Json::array({{{"type", "Ready"}, {"status", "False"}}})}};
    settle();
    std::string lines;
    for (const Json& object : {other, old, service}) {
      lines += Json{{"type", "MODIFIED"}, {"object", object}}.dump() + "\n";
    }
    return lines;
  }
};

class CommandsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "ebb-commands-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    code_ = pattern;
    std::ofstream(code_ / "main.py") << "def handle(request): return 'x'\n";
  }
  void TearDown() override {
    stop();
    fs::remove_all(code_);
  }

  void start() {
    auto fds = net::bind_shared(*net::Address::parse("127.0.0.1:0"), 1);
    ASSERT_TRUE(fds) << fds.error().message;
    address_ = net::local_address(fds->front().get())->to_string();
    api_.gateway = address_;
    executor_ = std::make_unique<net::Executor>("fake-api");
    server_ = std::make_unique<http::Server>(*executor_, std::move(fds->front()), api_,
                                             http::ServerOptions{});
    executor_->post([this] { server_->start(); });
    thread_ = std::thread([this] { executor_->run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    executor_->post([this] { executor_->spawn(drain_and_stop(*server_, *executor_)); });
    thread_.join();
    server_.reset();
    executor_.reset();
  }
  static net::Task<void> drain_and_stop(http::Server& server, net::Executor& executor) {
    co_await server.drain(executor.now() + std::chrono::seconds(5));
    executor.stop();
  }
  // Runs `ebb ARGS`.
  int ebb(std::vector<std::string> args) {
    args.insert(args.end(), {"--server", "http://" + address_, "--token", token_, "-n", "default"});
    out_.str("");
    err_.str("");
    Console console{out_, err_};
    return run(args, [](const UpOptions&) { return kExitOk; }, console);
  }
  int deploy(std::vector<std::string> more = {}) {
    std::vector<std::string> args{"deploy", "hello",  "--runtime",
                                  "python", "--code", code_.string()};
    args.insert(args.end(), more.begin(), more.end());
    return ebb(args);
  }

  FakeApi api_;
  fs::path code_;
  std::string token_ = "secret";
  std::string address_;
  std::ostringstream out_;
  std::ostringstream err_;

 private:
  std::unique_ptr<net::Executor> executor_;
  std::unique_ptr<http::Server> server_;
  std::thread thread_;
};

TEST_F(CommandsTest, DeployUploadsCreatesAndWaits) {
  start();
  EXPECT_EQ(deploy({"--env", "A=1", "--min", "1", "--timeout", "30s", "--concurrency", "5"}),
            kExitOk)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("service \"hello\" is ready after"));
  EXPECT_THAT(out_.str(), HasSubstr("http://hello.default.localhost\n"));
  EXPECT_THAT(out_.str(),
              HasSubstr("curl -H 'Host: hello.default.localhost' http://" + address_ + "/"));
  EXPECT_THAT(out_.str(), HasSubstr("first call (cold)  200 in "));
  EXPECT_THAT(out_.str(), HasSubstr("second call        200 in "));
  EXPECT_THAT(err_.str(), HasSubstr("Uploading 1 file,"));
  stop();
  ASSERT_EQ(api_.blobs.size(), 1U);
  ASSERT_EQ(api_.bodies.size(), 1U);
  const std::string digest = api_.blobs.begin()->first;
  EXPECT_EQ(api_.bodies[0], Json::parse(R"({
    "apiVersion": "serving.knative.dev/v1", "kind": "Service",
    "metadata": {"name": "hello", "namespace": "default"},
    "spec": {"template": {
      "metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1",
                                   "ebb.dev/code": ")" +
                                        digest + R"("}},
      "spec": {"containerConcurrency": 5, "timeoutSeconds": 30,
               "containers": [{"image": "ebb.dev/runtimes/python",
                               "env": [{"name": "A", "value": "1"}]}]}}}})"));
}

TEST_F(CommandsTest, DeployingAgainKeepsWhatIsNotGivenAndSendsNoCodeTwice) {
  start();
  ASSERT_EQ(deploy({"--env", "A=1", "--env", "B=2"}), kExitOk) << err_.str();
  EXPECT_EQ(deploy({"--env", "B=3"}), kExitOk) << err_.str();
  stop();
  EXPECT_EQ(std::count_if(api_.log.begin(), api_.log.end(),
                          [](const std::string& line) { return line.starts_with("PUT"); }),
            1);
  EXPECT_EQ(api_.service["spec"]["template"]["spec"]["containers"][0]["env"],
            Json::parse(R"([{"name": "A", "value": "1"}, {"name": "B", "value": "3"}])"));
  EXPECT_EQ(api_.bodies.at(1)["metadata"]["resourceVersion"], "10");
}

TEST_F(CommandsTest, DeployTakesVariablesAway) {
  start();
  ASSERT_EQ(deploy({"--env", "NONE-"}), kExitOk) << err_.str();
  EXPECT_FALSE(api_.service["spec"]["template"]["spec"]["containers"][0].contains("env"));
  ASSERT_EQ(deploy({"--env", "A=1", "--env", "B=2"}), kExitOk) << err_.str();
  ASSERT_EQ(deploy({"--env", "A-", "--env", "NONE-", "--env", "C=3"}), kExitOk) << err_.str();
  stop();
  EXPECT_EQ(api_.service["spec"]["template"]["spec"]["containers"][0]["env"],
            Json::parse(R"([{"name": "B", "value": "2"}, {"name": "C", "value": "3"}])"));
}

TEST_F(CommandsTest, DeployTriesAgainAfterAConflict) {
  api_.declare(Json::parse(R"({"metadata": {"name": "hello"}})"));
  api_.conflicts = 2;
  start();
  EXPECT_EQ(deploy(), kExitOk) << err_.str();
}

TEST_F(CommandsTest, DeployTellsWhyAServiceFailed) {
  api_.ready = "False";
  start();
  EXPECT_EQ(deploy(), kExitFailure);
  EXPECT_THAT(err_.str(),
              testing::ContainsRegex("service \"hello\": the deployment failed after [0-9.]+ m?s\n"
                                     "Error: service \"hello\" failed: it broke"));
  EXPECT_EQ(out_.str(), "");
}

TEST_F(CommandsTest, DeployEndsAtItsDeadline) {
  api_.ready = "never";
  start();
  EXPECT_EQ(deploy({"--wait-timeout", "300ms"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("was not ready within"));
}

TEST_F(CommandsTest, DeployNeedsNoWatch) {
  api_.watch_is_cut = true;
  start();
  EXPECT_EQ(deploy(), kExitOk) << err_.str();
}

TEST_F(CommandsTest, DeployChecksTheFolderBeforeAnythingIsSent) {
  fs::remove(code_ / "main.py");
  start();
  EXPECT_EQ(deploy(), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("is empty"));
  stop();
  for (const auto& line : api_.log) EXPECT_THAT(line, testing::StartsWith("GET "));
}

TEST_F(CommandsTest, DeployChecksTheRuntimeBeforeAnythingIsSent) {
  api_.runtimes = Json::parse(R"([
      {"name": "exec", "starts": ["run", "server"]},
      {"name": "node", "starts": ["main.mjs"], "problem": "the runtime node needs /usr/bin/node"},
      {"name": "python", "starts": ["main.py"]}])");
  start();
  const auto with = [this](const std::string& runtime) {
    return ebb({"deploy", "hello", "--runtime", runtime, "--code", code_.string()});
  };
  EXPECT_EQ(with("ruby"), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("no runtime ruby; there are: exec, node, python"));
  EXPECT_EQ(with("node"), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("the runtime node needs /usr/bin/node"));
  EXPECT_EQ(with("exec"), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("has none of run, server: the exec runtime starts there"));
  EXPECT_THAT(err_.str(), HasSubstr("the deployment failed after "));
  for (const auto& line : api_.log) EXPECT_THAT(line, testing::StartsWith("GET "));
  EXPECT_EQ(with("python"), kExitOk) << err_.str();
  EXPECT_EQ(ebb({"runtimes"}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("exec     run, server\n"));
}

TEST_F(CommandsTest, DeployNeedsNoFileToStartFromWhereTheContainerHasACommand) {
  api_.runtimes = Json::parse(R"([{"name": "exec", "starts": ["run"]}])");
  api_.declare(Json::parse(R"({"metadata": {"name": "hello"}, "spec": {"template": {"spec":
      {"containers": [{"image": "ebb.dev/runtimes/exec", "command": ["x"]}]}}}})"));
  start();
  EXPECT_EQ(ebb({"deploy", "hello", "--runtime", "exec", "--code", code_.string()}), kExitOk)
      << err_.str();
}

TEST_F(CommandsTest, GetShowsAndDeleteDeletes) {
  start();
  ASSERT_EQ(deploy(), kExitOk) << err_.str();
  EXPECT_EQ(ebb({"get", "ksvc"}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("hello   http://hello.default.localhost"));
  EXPECT_EQ(ebb({"get", "services", "-o", "name"}), kExitOk);
  EXPECT_EQ(out_.str(), "service.serving.knative.dev/hello\n");
  EXPECT_EQ(ebb({"get", "service", "hello", "-o", "json"}), kExitOk);
  EXPECT_EQ(Json::parse(out_.str())["metadata"]["name"], "hello");
  EXPECT_EQ(ebb({"get", "service", "-o", "json"}), kExitOk);
  EXPECT_EQ(Json::parse(out_.str())["kind"], "List");
  EXPECT_EQ(ebb({"get", "service", "hello", "-o", "yaml"}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("\nkind: Service\nmetadata:\n  generation: 1\n"));
  EXPECT_EQ(ebb({"delete", "service", "hello"}), kExitOk);
  EXPECT_EQ(out_.str(), "service.serving.knative.dev \"hello\" deleted\n");
  EXPECT_EQ(ebb({"get", "service", "hello"}), kExitFailure);
  EXPECT_EQ(err_.str(), "Error: services \"hello\" not found\n");
}

TEST_F(CommandsTest, WhatIsMadeAgainHasBeenDeleted) {
  api_.remade = true;
  api_.declare(Json::parse(R"({"metadata": {"name": "hello", "uid": "old"}})"));
  start();
  EXPECT_EQ(ebb({"delete", "service", "hello", "--wait-timeout", "5s"}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(), "service.serving.knative.dev \"hello\" deleted\n");
}

TEST_F(CommandsTest, DeploySetsLimitsAndNetwork) {
  start();
  ASSERT_EQ(deploy({"--memory", "128Mi", "--cpu", "500m", "--network", "none", "--no-call"}),
            kExitOk)
      << err_.str();
  EXPECT_EQ(out_.str().find("call"), std::string::npos);
  ASSERT_EQ(deploy({"--cpu", "1"}), kExitOk) << err_.str();
  stop();
  const Json& revision = api_.service["spec"]["template"];
  EXPECT_EQ(revision["spec"]["containers"][0]["resources"]["limits"],
            Json::parse(R"({"memory": "128Mi", "cpu": "1"})"));
  EXPECT_EQ(revision["metadata"]["annotations"]["ebb.dev/network"], "none");
}

TEST_F(CommandsTest, DeploySaysThatPinnedTrafficStaysWhereItIs) {
  api_.declare(Json::parse(R"({"metadata": {"name": "hello"}, "spec": {"traffic":
      [{"revisionName": "hello-00001", "percent": 100}]}})"));
  start();
  EXPECT_EQ(deploy(), kExitOk);
  EXPECT_THAT(err_.str(), HasSubstr("hello-00002 gets no traffic: it goes to hello-00001 (100%)"));
  EXPECT_THAT(err_.str(), HasSubstr("ebb traffic hello --tag try=hello-00002"));
  EXPECT_EQ(out_.str().find("call"), std::string::npos) << out_.str();
  stop();
  EXPECT_TRUE(api_.hosts.empty()) << "what answers there is another revision";
}

TEST_F(CommandsTest, DeployCallsTheNewRevisionAtItsTag) {
  api_.declare(Json::parse(R"({"metadata": {"name": "hello"}, "spec": {"traffic":
      [{"revisionName": "hello-00001", "percent": 90}, {"percent": 10, "latestRevision": true},
       {"tag": "next", "latestRevision": true}]}})"));
  start();
  EXPECT_EQ(deploy(), kExitOk);
  EXPECT_THAT(err_.str(), HasSubstr("gets 10% of the traffic; the rest goes to hello-00001 (90%)"));
  EXPECT_THAT(out_.str(), HasSubstr("curl -H 'Host: next-hello.default.localhost' http://"));
  EXPECT_THAT(out_.str(), HasSubstr("first call (cold)  200 in "));
  stop();
  EXPECT_EQ(api_.hosts, std::vector<std::string>(2, "next-hello.default.localhost"));
}

TEST_F(CommandsTest, ApplyCreatesConfiguresAndLeavesAlone) {
  start();
  const std::string file = (code_ / "hello.yaml").string();
  const auto write = [&file](const std::string& spec) {
    std::ofstream(file) << "apiVersion: serving.knative.dev/v1\nkind: Service\n"
                           "metadata: {name: hello}\nspec: " +
                               spec + "\n---\nkind: [\n";
  };
  const auto apply = [this, &file] { return ebb({"apply", "-f", file}); };
  write("{a: 1, gone: 1}");
  EXPECT_EQ(apply(), kExitFailure);  // for the second document
  EXPECT_EQ(out_.str(), "service.serving.knative.dev/hello created\n");
  EXPECT_THAT(err_.str(), HasSubstr(file + ":"));
  EXPECT_THAT(err_.str(), HasSubstr("1 of 2 objects were not applied"));
  apply();
  EXPECT_EQ(out_.str(), "service.serving.knative.dev/hello unchanged\n");
  write("{a: 2}");
  apply();
  EXPECT_EQ(out_.str(), "service.serving.knative.dev/hello configured\n");
  stop();
  EXPECT_EQ(api_.service["spec"], Json::parse(R"({"a": 2})"));
  EXPECT_EQ(api_.service["metadata"]["namespace"], "default");
}

TEST_F(CommandsTest, ApplyEndsWhereNobodyListens) {
  start();
  stop();
  const std::string file = (code_ / "hello.yaml").string();
  std::ofstream(file) << "apiVersion: serving.knative.dev/v1\nkind: Service\n"
                         "metadata: {name: hello}\n";
  EXPECT_EQ(ebb({"apply", "-f", file}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("Is `ebb up` running?"));
  EXPECT_EQ(ebb({"apply", "-f", code_ / "none.yaml"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("none.yaml"));
}

TEST_F(CommandsTest, InvokeCallsThroughTheGateway) {
  start();
  ASSERT_EQ(deploy(), kExitOk) << err_.str();
  EXPECT_EQ(ebb({"invoke", "hello", "--path", "/x?y=1", "-H", "X-In: in"}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(), "GET /x?y=1  in");
  EXPECT_EQ(ebb({"invoke", "hello", "-d", "@" + (code_ / "main.py").string(), "-i"}), kExitOk);
  EXPECT_THAT(out_.str(), testing::StartsWith("HTTP/1.1 200 OK\n"));
  EXPECT_THAT(out_.str(), HasSubstr("X-Out: yes\n"));
  EXPECT_THAT(out_.str(), testing::EndsWith("\n\nPOST / def handle(request): return 'x'\n"));
  EXPECT_EQ(ebb({"invoke", "hello", "--path", "/broken"}), kExitFailure);
  EXPECT_EQ(out_.str(), "GET /broken ");
  EXPECT_EQ(err_.str(), "Error: hello answered 503 Service Unavailable\n");
  EXPECT_EQ(ebb({"invoke", "hello", "--path", "/broken", "--no-fail"}), kExitOk);
  EXPECT_EQ(ebb({"invoke", "hello", "--tag", "none"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("has no tag \"none\""));
  EXPECT_EQ(ebb({"invoke", "hello", "-H", "Bad Name: x"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("not valid in HTTP"));
}

TEST_F(CommandsTest, DescribeTellsEachEventOnce) {
  const auto event = [](const std::string& kind, const std::string& name, const std::string& uid) {
    return Json{{"message", "traffic moved"},
                {"involvedObject", {{"kind", kind}, {"name", name}, {"uid", uid}}}};
  };
  api_.texts["/api/v1/namespaces/default/events"] = Json{
      {"items",
       Json::array({event("Service", "hello", "new"), event("Route", "hello", "r"),
                    event("Configuration", "hello", "c"), event("Revision", "hello-00001", "1"),
                    event("Service", "hello", "of one that is gone"),
                    event("Service", "other", "o")})}}.dump();
  api_.declare(Json::parse(R"({"metadata": {"name": "hello", "uid": "new"}})"));
  start();
  EXPECT_EQ(ebb({"describe", "service", "hello"}), kExitOk) << err_.str();
  const std::string text = out_.str();
  const size_t first = text.find("traffic moved");
  ASSERT_NE(first, std::string::npos) << text;
  EXPECT_EQ(text.find("traffic moved", first + 1), std::string::npos) << text;
}

TEST_F(CommandsTest, LogsAskForWhatTheOptionsSay) {
  api_.texts["/apis/ebb.dev/v1/namespaces/default/services/hello/log"] = "p1 one\np2 two\n";
  api_.texts
      ["/apis/ebb.dev/v1/namespaces/default/services/hello/log"
       "?follow=true&sinceSeconds=300&tailLines=5&timestamps=true"] = "followed\n";
  api_.texts["/api/v1/namespaces/default/pods/p1/log"] = "of one\n";
  start();
  EXPECT_EQ(ebb({"logs", "hello"}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(), "p1 one\np2 two\n");
  EXPECT_EQ(ebb({"logs", "hello", "-f", "--since", "5m", "--tail", "5", "--timestamps"}), kExitOk);
  EXPECT_EQ(out_.str(), "followed\n");
  EXPECT_EQ(ebb({"logs", "hello", "--pod", "p1"}), kExitOk);
  EXPECT_EQ(out_.str(), "of one\n");
}

TEST_F(CommandsTest, ThePodOfALogMayHaveEnded) {
  const std::string log = "/apis/ebb.dev/v1/namespaces/default/services/hello/log";
  const std::string service = "p1 one\np2 two\np1 three\np11 four\n";
  api_.texts[log] = service;
  api_.texts[log + "?sinceSeconds=60&timestamps=true"] = "p1 T three\n";
  start();
  const auto logs = [this](std::vector<std::string> more) {
    std::vector<std::string> args{"logs", "hello", "--pod", "p1"};
    args.insert(args.end(), more.begin(), more.end());
    EXPECT_EQ(ebb(args), kExitOk) << err_.str();
    return out_.str();
  };
  EXPECT_EQ(logs({}), "one\nthree\n");
  EXPECT_EQ(logs({"--tail", "1"}), "three\n");
  EXPECT_EQ(logs({"--tail", "0", "-f"}), "");
  EXPECT_EQ(logs({"--since", "1m", "--timestamps"}), "T three\n");
  EXPECT_EQ(ebb({"logs", "hello", "--pod", "p3"}), kExitFailure);
  EXPECT_THAT(err_.str(),
              HasSubstr("not found, and the log of service \"hello\" has no such line"));
  EXPECT_EQ(ebb({"logs", "--pod", "p1"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("If it has ended: ebb logs SERVICE --pod p1"));
}

TEST_F(CommandsTest, DescribeCollectsWhatThereIs) {
  const std::string all = "?labelSelector=serving.knative.dev%2Fservice%3Dhello";
  api_.texts["/apis/serving.knative.dev/v1/namespaces/default/revisions" + all] =
      R"({"items": [{"metadata": {"name": "hello-1"}}, {"metadata": {"name": "hello-2", "labels":
          {"serving.knative.dev/configurationGeneration": "2"}}}]})";
  api_.texts["/api/v1/namespaces/default/pods" + all] = R"({"items": []})";
  start();
  ASSERT_EQ(deploy(), kExitOk) << err_.str();
  EXPECT_EQ(ebb({"describe", "service", "hello"}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("Service hello\n"));
  EXPECT_LT(out_.str().find("hello-2"), out_.str().find("hello-1"));
  EXPECT_EQ(ebb({"describe", "service", "none"}), kExitFailure);
}

TEST_F(CommandsTest, TopShowsOneTableWithoutATerminal) {
  api_.texts["/apis/autoscaling.internal.knative.dev/v1alpha1/namespaces/default/podautoscalers"] =
      R"({"items": [{"metadata": {"name": "hello-1"}, "status": {"desiredScale": 2}}]})";
  api_.texts["/api/v1/namespaces/default/pods"] = R"({"items": []})";
  api_.texts["/api/v1/nodes"] = R"({"items": []})";
  start();
  EXPECT_EQ(ebb({"top"}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("\nhello-1    0       0          2 "));
}

TEST_F(CommandsTest, BackupLeavesAWholeFileOrNone) {
  api_.texts["/apis/ebb.dev/v1/backup"] = std::string(300'000, 'x');
  start();
  const std::string file = (code_ / "b.tar").string();
  EXPECT_EQ(ebb({"backup", file}), kExitOk) << err_.str();
  EXPECT_EQ(fs::file_size(file), 300'000U);
  EXPECT_THAT(out_.str(), HasSubstr("saved 0.3 MiB to " + file));
  EXPECT_EQ(ebb({"backup", "-"}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(), std::string(300'000, 'x'));
  EXPECT_THAT(err_.str(), HasSubstr("saved 0.3 MiB to the standard output in "));
  token_ = "wrong";
  EXPECT_EQ(ebb({"backup", (code_ / "c.tar").string()}), kExitFailure);
  EXPECT_FALSE(fs::exists(code_ / "c.tar"));
}

TEST_F(CommandsTest, RestoreRefusesWhatIsNoBackup) {
  const std::string file = (code_ / "b.tar").string();
  std::ofstream(file) << "no archive";
  const std::string data = (code_ / "data").string();
  EXPECT_EQ(ebb({"restore", file, "--data", data}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr(file));
  EXPECT_TRUE(fs::is_empty(data));
  EXPECT_EQ(ebb({"restore", code_ / "none.tar", "--data", data}), kExitFailure);
}

TEST_F(CommandsTest, TrafficIsChangedAndAwaited) {
  const std::string path =
      "/apis/serving.knative.dev/v1/namespaces/default/revisions"
      "?labelSelector=serving.knative.dev%2Fservice%3Dhello";
  api_.texts[path] = R"({"items": [{"metadata": {"name": "hello-00001"}}]})";
  start();
  ASSERT_EQ(deploy(), kExitOk) << err_.str();
  EXPECT_EQ(ebb({"traffic", "hello", "--revision", "hello-00001=100"}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("hello-00001   100%"));
  EXPECT_EQ(ebb({"traffic", "hello", "--revision", "hello-7=100"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("no revision \"hello-7\"; it has: hello-00001"));
  EXPECT_EQ(ebb({"rollback", "hello"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("no ready revision is older"));
}

TEST_F(CommandsTest, VersionNamesBothSides) {
  start();
  EXPECT_EQ(ebb({"version"}), kExitOk);
  EXPECT_EQ(out_.str(), std::string("ebb ") + version() + "\nserver 9.9\n");
}

TEST_F(CommandsTest, ARefusedTokenIsSaid) {
  token_ = "wrong";
  start();
  EXPECT_EQ(ebb({"get", "ksvc"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("Error: Unauthorized: the API does not know this token"));
}

TEST_F(CommandsTest, AMissingServerIsSaid) {
  start();
  stop();
  EXPECT_EQ(ebb({"get", "ksvc"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("Is `ebb up` running?"));
}

TEST(ApiClientTest, OnlyHttpToKnownAddresses) {
  const auto why = [](const std::string& url) {
    return ApiClient::open(url, "", "").error().message;
  };
  EXPECT_TRUE(ApiClient::open("https://127.0.0.1:1", "", ""));
  EXPECT_FALSE(ApiClient::open("https://127.0.0.1:1", "", "no certificate"));
  EXPECT_THAT(why("127.0.0.1:1"), HasSubstr("is not the URL"));
  EXPECT_THAT(why("http://example.com:1"), HasSubstr("numeric IP"));
  EXPECT_THAT(why("http://127.0.0.1:1/path"), HasSubstr("is not the URL"));
  EXPECT_TRUE(ApiClient::open("http://127.0.0.1", "", ""));
  EXPECT_TRUE(ApiClient::open("http://[::1]:8081/", "", ""));
  EXPECT_FALSE(ApiClient::open("http://127.0.0.1", "two\r\nlines", ""));
}

}  // namespace
}  // namespace ebb::cli
