// Pods and nodes as resources: what LiveObjects tells, with versions and watch.
// Read-only.
//
// A change is found by comparing with what was seen last, whenever somebody looks;
// a watch looks four times a second. Used on one executor.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/types.h"
#include "net/executor.h"
#include "resources/resource_client.h"

namespace ebb::apiserver {

// What runs now.
class LiveObjects {
 public:
  virtual ~LiveObjects() = default;
  [[nodiscard]] virtual std::vector<api::Pod> pods() = 0;
  [[nodiscard]] virtual std::vector<api::Node> nodes() = 0;
};

class LiveClient final : public resources::ResourceClient {
 public:
  static constexpr Duration kLookEvery = std::chrono::milliseconds(250);
  static constexpr size_t kMaxHistory = 2'000;  // changes; a watch further behind: kGone

  // `first_version` should grow from process to process, so that a version of an
  // earlier one is known to be gone: milliseconds since 1970, say.
  LiveClient(net::Executor& executor, LiveObjects& live, int64_t first_version);
  ~LiveClient() override;

  net::Task<Result<api::Json>> get(const api::Kind& kind, resources::ObjectKey key) override;
  net::Task<Result<resources::ObjectList>> list(const api::Kind& kind, std::string ns) override;
  // These four: kPermission.
  net::Task<Result<api::Json>> create(const api::Kind& kind, api::Json object) override;
  net::Task<Result<api::Json>> update(const api::Kind& kind, api::Json object) override;
  net::Task<Result<api::Json>> update_status(const api::Kind& kind, api::Json object) override;
  net::Task<Result<void>> remove(const api::Kind& kind, resources::ObjectKey key,
                                 std::string resource_version) override;
  std::unique_ptr<resources::ResourceWatch> watch(const api::Kind& kind, std::string ns,
                                                  std::string after) override;

 private:
  class View;
  class LiveWatch;
  [[nodiscard]] View& view_of(const api::Kind& kind);

  net::Executor& executor_;
  LiveObjects& live_;
  std::unique_ptr<View> pods_;
  std::unique_ptr<View> nodes_;
};

}  // namespace ebb::apiserver
