// What runs now as resources, with versions and watch: pods and nodes, what they use,
// events and pod autoscalers. Read-only, but for what scales a revision: who changes that
// in its pod autoscaler changes the revision's annotations.
//
// Of pods, nodes and their use a change is found by comparing with what was seen last, whenever
// somebody looks; events and autoscalers number their own changes (LiveSource). A watch
// looks four times a second. Used on one executor.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/pod_autoscaler.h"
#include "api/types.h"
#include "api/usage.h"
#include "net/executor.h"
#include "resources/resource_client.h"

namespace ebb::apiserver {

// The objects of one kind, whose changes have numbers that grow, also from process to
// process: the versions of the objects.
class LiveSource {
 public:
  virtual ~LiveSource() = default;
  // Called before each of the others: what is new is to be seen now.
  virtual void refresh() {}
  [[nodiscard]] virtual int64_t version() const = 0;  // of the newest change
  [[nodiscard]] virtual std::optional<api::Json> find(const resources::ObjectKey& key) const = 0;
  [[nodiscard]] virtual std::vector<api::Json> list(const std::string& ns) const = 0;
  // The changes after `*position` in `ns`, which moves on. False if some were forgotten.
  virtual bool changes(const std::string& ns, int64_t* position,
                       std::vector<resources::ResourceEvent>* out) const = 0;
};

// What runs now.
class LiveObjects {
 public:
  virtual ~LiveObjects() = default;
  [[nodiscard]] virtual std::vector<api::Pod> pods() = 0;
  [[nodiscard]] virtual std::vector<api::Node> nodes() = 0;
  // Of those that have been measured.
  [[nodiscard]] virtual std::vector<api::PodMetrics> pod_metrics() { return {}; }
  [[nodiscard]] virtual std::vector<api::NodeMetrics> node_metrics() { return {}; }
  // nullptr: there are none.
  [[nodiscard]] virtual LiveSource* events() { return nullptr; }
  [[nodiscard]] virtual LiveSource* autoscalers() { return nullptr; }
};

class LiveClient final : public resources::ResourceClient {
 public:
  static constexpr Duration kLookEvery = std::chrono::milliseconds(250);
  static constexpr size_t kMaxHistory = 2'000;  // changes; a watch further behind: kGone

  // `first_version` should grow from process to process, so that a version of an
  // earlier one is known to be gone: milliseconds since 1970, say. `stored`: where the
  // revisions are.
  LiveClient(net::Executor& executor, LiveObjects& live, resources::ResourceClient& stored,
             int64_t first_version);
  ~LiveClient() override;

  net::Task<Result<api::Json>> get(const api::Kind& kind, resources::ObjectKey key) override;
  net::Task<Result<resources::ObjectList>> list(const api::Kind& kind, std::string ns) override;
  // Of a pod autoscaler, which admission has seen; its resourceVersion is not looked at,
  // since that changes with each decision. Of others: kPermission, as these three.
  net::Task<Result<api::Json>> update(const api::Kind& kind, api::Json object) override;
  net::Task<Result<api::Json>> create(const api::Kind& kind, api::Json object) override;
  net::Task<Result<api::Json>> update_status(const api::Kind& kind, api::Json object) override;
  net::Task<Result<void>> remove(const api::Kind& kind, resources::ObjectKey key,
                                 std::string resource_version) override;
  std::unique_ptr<resources::ResourceWatch> watch(const api::Kind& kind, std::string ns,
                                                  std::string after) override;

 private:
  class View;
  class LiveWatch;
  [[nodiscard]] LiveSource& source_of(const api::Kind& kind);
  // Writes what scales the revision.
  net::Task<Result<void>> set_scaling(resources::ObjectKey revision, api::ScalingChanges changes);

  net::Executor& executor_;
  LiveObjects& live_;
  resources::ResourceClient& stored_;
  std::unique_ptr<View> pods_;
  std::unique_ptr<View> nodes_;
  std::unique_ptr<View> pod_metrics_;
  std::unique_ptr<View> node_metrics_;
  std::unique_ptr<View> nothing_;
};

}  // namespace ebb::apiserver
