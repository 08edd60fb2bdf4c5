// For tests: an ApiServer on a real listener, with a client, on one executor.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/json.h"
#include "apiserver/api_server.h"
#include "http/client.h"
#include "http/server.h"
#include "net/listener.h"
#include "resources/store_client.h"
#include "store/file_blob_store.h"
#include "store/sqlite_store.h"
#include "store/testing.h"

namespace ebb::apiserver {

using api::Json;

class FakeLive final : public LiveObjects {
 public:
  std::vector<api::Pod> all_pods;
  std::vector<api::Node> all_nodes;
  std::vector<api::Pod> pods() override { return all_pods; }
  std::vector<api::Node> nodes() override { return all_nodes; }
};

struct Answer {
  int code = 0;
  std::string body;
  std::string content_type;
  std::string retry_after;
  std::string warnings;  // the first
  [[nodiscard]] Json json() const {
    auto parsed = api::parse_json(body);
    EXPECT_TRUE(parsed) << body;
    return parsed ? *parsed : Json();
  }
};

inline constexpr const char* kServices = "/apis/serving.knative.dev/v1/namespaces/default/services";
inline constexpr const char* kToken = "the-token";

class ServerFixture : public ::testing::Test {
 public:
  ~ServerFixture() override {
    api_.end_watches();
    (void)run(server_->drain(executor_.now() + std::chrono::seconds(5)));
    server_.reset();
    store_.reset();
    disk_.reset();  // finishes what it has to remove
    std::filesystem::remove_all(folder_);
  }

 protected:
  struct Ask {
    std::string method = "GET";
    std::string target;
    std::string body = {};  // NOLINT(readability-redundant-member-init): g++ warns without
    std::string content_type = "application/json";
    std::string authorization = fmt::format("Bearer {}", kToken);
    std::string host = "127.0.0.1";
    std::string accept = "application/json";
  };

  ServerFixture() { server_->start(); }

  template <class T>
  T run(net::Task<T> task) {
    return store::testing::run(executor_, std::move(task));
  }

  // One connection for each call.
  static net::Task<Answer> exchange(net::Executor* executor, net::Address to, Ask ask) {
    TimePoint deadline = executor->now() + std::chrono::seconds(20);
    auto connecting = net::connect(*executor, to, deadline);
    auto stream = co_await connecting;
    Answer answer;
    if (!stream) co_return answer;
    http::ClientConnection connection(std::move(*stream));
    http::Fields fields;
    fields.add("Host", ask.host);
    if (!ask.authorization.empty()) fields.add("Authorization", ask.authorization);
    if (!ask.accept.empty()) fields.add("Accept", ask.accept);
    if (!ask.body.empty()) fields.add("Content-Type", ask.content_type);
    auto length =
        ask.body.empty() ? http::BodyLength::none() : http::BodyLength::sized(ask.body.size());
    auto sent =
        co_await connection.send_head(ask.method, ask.target, fields, length, ask.body, deadline);
    if (sent) (void)co_await connection.finish_body(http::kNoTrailers, deadline);
    auto head = co_await connection.read_head(deadline);
    if (!head) co_return answer;
    answer.code = (*head)->status;
    answer.content_type = (*head)->fields.get("Content-Type").value_or("");
    answer.warnings = (*head)->fields.get("Warning").value_or("");
    answer.retry_after = (*head)->fields.get("Retry-After").value_or("");
    for (;;) {
      auto piece = co_await connection.read_body(deadline);
      if (!piece || piece->empty()) break;
      answer.body += *piece;
    }
    co_return answer;
  }
  Answer ask(Ask what) { return run(exchange(&executor_, server_->address(), std::move(what))); }
  Answer get(const std::string& target) { return ask({.target = target}); }
  Answer post(const Json& object) {
    return ask({.method = "POST", .target = kServices, .body = object.dump()});
  }
  Answer patch(const std::string& target, const std::string& body,
               const std::string& type = "application/merge-patch+json") {
    return ask({.method = "PATCH", .target = target, .body = body, .content_type = type});
  }
  Answer remove(const std::string& target, const std::string& body = {}) {
    return ask({.method = "DELETE", .target = target, .body = body});
  }

  static Json service(const std::string& name) {
    Json json;
    json["apiVersion"] = "serving.knative.dev/v1";
    json["kind"] = "Service";
    json["metadata"]["name"] = name;
    json["spec"]["template"]["spec"]["containers"] =
        Json::array({{{"image", "ebb.dev/runtimes/python"}}});
    return json;
  }
  static std::string path(const std::string& name) { return std::string(kServices) + "/" + name; }

  net::Executor executor_{"api-test"};
  FakeClock clock_;
  FakeLive live_;
  std::unique_ptr<store::DiskThread> disk_ = std::make_unique<store::DiskThread>();
  std::string folder_ = make_folder();
  std::unique_ptr<store::SqliteStore> store_ =
      std::move(*store::SqliteStore::open(executor_, folder_ + "/state.db"));
  std::unique_ptr<store::FileBlobStore> blobs_ =
      std::move(*store::FileBlobStore::open(executor_, *disk_, folder_ + "/blobs"));
  resources::StoreClient client_{*store_, clock_};
  bool ready_ = true;
  std::vector<node::ListedRuntime> runtimes_;  // none: not known
  ApiServer api_{executor_,
                 {client_, *blobs_, live_, clock_},
                 {.token = kToken,
                  .listen = *net::Address::parse("127.0.0.1:0"),
                  .hosts = {"ebb.example"},
                  .version = "1.2.3",
                  .gateway = "127.0.0.1:8080",
                  .ready = [this] { return ready_; },
                  .metrics = {},
                  .state = {},
                  .logs = folder_ + "/logs",
                  .runtimes = [this] { return runtimes_; }}};
  std::unique_ptr<http::Server> server_ = std::make_unique<http::Server>(
      executor_, std::move(net::bind_shared(*net::Address::parse("127.0.0.1:0"), 1)->front()), api_,
      http::ServerOptions());

 private:
  static std::string make_folder() {
    std::string pattern = ::testing::TempDir() + "ebb-api-XXXXXX";
    return ::mkdtemp(pattern.data());
  }
};

}  // namespace ebb::apiserver
