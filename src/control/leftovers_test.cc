#include "control/leftovers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/file.h"
#include "base/sha256.h"
#include "resources/client_fixture.h"
#include "store/file_blob_store.h"

namespace ebb::control {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using store::testing::run;

class LeftoversTest : public resources::ClientFixture {
 protected:
  LeftoversTest() {
    // Files have the time of the machine.
    SystemClock real;
    clock_.advance(real.wall() - clock_.wall());
    fs::create_directory(folder_ + "/code");
    fs::create_directory(folder_ + "/logs");
    blobs_ = std::move(*store::FileBlobStore::open(executor_, disk_, folder_ + "/blobs"));
    code_ = std::make_unique<node::CodeCache>(executor_, *blobs_, disk_, folder_ + "/code");
    leftovers_ = std::make_unique<Leftovers>(executor_,
                                             Leftovers::Uses{.clock = clock_,
                                                             .code = *code_,
                                                             .services = services_,
                                                             .configurations = configurations_,
                                                             .revisions = revisions_},
                                             Leftovers::Disk{.blobs = blobs_.get(),
                                                             .thread = &disk_,
                                                             .logs = folder_ + "/logs",
                                                             .in_use = [this] { return in_use_; }},
                                             LeftoversSettings{.grace = 1h});
    services_.start();
    configurations_.start();
    revisions_.start();
  }

  static std::string hash(int version) { return sha256_hex(package(version)); }
  static std::string package(int version) { return std::string(1024 + 512 * version, '\0'); }
  // Uploads and unpacks it.
  void put(int version) {
    auto writer = must(blobs_->create("sha256:" + hash(version)));
    ASSERT_TRUE(run(executor_, writer->write(package(version))));
    ASSERT_TRUE(run(executor_, writer->commit()));
    ASSERT_TRUE(run(executor_, code_->ensure(hash(version))));
  }
  [[nodiscard]] bool has_blob(int version) const {
    return fs::exists(folder_ + "/blobs/sha256/" + hash(version));
  }
  [[nodiscard]] bool has_code(int version) const {
    return fs::exists(code_->path_of(hash(version)));
  }
  void name(int version, const std::string& service) {
    auto json = ClientFixture::service(service);
    json["spec"]["template"]["metadata"]["annotations"]["ebb.dev/code"] = "sha256:" + hash(version);
    must(client_.create(kService, json));
    const TimePoint patience = executor_.now() + 20s;
    while (services_.find(key(service)) == nullptr) {
      ASSERT_LT(executor_.now(), patience);
      executor_.run_until(executor_.now() + 1ms);
    }
  }
  void sweep() {
    std::optional<int> done;
    executor_.spawn(keep(leftovers_->sweep(), &done));
    const TimePoint patience = executor_.now() + 20s;
    while (!done) {
      ASSERT_LT(executor_.now(), patience);
      executor_.run_until(executor_.now() + 1ms);
    }
  }
  static net::Task<void> keep(net::Task<void> task, std::optional<int>* done) {
    co_await task;
    *done = 1;
  }

  resources::Informer<api::Service> services_{executor_, client_, nullptr};
  resources::Informer<api::Configuration> configurations_{executor_, client_, nullptr};
  resources::Informer<api::Revision> revisions_{executor_, client_, nullptr};
  store::DiskThread disk_;
  std::unique_ptr<store::FileBlobStore> blobs_;
  std::unique_ptr<node::CodeCache> code_;
  CodeInUse in_use_;
  std::unique_ptr<Leftovers> leftovers_;
};

TEST_F(LeftoversTest, WhatNothingNamesGoesAfterTheGraceTime) {
  put(1);
  put(2);
  name(1, "hello");
  sweep();
  EXPECT_TRUE(has_code(1));
  EXPECT_TRUE(has_blob(1) && has_blob(2)) << "a deploy may be under way";
  clock_.advance(2h);
  sweep();
  EXPECT_TRUE(has_blob(1) && has_code(1));
  EXPECT_FALSE(has_blob(2) || has_code(2));
}

TEST_F(LeftoversTest, WhatAClientAsksForStays) {
  put(1);
  const auto old = std::chrono::system_clock::now() - 3h;
  fs::last_write_time(folder_ + "/blobs/sha256/" + hash(1),
                      fs::file_time_type::clock::from_sys(
                          std::chrono::time_point_cast<fs::file_time_type::duration>(old)));
  EXPECT_TRUE(must(blobs_->find("sha256:" + hash(1))));
  sweep();
  EXPECT_TRUE(has_blob(1));
}

TEST_F(LeftoversTest, WhatAPodHasMountedStays) {
  put(1);
  clock_.advance(2h);
  in_use_.codes.insert(hash(1));
  sweep();
  EXPECT_TRUE(has_code(1));
  in_use_ = {.codes = {""}, .revisions = {}, .complete = false};
  sweep();
  EXPECT_TRUE(has_code(1)) << "it may be the one";
  in_use_ = {};
  sweep();
  EXPECT_FALSE(has_code(1));
}

TEST_F(LeftoversTest, LogsOfDeletedRevisionsGo) {
  for (const char* file : {"gone.log", "gone.log.1", "running.log", "other.txt"}) {
    ASSERT_TRUE(write_file_atomic(folder_ + "/logs/" + file, "hello", 0600));
  }
  in_use_.revisions.insert("running");
  sweep();
  EXPECT_TRUE(fs::exists(folder_ + "/logs/gone.log")) << "somebody may still want to read it";
  clock_.advance(2h);
  sweep();
  EXPECT_FALSE(fs::exists(folder_ + "/logs/gone.log"));
  EXPECT_FALSE(fs::exists(folder_ + "/logs/gone.log.1"));
  EXPECT_TRUE(fs::exists(folder_ + "/logs/running.log"));
  EXPECT_TRUE(fs::exists(folder_ + "/logs/other.txt"));
}

TEST_F(LeftoversTest, ManyGoInSeveralTurns) {
  constexpr int kMany = 2 * static_cast<int>(Leftovers::kAtOnce) + 3;
  for (int version = 0; version < kMany; ++version) {
    auto writer = must(blobs_->create("sha256:" + hash(version)));
    ASSERT_TRUE(run(executor_, writer->write(package(version))));
    ASSERT_TRUE(run(executor_, writer->commit()));
  }
  name(5, "hello");
  clock_.advance(2h);
  sweep();
  EXPECT_EQ(must(blobs_->list()).size(), 1u);
  EXPECT_TRUE(has_blob(5));
}

}  // namespace
}  // namespace ebb::control
