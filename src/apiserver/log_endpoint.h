// The logs of pods and services, as text: what there is, and with `follow` what comes.
// Control executor only.
//
// Parameters as in Kubernetes: follow, sinceSeconds, sinceTime, tailLines, timestamps,
// limitBytes. Without follow a log ends where it ended when it was asked for. A service's log has
// the lines of all its revisions and pods, also ended ones; each begins with its pod's id and a
// blank.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apiserver/request.h"
#include "base/clock.h"
#include "http/server.h"
#include "net/executor.h"
#include "net/fd_watch.h"
#include "net/one_shot.h"
#include "net/task.h"
#include "resources/resource_client.h"

namespace ebb::apiserver {

// Tells when files in a folder grow or come. Watches only while somebody waits; where
// the kernel cannot tell, every wait ends after kPollEvery.
class FolderWatch final {
 public:
  static constexpr Duration kPollEvery = std::chrono::milliseconds(250);

  FolderWatch(net::Executor& executor, std::string folder);
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // Somebody who will wait, while it lives: no change after its making is missed.
  class [[nodiscard]] Waiter final {
   public:
    explicit Waiter(FolderWatch& watch);
    ~Waiter();
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    // Ends at a change since the last call, or at the deadline.
    [[nodiscard]] net::Task<void> changed(TimePoint deadline);

   private:
    FolderWatch& watch_;
    uint64_t seen_;
  };

  [[nodiscard]] const std::string& folder() const { return folder_; }

 private:
  void begin();
  void on_event();

  net::Executor& executor_;
  std::string folder_;
  int waiters_ = 0;
  uint64_t changes_ = 0;
  UniqueFd inotify_;
  std::unique_ptr<net::FdWatch> events_;
  std::vector<net::OneShot<bool>::Sender> waiting_;
};

class LogEndpoint final {
 public:
  static constexpr int kMaxReaders = 64;            // at the same time; over it: 429
  static constexpr size_t kMaxRevisions = 32;       // of a service: the newest ones
  static constexpr size_t kWritePiece = 32 * 1024;  // bytes gathered for a write
  static constexpr uint64_t kSlice = 256 * 1024;    // bytes read without letting others run
  static constexpr Duration kMaxFollow = std::chrono::hours(4);
  // How soon a follower notices that its client left, or end().
  static constexpr Duration kPatience = std::chrono::milliseconds(500);
  // How often a follower of a service looks for new revisions.
  static constexpr Duration kRelist = std::chrono::seconds(2);

  // `stored` has services and revisions, `live` pods. All must outlive it.
  LogEndpoint(net::Executor& executor, std::string folder, resources::ResourceClient& stored,
              resources::ResourceClient& live, const Clock& clock);

  // For kPodLog and kServiceLog.
  [[nodiscard]] net::Task<void> serve(http::Exchange& exchange, const ApiRequest& request);
  // Ends all followers, in order, within kPatience.
  void end() { ended_ = true; }

 private:
  class Reading;
  // The uids of the revisions whose logs are asked for.
  [[nodiscard]] net::Task<Result<std::vector<std::string>>> revisions_of_pod(
      const ApiRequest& request);
  [[nodiscard]] net::Task<Result<std::vector<std::string>>> revisions_of_service(
      const ApiRequest& request);
  [[nodiscard]] net::Task<void> stream(http::Exchange& exchange, const ApiRequest& request,
                                       std::vector<std::string> revisions);

  net::Executor& executor_;
  resources::ResourceClient& stored_;
  resources::ResourceClient& live_;
  const Clock& clock_;
  FolderWatch watch_;
  int readers_ = 0;
  bool ended_ = false;
};

}  // namespace ebb::apiserver
