#include "resources/informer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "api/types.h"
#include "resources/client_fixture.h"

namespace ebb::resources {
namespace {

using ::testing::ElementsAre;

class InformerTest : public ClientFixture {
 protected:
  template <class Done>
  void run_until(Done done) {
    TimePoint patience = executor_.now() + std::chrono::seconds(30);
    while (!done()) {
      ASSERT_LT(executor_.now(), patience);
      executor_.run_until(executor_.now() + std::chrono::milliseconds(5));
    }
  }
  std::vector<std::string> changes_;
  Informer<api::Service>::OnChange note_ = [this](const ObjectKey& k) {
    changes_.push_back(k.name);
  };
};

TEST_F(InformerTest, ListsThenFollows) {
  must(client_.create(kService, service("a")));
  must(client_.create(kService, service("b", "other")));
  Informer<api::Service> informer(executor_, client_, note_);
  EXPECT_FALSE(informer.synced());
  informer.start();
  run_until([&] { return informer.synced(); });
  EXPECT_EQ(informer.all().size(), 2U);
  EXPECT_NE(informer.find({"other", "b"}), nullptr);
  EXPECT_EQ(informer.find({"default", "b"}), nullptr);

  auto c = must(client_.create(kService, service("c")));
  run_until([&] { return changes_.size() == 3; });
  c["metadata"]["labels"]["x"] = "y";
  must(client_.update(kService, c));
  run_until([&] { return changes_.size() == 4; });
  EXPECT_EQ(informer.find(key("c"))->meta.labels.at("x"), "y");
  ASSERT_TRUE(run(executor_, client_.remove(kService, key("c"), "")));
  run_until([&] { return changes_.size() == 5; });
  EXPECT_EQ(informer.find(key("c")), nullptr);
  EXPECT_THAT(changes_, ElementsAre("a", "b", "c", "c", "c"));
}

TEST_F(InformerTest, CallbacksSeeTheWholeList) {
  must(client_.create(kService, service("a")));
  must(client_.create(kService, service("b")));
  size_t seen = 0;
  std::unique_ptr<Informer<api::Service>> informer;
  informer = std::make_unique<Informer<api::Service>>(executor_, client_, [&](const ObjectKey&) {
    if (seen == 0) seen = informer->all().size();
    EXPECT_TRUE(informer->synced());
  });
  informer->start();
  run_until([&] { return seen != 0; });
  EXPECT_EQ(seen, 2U);
}

TEST_F(InformerTest, MayEndWhileItsLoopWaits) {
  must(client_.create(kService, service("a")));
  must(client_.create(kService, service("b")));
  int calls = 0;
  std::unique_ptr<Informer<api::Service>> informer;
  informer = std::make_unique<Informer<api::Service>>(executor_, client_, [&](const ObjectKey&) {
    ++calls;
    executor_.post([&] { informer.reset(); });
  });
  informer->start();
  run_until([&] { return informer == nullptr; });
  must(client_.create(kService, service("c")));
  EXPECT_EQ(calls, 2);
}

// A client whose answers a test decides.
class ScriptedClient final : public ResourceClient {
 public:
  struct Step {
    Result<ObjectList> list;
    std::deque<Result<std::vector<ResourceEvent>>> watch;
  };
  std::deque<Step> steps;
  int lists = 0;

  net::Task<Result<ObjectList>> list(const api::Kind&, std::string) override {
    ++lists;
    if (steps.empty()) co_return fail(Errc::kUnavailable, "the script has ended");
    if (!steps.front().list) {
      Error error = steps.front().list.error();
      steps.pop_front();
      co_return fail(error);
    }
    co_return *steps.front().list;
  }
  std::unique_ptr<ResourceWatch> watch(const api::Kind&, std::string, std::string) override {
    auto events = std::move(steps.front().watch);
    steps.pop_front();
    return std::make_unique<Watch>(std::move(events));
  }
  net::Task<Result<api::Json>> get(const api::Kind&, ObjectKey) override { return never(); }
  net::Task<Result<api::Json>> create(const api::Kind&, api::Json) override { return never(); }
  net::Task<Result<api::Json>> update(const api::Kind&, api::Json) override { return never(); }
  net::Task<Result<api::Json>> update_status(const api::Kind&, api::Json) override {
    return never();
  }
  net::Task<Result<void>> remove(const api::Kind&, ObjectKey, std::string) override {
    co_return fail(Errc::kInternal, "not used");
  }

 private:
  static net::Task<Result<api::Json>> never() { co_return fail(Errc::kInternal, "not used"); }
  class Watch final : public ResourceWatch {
   public:
    explicit Watch(std::deque<Result<std::vector<ResourceEvent>>> events)
        : events_(std::move(events)) {}
    net::Task<Result<std::vector<ResourceEvent>>> next(TimePoint) override {
      if (events_.empty()) co_return fail(Errc::kGone, "compacted");
      auto front = std::move(events_.front());
      events_.pop_front();
      co_return front;
    }

   private:
    std::deque<Result<std::vector<ResourceEvent>>> events_;
  };
};

api::Json named(api::Json object, const char* version) {
  object["metadata"]["resourceVersion"] = version;
  return object;
}

TEST_F(InformerTest, ListsAgainWhenTheHistoryIsGone) {
  ScriptedClient scripted;
  // First a and b; then, after a gap, b is gone, a unchanged, c is new.
  scripted.steps.push_back(
      {ObjectList{{named(service("a"), "1"), named(service("b"), "2")}, "2"}, {}});
  scripted.steps.push_back(
      {ObjectList{{named(service("a"), "1"), named(service("c"), "9")}, "9"}, {}});
  Informer<api::Service> informer(executor_, scripted, note_);
  informer.start();
  run_until([&] { return changes_.size() == 4; });
  EXPECT_THAT(changes_, ElementsAre("a", "b", "c", "b"));
  EXPECT_EQ(informer.all().size(), 2U);
}

TEST_F(InformerTest, TriesAgainAfterErrors) {
  ScriptedClient scripted;
  scripted.steps.push_back({fail(Errc::kUnavailable, "starting"), {}});
  scripted.steps.push_back({ObjectList{{named(service("a"), "1")}, "1"}, {}});
  Informer<api::Service> informer(executor_, scripted, note_);
  TimePoint start = executor_.now();
  informer.start();
  EXPECT_EQ(scripted.lists, 1);
  run_until([&] { return informer.synced(); });
  EXPECT_EQ(scripted.lists, 2);
  EXPECT_GE(executor_.now() - start, kInformerFirstRetry);
}

TEST_F(InformerTest, LeavesOutWhatItCannotRead) {
  ScriptedClient scripted;
  auto bad = named(service("bad"), "1");
  bad["spec"] = "text";
  scripted.steps.push_back({ObjectList{{bad, named(service("good"), "2")}, "2"}, {}});
  Informer<api::Service> informer(executor_, scripted, note_);
  informer.start();
  run_until([&] { return informer.synced(); });
  EXPECT_THAT(changes_, ElementsAre("good"));
}

}  // namespace
}  // namespace ebb::resources
