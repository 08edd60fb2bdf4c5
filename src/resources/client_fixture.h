// For tests: a StoreClient over an SQLite store in a folder of its own.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "api/types.h"
#include "resources/store_client.h"
#include "store/sqlite_store.h"
#include "store/testing.h"

namespace ebb::resources {

using store::testing::run;

class ClientFixture : public ::testing::Test {
 public:
  ~ClientFixture() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

 protected:
  // Runs a task that must succeed.
  template <class T>
  T must(net::Task<Result<T>> task) {
    auto result = run(executor_, std::move(task));
    if (!result) {
      ADD_FAILURE() << result.error().message;
      return T();
    }
    return std::move(*result);
  }
  static ObjectKey key(const std::string& name) { return {"default", name}; }
  static api::Json service(const std::string& name, const std::string& ns = "default") {
    api::Json json;
    json["apiVersion"] = kService.api_version();
    json["kind"] = kService.kind;
    json["metadata"]["name"] = name;
    json["metadata"]["namespace"] = ns;
    json["spec"] = api::Json::object();
    return json;
  }

  inline static const api::Kind& kService = api::Service::kind();
  net::Executor executor_{"resources-test"};
  FakeClock clock_;
  std::string folder_ = make_folder();
  std::unique_ptr<store::SqliteStore> store_ = open_store();
  StoreClient client_{*store_, clock_};

 private:
  static std::string make_folder() {
    std::string pattern = ::testing::TempDir() + "ebb-resources-XXXXXX";
    return ::mkdtemp(pattern.data());
  }
  std::unique_ptr<store::SqliteStore> open_store() {
    auto store = store::SqliteStore::open(executor_, folder_ + "/state.db");
    if (!store) ADD_FAILURE() << store.error().message;
    return std::move(*store);
  }
};

}  // namespace ebb::resources
