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

  std::map<std::string, std::string> blobs;
  Json service;
  std::vector<std::string> log;  // "METHOD path"
  std::vector<Json> bodies;      // of POST and PATCH

  net::Task<void> serve(http::Exchange& exchange) override {
    const std::string method(exchange.request().method);
    const std::string target(exchange.request().target);
    const bool known = exchange.request().fields.get("Authorization") == "Bearer secret";
    auto body = co_await exchange.read_all(1 << 20);
    if (!body) co_return;
    if (known && target.find("watch=true") != std::string::npos) {
      co_await watch(exchange);
      co_return;
    }
    const Reply reply = known ? reply_to(method, target, *body) : kUnauthorized;
    const std::string text = reply.json.dump();
    co_await exchange.respond(reply.status, "application/json", text);
  }

  struct Reply {
    int status = 200;
    Json json;
  };
  const Reply kUnauthorized{401, status_error(401, "Unauthorized", "Unauthorized")};

  Reply reply_to(const std::string& method, const std::string& path, const std::string& body) {
    log.push_back(method + " " + path);
    if (path.starts_with(kBlobs)) {
      const std::string name = path.substr(std::string_view(kBlobs).size());
      if (method == "PUT") blobs[name] = body;
      return {blobs.contains(name) ? 200 : 404, Json::object()};
    }
    if (path == "/apis/ebb.dev/v1/info") {
      return {200, {{"gateway", "127.0.0.1:80"}, {"version", "9.9"}}};
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
    service["status"] = {
        {"observedGeneration", service["metadata"]["generation"]},
        {"url", "http://hello.default.localhost"},
        {"conditions",
         Json::array({{{"type", "Ready"}, {"status", ready}, {"message", "it broke"}}})}};
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
              HasSubstr("curl -H 'Host: hello.default.localhost' http://127.0.0.1:80/"));
  EXPECT_THAT(err_.str(), HasSubstr("Uploading 1 files"));
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
  EXPECT_THAT(err_.str(), HasSubstr("Error: service \"hello\" failed: it broke"));
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
  EXPECT_TRUE(api_.log.empty());
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
  EXPECT_EQ(ebb({"delete", "service", "hello"}), kExitOk);
  EXPECT_EQ(out_.str(), "service.serving.knative.dev \"hello\" deleted\n");
  EXPECT_EQ(ebb({"get", "service", "hello"}), kExitFailure);
  EXPECT_EQ(err_.str(), "Error: services \"hello\" not found\n");
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
  EXPECT_EQ(err_.str(), "Error: Unauthorized\n");
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
