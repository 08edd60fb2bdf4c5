// Logs over HTTP, from files as the Local Controller writes them.
#include "apiserver/log_endpoint.h"

#include <fstream>
#include <functional>

#include "apiserver/log_reader.h"
#include "apiserver/server_fixture.h"

namespace ebb::apiserver {
namespace {

namespace fs = std::filesystem;

std::string line(int second, const std::string& pod, const std::string& text) {
  return fmt::format("2026-01-01T00:00:{:02}.000000Z {} {}\n", second, pod, text);
}

class LogFiles {
 public:
  explicit LogFiles(std::string folder) : folder_(std::move(folder)) {
    fs::create_directories(folder_);
  }
  void append(const std::string& uid, const std::string& text) const {
    std::ofstream(folder_ + "/" + uid + ".log", std::ios::app) << text;
  }
  void rotate(const std::string& uid) const {
    fs::rename(folder_ + "/" + uid + ".log", folder_ + "/" + uid + ".log.1");
  }
  [[nodiscard]] const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
};

class LogReaderTest : public ::testing::Test {
 protected:
  ~LogReaderTest() override { fs::remove_all(folder_); }
  template <class Source>
  static std::string rest(Source& source) {
    std::string out;
    while (auto next = source.next()) out += next->pod + ":" + next->text + " ";
    return out;
  }

  std::string folder_ = [] {
    std::string pattern = ::testing::TempDir() + "ebb-logs-XXXXXX";
    return std::string(::mkdtemp(pattern.data()));
  }();
  LogFiles files_{folder_ + "/logs"};
};

TEST_F(LogReaderTest, ReadsTheOldFileAndTheNew) {
  files_.append("a", line(1, "p", "one"));
  files_.rotate("a");
  files_.append("a", line(2, "p", "two words") + line(3, "q", ""));
  LogReader reader(files_.folder(), "a");
  EXPECT_EQ(rest(reader), "p:one p:two words q: ");
}

TEST_F(LogReaderTest, GoesOnWhereItWas) {
  LogReader reader(files_.folder(), "a");
  EXPECT_EQ(rest(reader), "") << "there is no file yet";
  files_.append("a", line(1, "p", "one") + "2026-01-01T00:00:02.0000");
  EXPECT_EQ(rest(reader), "p:one ");
  files_.append("a", "00Z p two\n");
  EXPECT_EQ(rest(reader), "p:two ");
  files_.append("a", line(3, "p", "three"));
  files_.rotate("a");
  files_.append("a", line(4, "p", "four"));
  EXPECT_EQ(rest(reader), "p:three p:four ");
  files_.append("a", line(5, "p", "five"));
  EXPECT_EQ(rest(reader), "p:five ");
}

TEST_F(LogReaderTest, EndsWhereTheLogEnded) {
  files_.append("a", line(1, "p", "old"));
  files_.rotate("a");
  files_.append("a", line(2, "p", "new") + "2026-01-01T00:00:03.000000Z p ha");
  LogReader reader(files_.folder(), "a");
  reader.end_here();
  files_.append("a", "lf\n" + line(4, "p", "later"));
  files_.rotate("a");
  files_.append("a", line(5, "p", "last"));
  EXPECT_EQ(rest(reader), "p:old p:new ");
  EXPECT_EQ(rest(reader), "");
}

TEST_F(LogReaderTest, ATwinReadsTheSameFiles) {
  files_.append("a", line(1, "p", "old"));
  files_.rotate("a");
  files_.append("a", line(2, "p", "new"));
  LogReader reader(files_.folder(), "a");
  LogReader twin = reader.twin();
  EXPECT_EQ(rest(reader), "p:old p:new ");
  files_.rotate("a");  // the old file is gone
  files_.append("a", line(3, "p", "newer"));
  EXPECT_EQ(rest(twin), "p:old p:new p:newer ");
}

TEST_F(LogReaderTest, LeavesOutWhatIsNoLine) {
  files_.append("a", "nonsense\n\n2026-01-01T00:00:01.000000Z\n2026-01-01T00:00:01.000000Z  x\n" +
                         line(2, "p", "good") + "2026-01-01T00:00:0x.000000Z p bad\n");
  LogReader reader(files_.folder(), "a");
  EXPECT_EQ(rest(reader), "p:good ");
}

TEST_F(LogReaderTest, BoundsALineWithoutEnd) {
  files_.append("a", line(1, "p", std::string(5 << 20, 'x')) + line(2, "p", "next"));
  LogReader reader(files_.folder(), "a");
  auto first = reader.next();
  ASSERT_TRUE(first);
  EXPECT_LE(first->text.size(), kMaxLogLine);
  EXPECT_EQ(rest(reader), "p:next ");
}

TEST_F(LogReaderTest, MergesByTime) {
  files_.append("a", line(1, "p", "1") + line(4, "p", "4"));
  files_.append("b", line(2, "q", "2") + line(3, "q", "3"));
  LogMerge merge;
  merge.add(LogReader(files_.folder(), "a"));
  merge.add(LogReader(files_.folder(), "b"));
  merge.add(LogReader(files_.folder(), "none"));
  EXPECT_EQ(rest(merge), "p:1 q:2 q:3 p:4 ");
  files_.append("b", line(9, "q", "9"));
  EXPECT_EQ(rest(merge), "q:9 ");
}

class LogEndpointTest : public ServerFixture {
 protected:
  LogEndpointTest() {
    post(service("hello"));
    revision("hello-00001", "hello");
    revision("hello-00002", "hello");
    revision("other-00001", "other");
    pod("p1", "hello-00001");
  }
  void revision(const std::string& name, const std::string& owner) {
    api::Revision made;
    made.meta.name = name;
    made.meta.ns = "default";
    made.meta.labels[std::string(api::kServiceLabel)] = owner;
    auto stored = run(client_.create(api::Revision::kind(), made.to_json()));
    ASSERT_TRUE(stored);
    uids_[name] = (*stored)["metadata"]["uid"];
  }
  void pod(const std::string& name, const std::string& revision) {
    auto& pod = live_.all_pods.emplace_back();
    pod.meta.name = name;
    pod.meta.ns = "default";
    if (!revision.empty()) pod.meta.labels[std::string(api::kRevisionLabel)] = revision;
  }
  void log(const std::string& revision, const std::string& text) {
    files_.append(uids_[revision], text);
  }

  static constexpr const char* kPodLog = "/api/v1/namespaces/default/pods/p1/log";
  static constexpr const char* kServiceLog =
      "/apis/ebb.dev/v1/namespaces/default/services/hello/log";
  LogFiles files_{folder_ + "/logs"};
  std::map<std::string, std::string> uids_;
};

TEST_F(LogEndpointTest, OfAPod) {
  log("hello-00001", line(1, "p1", "one") + line(2, "p2", "no") + line(3, "p1", "two"));
  auto answer = get(kPodLog);
  EXPECT_EQ(answer.code, 200);
  EXPECT_EQ(answer.content_type, "text/plain; charset=utf-8");
  EXPECT_EQ(answer.body, "one\ntwo\n");
  EXPECT_EQ(get(std::string(kPodLog) + "?container=user-container&timestamps=true").body,
            "2026-01-01T00:00:01.000000Z one\n2026-01-01T00:00:03.000000Z two\n");
  pod("cold", "");
  EXPECT_EQ(get("/api/v1/namespaces/default/pods/cold/log").body, "");
  auto none = get("/api/v1/namespaces/default/pods/none/log");
  EXPECT_EQ(none.code, 404);
  EXPECT_EQ(none.json()["message"], "pods \"none\" not found");
  EXPECT_EQ(ask({.method = "POST", .target = kPodLog, .body = "{}"}).code, 405);
}

TEST_F(LogEndpointTest, OfAService) {
  log("hello-00001", line(1, "p1", "one") + line(3, "p1", "three"));
  log("hello-00002", line(2, "gone", "two"));
  log("other-00001", line(2, "x", "not mine"));
  EXPECT_EQ(get(kServiceLog).body, "p1 one\ngone two\np1 three\n");
  EXPECT_EQ(get("/apis/ebb.dev/v1/namespaces/default/services/none/log").code, 404);
  EXPECT_EQ(get("/apis/ebb.dev/v1/namespaces/other/services/hello/log").code, 404);
}

TEST_F(LogEndpointTest, Parameters) {
  std::string all;
  for (int i = 0; i < 60; ++i) all += line(i, "p1", std::to_string(i));
  log("hello-00001", all);
  clock_.advance(std::chrono::seconds(59));
  const auto with = [&](const std::string& query) { return get(kPodLog + query).body; };
  EXPECT_EQ(with("?tailLines=2"), "58\n59\n");
  EXPECT_EQ(with("?tailLines=0"), "");
  EXPECT_EQ(with("?tailLines=1000").substr(0, 4), "0\n1\n");
  EXPECT_EQ(with("?sinceSeconds=1"), "58\n59\n");
  EXPECT_EQ(with("?sinceTime=2026-01-01T00:00:59Z"), "59\n");
  EXPECT_EQ(with("?limitBytes=3"), "0\n1");
  EXPECT_EQ(with("?sinceSeconds=5&tailLines=1&timestamps=1"), "2026-01-01T00:00:59.000000Z 59\n");
  for (const char* bad : {"?tailLines=x", "?tailLines=-1", "?sinceSeconds=0", "?limitBytes=0",
                          "?sinceTime=now", "?previous=true"}) {
    EXPECT_EQ(get(std::string(kPodLog) + bad).code, 400) << bad;
  }
}

// A pod that prints again and again, while it lives.
class Chatter final {
 public:
  Chatter(net::Executor& executor, std::function<void(int)> print)
      : executor_(executor), print_(std::move(print)) {
    timer_.fire = [this] { turn(); };
    turn();
  }
  Chatter(const Chatter&) = delete;
  Chatter& operator=(const Chatter&) = delete;
  [[nodiscard]] int said() const { return said_; }

 private:
  void turn() {
    print_(++said_);
    executor_.arm(timer_, executor_.now() + std::chrono::milliseconds(1));
  }

  net::Executor& executor_;
  std::function<void(int)> print_;
  net::Timer timer_;
  int said_ = 0;
};

TEST_F(LogEndpointTest, ATailIsNoLongerWhileThePodPrints) {
  constexpr int kLines = 100'000;  // take many turns to count
  std::string all;
  for (int i = 1; i <= kLines; ++i) all += line(1, "p1", std::to_string(i));
  log("hello-00001", all);
  const Chatter chatter(executor_, [&](int said) {
    log("hello-00001", line(2, "p1", fmt::format("more {}", said)));
    if (said % 8 == 0) files_.rotate(uids_["hello-00001"]);
  });
  const int said_before = chatter.said();
  for (const size_t wanted : {0U, 1U, 7U}) {
    const std::string text = get(fmt::format("{}?tailLines={}", kPodLog, wanted)).body;
    EXPECT_EQ(static_cast<size_t>(std::count(text.begin(), text.end(), '\n')), wanted) << text;
  }
  EXPECT_GT(chatter.said(), said_before) << "it printed meanwhile";
}

TEST_F(LogEndpointTest, ALogEndsWhileThePodPrints) {
  log("hello-00001", line(1, "p1", "before"));
  const Chatter chatter(executor_, [&](int said) {
    std::string text;
    for (int i = 0; i < 100; ++i) text += line(2, "p1", fmt::format("more {}", said));
    log("hello-00001", text);
  });
  const std::string text = get(kPodLog).body;
  EXPECT_EQ(text.substr(0, 7), "before\n");
  EXPECT_LT(text.size(), 64U << 10);
}

struct Followed {
  std::string text;
  bool begun = false;
  bool ended = false;
  bool leave = false;  // close when the next piece has come
};

// `out` is shared: the test may end first.
net::Task<void> follow_log(net::Executor* executor, net::Address to, std::string target,
                           std::shared_ptr<Followed> out) {
  TimePoint deadline = executor->now() + std::chrono::seconds(20);
  auto connecting = net::connect(*executor, to, deadline);
  auto stream = co_await connecting;
  http::ClientConnection connection(std::move(*stream));
  http::Fields fields;
  fields.add("Host", "localhost");
  fields.add("Authorization", "Bearer the-token");
  (void)co_await connection.send_head("GET", target, fields, http::BodyLength::none(), "",
                                      deadline);
  auto head = co_await connection.read_head(deadline);
  out->begun = head.has_value();
  while (head) {
    auto piece = co_await connection.read_body(deadline);
    if (!piece || piece->empty()) break;
    out->text += *piece;
    if (out->leave) co_return;
  }
  out->ended = true;
}

class FollowTest : public LogEndpointTest {
 protected:
  std::shared_ptr<Followed> start(const std::string& target) {
    auto out = std::make_shared<Followed>();
    executor_.spawn(follow_log(&executor_, server_->address(), target, out));
    until([&] { return out->begun; });
    return out;
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

TEST_F(FollowTest, TellsWhatComes) {
  log("hello-00001", line(1, "p1", "before"));
  auto followed = start(std::string(kPodLog) + "?follow=true");
  until([&] { return followed->text == "before\n"; });
  log("hello-00001", line(2, "p1", "one") + line(3, "p2", "no"));
  until([&] { return followed->text == "before\none\n"; });
  files_.rotate(uids_["hello-00001"]);
  log("hello-00001", line(4, "p1", "two"));
  until([&] { return followed->text == "before\none\ntwo\n"; });
  EXPECT_FALSE(followed->ended);
}

TEST_F(FollowTest, BeginsWithTheTail) {
  log("hello-00001", line(1, "p1", "one") + line(2, "p1", "two") + line(3, "p1", "three"));
  auto followed = start(std::string(kPodLog) + "?follow=true&tailLines=2");
  until([&] { return followed->text == "two\nthree\n"; });
  log("hello-00001", line(4, "p1", "four"));
  until([&] { return followed->text == "two\nthree\nfour\n"; });
}

TEST_F(FollowTest, FindsNewRevisions) {
  auto followed = start(std::string(kServiceLog) + "?follow=true&tailLines=0");
  revision("hello-00003", "hello");
  log("hello-00003", line(2, "p3", "new"));
  until([&] { return followed->text == "p3 new\n"; });
}

TEST_F(FollowTest, EndsWhenTheServerDoes) {
  auto followed = start(std::string(kPodLog) + "?follow=true");
  api_.end_watches();
  until([&] { return followed->ended; });
}

TEST_F(FollowTest, AClientThatLeavesGivesItsPlaceBack) {
  for (int i = 0; i < LogEndpoint::kMaxReaders; ++i) {
    auto followed = start(fmt::format("{}?follow=true&tailLines=0", kPodLog));
    followed->leave = true;
  }
  EXPECT_EQ(get(kPodLog).code, 429);
  log("hello-00001", line(1, "p1", "bye"));  // they leave
  until([&] { return server_->connections() == 0; });
  EXPECT_EQ(get(kPodLog).code, 200);
}

}  // namespace
}  // namespace ebb::apiserver
