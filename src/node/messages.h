// What the front and a Local Controller say to each other: framed, versioned,
// length-checked messages, one per packet of a Unix SOCK_SEQPACKET socket.
//
// The Local Controller is privileged and trusts nothing in them: decode() refuses
// unknown types, other versions, trailing bytes and strings over their bounds;
// names are checked before they are used in a path.
//
//   header  u16 'EB' | u16 version | u16 type | u16 zero | u32 payload bytes
//   payload the fields in order; integers little-endian, strings and lists with a
//           u32 count before them
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace ebb::node {

inline constexpr uint16_t kMagic = 0x4245;  // "EB"
inline constexpr uint16_t kProtocolVersion = 6;
inline constexpr size_t kMaxMessage = 128 * 1024;  // bytes, header included
inline constexpr size_t kMaxString = 64 * 1024;
inline constexpr size_t kMaxList = 4096;

// --- Front -> Local Controller ---

// Hold this many cold pods of a runtime. Starts its zygote when it is the first.
struct SetPool {
  std::string runtime;
  uint32_t cold = 0;
  template <class A>
  void fields(A& a) {
    a(runtime, cold);
  }
  friend bool operator==(const SetPool&, const SetPool&) = default;
};

// What a pod may reach besides itself.
enum class PodNetwork : uint8_t {
  kEgress,  // the outside, other functions by the gateway, the resolver
  kNone,
};

// Whether a revision gets a pod that has loaded its code once, to fork others from.
enum class Preload : uint8_t {
  kNever,
  kAutomatic,  // if loading is slow, often done, and leaves nothing that a fork would break
  kAlways,
};

// Give a cold pod to a revision: mount the code, load it. It may be connected to
// from this moment; PodReady or PodGone tells the outcome.
struct Assign {
  std::string pod;
  std::string revision;  // uid
  std::string code;      // sha256, 64 hex digits: a folder in the code cache
  std::map<std::string, std::string> env;
  uint64_t memory_bytes = 0;
  uint32_t cpu_millis = 0;   // 0: no limit
  uint32_t concurrency = 0;  // requests at a time; 0: no limit
  uint32_t start_deadline_ms = 0;
  uint8_t network = 0;  // PodNetwork
  // Of the container, for runtimes that run a program; each may be empty or 0.
  std::vector<std::string> command = {};
  std::vector<std::string> args = {};
  uint32_t port = 0;            // where the program listens
  std::string probe_path = {};  // of its HTTP readiness probe
  uint8_t preload = 0;          // Preload
  template <class A>
  void fields(A& a) {
    a(pod, revision, code, env, memory_bytes, cpu_millis, concurrency, start_deadline_ms, network,
      command, args, port, probe_path, preload);
  }
};

// End a pod. The front has drained it: a warm one gets SIGTERM and, after a grace,
// SIGKILL.
struct Stop {
  std::string pod;
  template <class A>
  void fields(A& a) {
    a(pod);
  }
};

// The pod stands still from now on, or goes on. Of several the one with the highest turn
// counts, in whichever order they come.
struct Freeze {
  std::string pod;
  uint8_t frozen = 0;
  uint64_t turn = 0;
  template <class A>
  void fields(A& a) {
    a(pod, frozen, turn);
  }
  friend bool operator==(const Freeze&, const Freeze&) = default;
};

// The revision is deleted: nothing is kept ready for it.
struct Forget {
  std::string revision;  // uid
  template <class A>
  void fields(A& a) {
    a(revision);
  }
  friend bool operator==(const Forget&, const Forget&) = default;
};

// What the front serves for pods on the node's address (Welcome::node_address): ports,
// 0 for nothing.
struct ServePods {
  uint16_t gateway = 0;         // listens there
  uint16_t public_gateway = 0;  // what pods may use as well as 80
  uint16_t dns = 0;             // UDP and TCP; pods use 53
  template <class A>
  void fields(A& a) {
    a(gateway, public_gateway, dns);
  }
};

// Another front follows soon, which knows where this one serves pods: that stays as it is.
struct HandOver {
  template <class A>
  void fields(A& /*archive*/) {}
};

// End everything and yourself.
struct Shutdown {
  template <class A>
  void fields(A& /*archive*/) {}
};

// Answer with a Pong.
struct Ping {
  uint64_t number = 0;
  template <class A>
  void fields(A& a) {
    a(number);
  }
};

// --- Local Controller -> front ---

enum class PodState : uint8_t { kStarting, kCold, kLoading, kReady, kEnding };

struct PodReport {
  std::string pod;
  std::string runtime;
  std::string revision;  // uid; empty while cold
  uint8_t state = 0;     // PodState
  uint32_t concurrency = 0;
  template <class A>
  void fields(A& a) {
    a(pod, runtime, revision, state, concurrency);
  }
};

// First message to a front that connects: what is here already.
struct Welcome {
  std::string node;
  uint32_t slots = 0;  // pods that this node can hold
  std::vector<PodReport> pods;
  // Where pods find the node in their network; empty: they have only loopback, since ...
  std::string node_address;
  std::string network_problem;
  template <class A>
  void fields(A& a) {
    a(node, slots, pods, node_address, network_problem);
  }
};

// A fresh pod waits; its socket is POD.sock in the pods folder.
struct PodCold {
  std::string pod;
  std::string runtime;
  template <class A>
  void fields(A& a) {
    a(pod, runtime);
  }
};

// The code is loaded.
struct PodReady {
  std::string pod;
  uint64_t load_us = 0;  // from Assign to loaded
  template <class A>
  void fields(A& a) {
    a(pod, load_us);
  }
};

// A pod has ended, and its last words.
struct PodGone {
  std::string pod;
  std::string reason;       // one CamelCase word: Stopped, LoadFailed, Exited, OOMKilled, ...
  std::string message;      // for a person
  std::string output = {};  // the end of what it printed; may be about anybody's requests
  template <class A>
  void fields(A& a) {
    a(pod, reason, message, output);
  }
};

// The message and, if there is any, the output.
[[nodiscard]] std::string whole_message(const PodGone& gone);

// The pool of a runtime cannot be filled at the moment.
struct PoolFailed {
  std::string runtime;
  std::string message;
  template <class A>
  void fields(A& a) {
    a(runtime, message);
  }
};

struct Pong {
  uint64_t number = 0;  // as in the Ping
  template <class A>
  void fields(A& a) {
    a(number);
  }
};

// What one pod that serves a revision has used so far. Times of a node mean something
// only beside others of the same node.
struct PodSample {
  std::string pod;
  std::string revision;       // uid
  uint8_t ready = 0;          // 1: its code is loaded
  uint64_t age_ms = 0;        // since it was given to the revision
  uint64_t state_age_ms = 0;  // since `ready` became what it is
  uint64_t at_ns = 0;         // when this was read, by the node's steady clock
  uint64_t cpu_ns = 0;        // CPU time since the pod was made
  uint64_t memory_bytes = 0;  // working set
  template <class A>
  void fields(A& a) {
    a(pod, revision, ready, age_ms, state_age_ms, at_ns, cpu_ns, memory_bytes);
  }
  friend bool operator==(const PodSample&, const PodSample&) = default;
};

// A few pods; all of them within every interval.
struct PodUsage {
  std::vector<PodSample> pods;
  template <class A>
  void fields(A& a) {
    a(pods);
  }
};

// How long a node's processes have been held up for want of something, since it started.
struct Pressure {
  std::string resource;  // "cpu", "memory", "io"
  uint64_t some_us = 0;  // at least one
  uint64_t full_us = 0;  // all at the same time
  template <class A>
  void fields(A& a) {
    a(resource, some_us, full_us);
  }
  friend bool operator==(const Pressure&, const Pressure&) = default;
};

// What the whole machine has used so far.
struct NodeUsage {
  uint64_t at_ns = 0;   // as in PodSample
  uint64_t cpu_ns = 0;  // of all cores
  uint32_t cores = 0;
  uint64_t memory_bytes = 0;  // not available
  uint64_t memory_total = 0;
  std::vector<Pressure> pressure;  // none where the kernel does not tell
  template <class A>
  void fields(A& a) {
    a(at_ns, cpu_ns, cores, memory_bytes, memory_total, pressure);
  }
};

// The order is the wire's type number: append only.
using ToController =
    std::variant<SetPool, Assign, Stop, Shutdown, Ping, ServePods, Freeze, Forget, HandOver>;
using FromController =
    std::variant<Welcome, PodCold, PodReady, PodGone, PoolFailed, Pong, PodUsage, NodeUsage>;

[[nodiscard]] std::string encode(const ToController& message);
[[nodiscard]] std::string encode(const FromController& message);
[[nodiscard]] Result<ToController> decode_to_controller(std::string_view packet);
[[nodiscard]] Result<FromController> decode_from_controller(std::string_view packet);

// True for [a-z0-9-]{1,63}: pods and runtimes; what may become part of a path.
[[nodiscard]] bool is_safe_name(std::string_view name);
// True for 64 lower-case hex digits.
[[nodiscard]] bool is_code_hash(std::string_view hash);

}  // namespace ebb::node
