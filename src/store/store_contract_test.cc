// What every Store must do, whatever it keeps its data in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "store/sqlite_store.h"
#include "store/store.h"
#include "store/testing.h"

namespace ebb::store {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using testing::run;
using ::testing::SizeIs;

// A store for one test, on an executor.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual Store& store() = 0;
};
using MakeSubject = std::unique_ptr<Subject> (*)(net::Executor&);

class SqliteSubject final : public Subject {
 public:
  explicit SqliteSubject(net::Executor& executor) {
    std::string pattern = ::testing::TempDir() + "ebb-store-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    auto store = SqliteStore::open(executor, folder_ + "/state.db");
    if (!store) ADD_FAILURE() << store.error().message;
    store_ = std::move(*store);
  }
  ~SqliteSubject() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  Store& store() override { return *store_; }

 private:
  std::string folder_;
  std::unique_ptr<SqliteStore> store_;
};

std::unique_ptr<Subject> make_sqlite(net::Executor& executor) {
  return std::make_unique<SqliteSubject>(executor);
}

struct Parameter {
  const char* name;
  MakeSubject make;
};

class StoreContract : public ::testing::TestWithParam<Parameter> {
 protected:
  Store& store() { return subject_->store(); }
  RevisionNumber put(const std::string& key, const std::string& value, RevisionNumber expected) {
    auto revision = run(executor_, store().put(key, value, expected));
    EXPECT_TRUE(revision) << revision.error().message;
    return revision.value_or(0);
  }
  Range list(const std::string& prefix) {
    auto range = run(executor_, store().list(prefix));
    EXPECT_TRUE(range) << range.error().message;
    return range.value_or(Range());
  }
  // The next events of a watch, as "+key=value@revision" or "-key=value@revision".
  std::vector<std::string> next(Watch& watch) {
    auto events = run(executor_, watch.next(executor_.now() + std::chrono::seconds(20)));
    EXPECT_TRUE(events) << events.error().message;
    std::vector<std::string> out;
    for (const auto& event : events.value_or(std::vector<Event>())) {
      out.push_back((event.type == Event::Type::kPut ? "+" : "-") + event.item.key + "=" +
                    event.item.value + "@" + std::to_string(event.item.modified));
    }
    return out;
  }
  Errc next_error(Watch& watch, Duration patience) {
    auto events = run(executor_, watch.next(executor_.now() + patience));
    EXPECT_FALSE(events);
    return events ? Errc::kInternal : events.error().code;
  }

  net::Executor executor_{"store-test"};
  std::unique_ptr<Subject> subject_ = GetParam().make(executor_);
};

TEST_P(StoreContract, StartsEmpty) {
  auto found = run(executor_, store().get("a"));
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found);
  EXPECT_EQ(list("").revision, 0);
  EXPECT_THAT(list("").items, SizeIs(0));
}

TEST_P(StoreContract, CountsRevisionsOverAllKeys) {
  EXPECT_EQ(put("a", "1", kMustNotExist), 1);
  EXPECT_EQ(put("b", "1", kMustNotExist), 2);
  EXPECT_EQ(put("a", "2", 1), 3);
  auto found = run(executor_, store().get("a"));
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->value, "2");
  EXPECT_EQ((*found)->created, 1);
  EXPECT_EQ((*found)->modified, 3);
}

TEST_P(StoreContract, KeepsAnyBytes) {
  std::string key("k\0\xff/x", 5);
  std::string value("\0\xff\n\x80", 4);
  put(key, value, kMustNotExist);
  put("empty", "", kMustNotExist);
  auto found = run(executor_, store().get(key));
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->key, key);
  EXPECT_EQ((*found)->value, value);
  EXPECT_EQ((*run(executor_, store().get("empty")))->value, "");
}

TEST_P(StoreContract, PutComparesTheRevision) {
  put("a", "1", kMustNotExist);
  auto conflict = [&](std::string key, RevisionNumber expected) {
    auto result = run(executor_, store().put(std::move(key), "x", expected));
    return !result && result.error().code == Errc::kConflict;
  };
  EXPECT_TRUE(conflict("a", kMustNotExist));
  EXPECT_TRUE(conflict("a", 2));
  EXPECT_TRUE(conflict("none", 1));
  EXPECT_EQ(list("").revision, 1) << "a refused write takes no revision";
  EXPECT_EQ(put("a", "2", 1), 2);
}

TEST_P(StoreContract, RemoveComparesTheRevision) {
  put("a", "1", kMustNotExist);
  auto missing = run(executor_, store().remove("none", 1));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::kNotFound);
  auto conflict = run(executor_, store().remove("a", 7));
  ASSERT_FALSE(conflict);
  EXPECT_EQ(conflict.error().code, Errc::kConflict);
  EXPECT_EQ(run(executor_, store().remove("a", 1)), 2);
  EXPECT_FALSE(*run(executor_, store().get("a")));
  EXPECT_EQ(put("a", "again", kMustNotExist), 3);
  EXPECT_EQ((*run(executor_, store().get("a")))->created, 3);
}

TEST_P(StoreContract, ListsAPrefixInOrder) {
  for (const char* key : {"b/2", "a/1", "b/10", "b", "b0", "b/1"}) put(key, key, kMustNotExist);
  auto range = list("b/");
  EXPECT_EQ(range.revision, 6);
  EXPECT_THAT(range.items, ElementsAre(Field(&KeyValue::key, "b/1"), Field(&KeyValue::key, "b/10"),
                                       Field(&KeyValue::key, "b/2")));
  EXPECT_THAT(list("").items, SizeIs(6));
}

TEST_P(StoreContract, ListTakesPrefixesOfTheHighestByte) {
  put("\xff", "1", kMustNotExist);
  put("\xff\xff", "2", kMustNotExist);
  put("a\xff", "3", kMustNotExist);
  put("b", "4", kMustNotExist);
  EXPECT_THAT(list("\xff").items, SizeIs(2));
  EXPECT_THAT(list("a\xff").items, SizeIs(1));
}

TEST_P(StoreContract, WatchDeliversWhatCameAfter) {
  put("s/a", "1", kMustNotExist);
  auto after = put("s/b", "1", kMustNotExist);
  put("s/a", "2", 1);
  put("t/x", "1", kMustNotExist);
  auto watch = store().watch("s/", after);
  EXPECT_THAT(next(*watch), ElementsAre("+s/a=2@3"));
  ASSERT_TRUE(run(executor_, store().remove("s/a", 3)));
  EXPECT_THAT(next(*watch), ElementsAre("-s/a=2@5"));
  EXPECT_EQ(next_error(*watch, std::chrono::milliseconds(5)), Errc::kTimeout);
  put("s/c", "1", kMustNotExist);
  EXPECT_THAT(next(*watch), ElementsAre("+s/c=1@6"));
}

TEST_P(StoreContract, WatchFromTheStartTellsAllOfTheHistory) {
  put("a", "1", kMustNotExist);
  put("a", "2", 1);
  ASSERT_TRUE(run(executor_, store().remove("a", 2)));
  auto watch = store().watch("", 0);
  EXPECT_THAT(next(*watch), ElementsAre("+a=1@1", "+a=2@2", "-a=2@3"));
}

TEST_P(StoreContract, WatchIsGoneWhenItsHistoryIsCompacted) {
  put("a", "1", kMustNotExist);
  put("a", "2", 1);
  put("a", "3", 2);
  auto before = store().watch("", 1);
  ASSERT_TRUE(run(executor_, store().compact(2)));
  auto old = store().watch("", 1);
  EXPECT_EQ(next_error(*old, std::chrono::seconds(20)), Errc::kGone);
  EXPECT_EQ(next_error(*before, std::chrono::seconds(20)), Errc::kGone);
  auto kept = store().watch("", 2);
  EXPECT_THAT(next(*kept), ElementsAre("+a=3@3"));
  EXPECT_THAT(list("").items, SizeIs(1)) << "current values stay";
}

TEST_P(StoreContract, CompactingTheFutureForgetsWhatThereIs) {
  put("a", "1", kMustNotExist);
  ASSERT_TRUE(run(executor_, store().compact(100)));
  auto watch = store().watch("", 1);
  put("a", "2", 1);
  EXPECT_THAT(next(*watch), ElementsAre("+a=2@2"));
}

TEST_P(StoreContract, WatchOfAnUnknownFutureIsGone) {
  put("a", "1", kMustNotExist);
  auto watch = store().watch("", 1000);
  EXPECT_EQ(next_error(*watch, std::chrono::seconds(20)), Errc::kGone);
}

TEST_P(StoreContract, AQuietWatchOutlivesCompaction) {
  put("a", "1", kMustNotExist);
  auto watch = store().watch("quiet/", 1);
  // Suspended while others write and the history is compacted away.
  struct Waiting {
    static net::Task<void> next(Watch* watch, std::optional<Result<std::vector<Event>>>* out) {
      out->emplace(co_await watch->next(kNever));
    }
  };
  std::optional<Result<std::vector<Event>>> events;
  executor_.spawn(Waiting::next(watch.get(), &events));
  RevisionNumber last = 1;
  for (int i = 0; i < 10; ++i) last = put("a", "x", last);
  ASSERT_TRUE(run(executor_, store().compact(last)));
  put("quiet/b", "1", kMustNotExist);
  while (!events) executor_.run_until(executor_.now() + std::chrono::milliseconds(5));
  ASSERT_TRUE(*events) << events->error().message;
  EXPECT_EQ((**events)[0].item.key, "quiet/b");
}

// --- Many writers, watches that start at any moment: nothing missed or doubled ---

constexpr int kWriters = 8;
constexpr int kWritesEach = 60;

net::Task<void> write_counter(Store* store, int writer, int* done) {
  std::string key = "w/" + std::to_string(writer % 3);  // they contend
  for (int i = 0; i < kWritesEach;) {
    auto current = co_await store->get(key);
    if (!current) ADD_FAILURE() << current.error().message;
    RevisionNumber expected = *current ? (*current)->modified : kMustNotExist;
    std::string value = std::to_string(writer) + ":" + std::to_string(i);
    auto written = co_await store->put(key, std::move(value), expected);
    if (written) {
      ++i;
    } else {
      EXPECT_EQ(written.error().code, Errc::kConflict) << written.error().message;
    }
  }
  ++*done;
}

net::Task<void> follow(Watch* watch, RevisionNumber from, RevisionNumber total, int* done) {
  RevisionNumber seen = from;
  while (seen < total) {
    auto events = co_await watch->next(kNever);
    if (!events) {
      ADD_FAILURE() << events.error().message;
      break;
    }
    // All keys are watched and each write takes one revision: none may be left out.
    for (const auto& event : *events) EXPECT_EQ(event.item.modified, ++seen);
  }
  ++*done;
}

TEST_P(StoreContract, ConcurrentWritersAndWatches) {
  int done = 0;
  constexpr RevisionNumber kTotal = kWriters * kWritesEach;
  for (int i = 0; i < kWriters; ++i) executor_.spawn(write_counter(&store(), i, &done));
  std::vector<std::unique_ptr<Watch>> watches;
  int followed = 0;
  TimePoint patience = executor_.now() + std::chrono::seconds(30);
  while (done < kWriters || followed < static_cast<int>(watches.size())) {
    ASSERT_LT(executor_.now(), patience);
    executor_.run_until(executor_.now() + std::chrono::milliseconds(1));
    if (done == kWriters || watches.size() >= 40) continue;
    RevisionNumber from = list("").revision;
    watches.push_back(store().watch("", from));
    executor_.spawn(follow(watches.back().get(), from, kTotal, &followed));
  }
  EXPECT_EQ(list("").revision, kTotal);
  EXPECT_FALSE(watches.empty());
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContract, ::testing::Values(Parameter{"Sqlite", make_sqlite}),
                         [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace ebb::store
