// The seam between deciding and doing: how many pods a revision should have
// (ScaleTarget), and which ones it has (PodSource, PodListener). The Node form
// implements it over Local Controllers, the Pod form over Kubernetes Deployments.
//
// Both directions are safe on any thread and never wait: a request that finds no
// pod asks for one, gets its endpoint and connects, all on its own executor.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace ebb::scheduling {

// Whether a revision's code is kept loaded for its pods to be forked from.
enum class Preload : uint8_t {
  kNever,
  kAutomatic,  // where that is worth it and nothing known is in the way
  kAlways,
};

// What is needed to run a pod of a revision. Immutable, like the revision.
struct PodTemplate {
  std::string revision;  // uid
  std::string ns;        // namespace
  std::string name;      // of the revision
  std::string service;
  std::string service_uid;  // empty if it belongs to none
  std::string configuration;
  std::string runtime;
  std::string code;  // sha256 of the package, hex
  std::map<std::string, std::string> env;
  uint64_t memory_bytes = 0;  // 0: the node's default
  uint32_t cpu_millis = 0;    // 0: no limit
  // What the container requests; 0: nothing. Use is told as a part of it.
  uint64_t memory_request = 0;  // bytes
  uint32_t cpu_request_millis = 0;
  uint32_t concurrency = 0;  // requests at a time; 0: no limit
  Duration start_deadline = std::chrono::seconds(30);
  // Of the container, for runtimes that run a program.
  std::vector<std::string> command;
  std::vector<std::string> args;
  uint32_t port = 0;       // where it listens; 0: 8080
  bool h2c = false;        // it speaks HTTP/2 there, with prior knowledge
  std::string probe_path;  // of its HTTP readiness probe; empty: connecting is enough
  bool egress = true;      // may reach outside and other functions
  bool freeze = false;     // stands still while it holds no request
  Preload preload = Preload::kNever;
};

// From here on a request does not bind itself to a pod that still loads while others of the
// revision serve: one of them may have room long before.
inline constexpr auto kSlowLoad = std::chrono::milliseconds(50);

struct PodEndpoint {
  std::string pod;
  std::string address;  // what net::Address::parse takes
  // False while the code is still loading: it may be connected to and sent requests
  // already, they wait there.
  bool ready = false;
};

// Why a pod is no longer there.
struct PodExit {
  std::string reason;      // one CamelCase word: "Stopped", "LoadFailed", "OOMKilled", ...
  std::string message;     // for a person; callers get to see it
  bool was_ready = false;  // its code had been loaded
};

// Its reason where somebody, or the kernel when the machine ran out of memory, killed a pod that
// loaded its code.
inline constexpr std::string_view kKilledFromOutside = "KilledFromOutside";

// Its end says nothing about the function: it was asked to, or its node has gone, or the
// cold pod had ended before the order to load the code came, or somebody killed it while it
// loaded. No back-off follows.
[[nodiscard]] inline bool is_blameless(const PodExit& exit) {
  return exit.reason == "Stopped" || exit.reason == "NodeLost" || exit.reason == "NotFound" ||
         exit.reason == kKilledFromOutside;
}

// The request path of one revision, as the source of its pods sees it. Called with
// the source's lock held: it must not call back into the source.
class PodListener {
 public:
  virtual ~PodListener() = default;
  virtual void pod_added(const PodEndpoint& endpoint) = 0;
  // Its code is loaded, which took `load`.
  virtual void pod_ready(const std::string& pod, Duration load = {}) = 0;
  // Also for pods that never became ready: a failed start.
  virtual void pod_gone(const std::string& pod, const PodExit& exit) = 0;
  // No pod can be had at the moment, and why.
  virtual void pods_unavailable(const std::string& message) = 0;
  // Takes `count` pods out of use, idle ones and then the least busy first, and
  // returns those that hold no request. For the others PodSource::pod_drained is
  // called when their last request ends.
  struct Drain {
    std::vector<std::string> chosen;
    std::vector<std::string> idle;  // the part of `chosen` that may end now
  };
  [[nodiscard]] virtual Drain begin_drain(int count) = 0;
  // So many requests of another front are in it, which answers what it had in flight. True:
  // the pod was draining, and holds no request any more.
  [[nodiscard]] virtual bool pod_busy(const std::string& pod, int requests) {
    static_cast<void>(pod);
    static_cast<void>(requests);
    return false;
  }
  // When the request came that waits for a slot longest; nullopt: none waits.
  [[nodiscard]] virtual std::optional<TimePoint> oldest_waiting() const { return std::nullopt; }
};

class PodSource {
 public:
  virtual ~PodSource() = default;
  // A revision of this runtime will subscribe soon: pods for it may be made ready.
  // unsubscribe() takes it back, too.
  virtual void announce(const std::string& revision, const std::string& runtime) {
    static_cast<void>(revision);
    static_cast<void>(runtime);
  }
  // All revisions that there are have subscribed: pods of others are ended.
  virtual void end_unclaimed() {}
  // Makes a revision known: from now on it can be scaled, and `listener` hears of its
  // pods, first of those that are there already. One listener per revision.
  virtual void subscribe(std::shared_ptr<const PodTemplate> revision,
                         std::shared_ptr<PodListener> listener) = 0;
  // Ends all its pods, and the subscription.
  virtual void unsubscribe(const std::string& revision) = 0;
  // A draining pod holds no request any more.
  virtual void pod_drained(const std::string& pod) = 0;
  // The pod has stopped answering. Its listener gives it no request any more: another one
  // takes its place, and pod_drained() follows when its last request has ended.
  virtual void pod_hung(const std::string& pod) { static_cast<void>(pod); }
  // The pod stands still from now on, or goes on. `turn` grows with each call for a pod:
  // calls may overtake each other, and the highest counts. False if its node cannot be told.
  virtual bool set_frozen(const std::string& /*pod*/, bool /*frozen*/, uint64_t /*turn*/) {
    return true;
  }
  // A request that the pod did not answer as it should, for whoever looks after the
  // function: an event's reason and message.
  virtual void pod_misbehaved(const std::string& /*pod*/, const std::string& /*reason*/,
                              const std::string& /*message*/) {}
};

class ScaleTarget {
 public:
  virtual ~ScaleTarget() = default;
  // The revision should have `pods` pods, starting ones included, draining ones not.
  // Idempotent; what cannot be had now comes when it can. Nothing happens for a
  // revision (its uid) that nobody has subscribed to.
  virtual void scale(const std::string& revision, int pods) = 0;
};

}  // namespace ebb::scheduling
