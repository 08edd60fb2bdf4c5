// Watches over HTTP.
#include "apiserver/watch_endpoint.h"

#include "apiserver/server_fixture.h"

namespace ebb::apiserver {
namespace {

using ::testing::ElementsAre;

// What one watch has received so far.
struct Received {
  int code = 0;
  bool ended = false;  // in order, by the server
  std::string text;

  [[nodiscard]] std::vector<Json> events() const {
    std::vector<Json> out;
    std::string_view rest = text;
    for (auto end = rest.find('\n'); end != rest.npos; end = rest.find('\n')) {
      out.push_back(*api::parse_json(rest.substr(0, end)));
      rest.remove_prefix(end + 1);
    }
    return out;
  }
  // "ADDED hello" and so on.
  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> out;
    for (const auto& event : events()) {
      const Json& object = event["object"];
      std::string name =
          object.contains("metadata") ? object["metadata"].value("name", "") : std::string();
      out.push_back(event["type"].get<std::string>() + (name.empty() ? "" : " " + name));
    }
    return out;
  }
};

// `out` is shared: the test may end first.
net::Task<void> follow(net::Executor* executor, net::Address to, std::string target,
                       std::string accept, std::shared_ptr<Received> out) {
  TimePoint deadline = executor->now() + std::chrono::seconds(20);
  auto connecting = net::connect(*executor, to, deadline);
  auto stream = co_await connecting;
  http::ClientConnection connection(std::move(*stream));
  http::Fields fields;
  fields.add("Host", "localhost");
  fields.add("Authorization", "Bearer the-token");
  fields.add("Accept", accept);
  (void)co_await connection.send_head("GET", target, fields, http::BodyLength::none(), "",
                                      deadline);
  auto head = co_await connection.read_head(deadline);
  if (head) out->code = (*head)->status;
  while (head) {
    auto piece = co_await connection.read_body(deadline);
    if (!piece) co_return;
    if (piece->empty()) break;
    out->text += *piece;
  }
  out->ended = true;
}

class WatchTest : public ServerFixture {
 protected:
  std::shared_ptr<Received> watch(const std::string& target, const std::string& accept = "*/*") {
    auto received = std::make_shared<Received>();
    executor_.spawn(follow(&executor_, server_->address(), target, accept, received));
    until([&] { return received->code != 0; });
    return received;
  }
  template <class Done>
  void until(Done done) {
    TimePoint patience = executor_.now() + std::chrono::seconds(20);
    while (!done()) {
      ASSERT_LT(executor_.now(), patience);
      executor_.run_until(executor_.now() + std::chrono::milliseconds(10));
    }
  }
};

TEST_F(WatchTest, TellsEveryChangeAfterAVersion) {
  post(service("before"));
  auto received = watch(std::string(kServices) + "?watch=true&resourceVersion=1");
  post(service("hello"));
  patch(path("hello"), R"({"metadata":{"labels":{"a":"b"}}})");
  remove(path("hello"));
  until([&] { return received->lines().size() == 3; });
  EXPECT_THAT(received->lines(), ElementsAre("ADDED hello", "MODIFIED hello", "DELETED hello"));
  EXPECT_EQ(received->events()[1]["object"]["metadata"]["resourceVersion"], "3");
}

TEST_F(WatchTest, WithoutAVersionItBeginsWithWhatThereIs) {
  post(service("a"));
  auto received = watch(std::string(kServices) + "?watch=true");
  until([&] { return received->lines().size() == 1; });
  post(service("b"));
  until([&] { return received->lines().size() == 2; });
  EXPECT_THAT(received->lines(), ElementsAre("ADDED a", "ADDED b"));
}

TEST_F(WatchTest, InitialEventsEndWithABookmark) {
  post(service("a"));
  auto received = watch(std::string(kServices) +
                        "?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&"
                        "resourceVersionMatch=NotOlderThan");
  until([&] { return received->lines().size() == 2; });
  EXPECT_THAT(received->lines(), ElementsAre("ADDED a", "BOOKMARK"));
  EXPECT_EQ(received->events()[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
            "true");
}

TEST_F(WatchTest, TellsWhenTheHistoryIsGone) {
  post(service("a"));
  post(service("b"));
  ASSERT_TRUE(run(store_->compact(2)));
  auto received = watch(std::string(kServices) + "?watch=true&resourceVersion=1");
  until([&] { return received->ended; });
  ASSERT_EQ(received->lines(), std::vector<std::string>{"ERROR"});
  auto status = received->events()[0]["object"];
  EXPECT_EQ(status["code"], 410);
  EXPECT_EQ(status["reason"], "Expired");
}

TEST_F(WatchTest, EndsAfterItsTime) {
  auto received = watch(std::string(kServices) + "?watch=true&timeoutSeconds=1");
  until([&] { return received->ended; });
  EXPECT_EQ(received->text, "");
}

TEST_F(WatchTest, EndsWhenTheServerDoes) {
  auto received = watch(std::string(kServices) + "?watch=true");
  api_.end_watches();
  until([&] { return received->ended; });
  EXPECT_EQ(watch(std::string(kServices) + "?watch=true")->code, 503);
}

TEST_F(WatchTest, Selectors) {
  auto one = watch(std::string(kServices) + "?watch=true&fieldSelector=metadata.name%3Db");
  auto front = watch(std::string(kServices) + "?watch=true&labelSelector=tier%3Dfront");
  post(service("a"));
  post(service("b"));
  patch(path("b"), R"({"metadata":{"labels":{"tier":"front"}}})");
  patch(path("b"), R"({"metadata":{"labels":{"tier":"back"}}})");
  until([&] { return one->lines().size() == 3; });
  until([&] { return front->lines().size() == 2; });
  EXPECT_THAT(one->lines(), ElementsAre("ADDED b", "MODIFIED b", "MODIFIED b"));
  EXPECT_THAT(front->lines(), ElementsAre("MODIFIED b", "DELETED b")) << "it lost the label";
  EXPECT_EQ(watch(std::string(kServices) + "?watch=true&fieldSelector=spec.x%3Db")->code, 400);
}

TEST_F(WatchTest, AsTables) {
  auto received =
      watch(std::string(kServices) + "?watch=true", "application/json;as=Table;v=v1;g=meta.k8s.io");
  post(service("a"));
  until([&] { return received->events().size() == 1; });
  auto table = received->events()[0]["object"];
  EXPECT_EQ(table["kind"], "Table");
  EXPECT_EQ(table["rows"][0]["cells"][0], "a");
}

TEST_F(WatchTest, PodsAreFollowed) {
  const std::string pods = "/api/v1/namespaces/default/pods";
  auto version = get(pods).json()["metadata"]["resourceVersion"].get<std::string>();
  auto received = watch(pods + "?watch=true&resourceVersion=" + version);
  auto& pod = live_.all_pods.emplace_back();
  pod.meta.name = "p";
  pod.meta.ns = "default";
  until([&] { return received->lines().size() == 1; });
  live_.all_pods[0].status.phase = "Running";
  until([&] { return received->lines().size() == 2; });
  live_.all_pods.clear();
  until([&] { return received->lines().size() == 3; });
  EXPECT_THAT(received->lines(), ElementsAre("ADDED p", "MODIFIED p", "DELETED p"));
  auto old = watch(pods + "?watch=true&resourceVersion=5");
  until([&] { return old->ended; });
  EXPECT_EQ(old->lines(), std::vector<std::string>{"ERROR"}) << "of an earlier process";
}

}  // namespace
}  // namespace ebb::apiserver
