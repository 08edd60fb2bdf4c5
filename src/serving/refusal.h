// Why a request did not run its course: mostly, why the gateway answered in the function's
// place. As the access log, logs and metrics name it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ebb::serving {

enum class Refusal : uint8_t {
  // Before there was a revision for the request.
  kBadRequest,
  kNoRoute,
  kNotReady,
  kHttpsRedirect,
  // Before it had a slot in a pod.
  kQueueFull,     // too many wait already
  kQueueBytes,    // those who wait hold too much memory
  kQueueShare,    // or too much of what all revisions' may hold
  kQueueTimeout,  // no slot came free in time
  kStartFailed,   // its pod could not be started
  kDeleted,       // with its revision
  kShutdown,      // with the front that has it, while another one takes over
  kClientLeft,    // nobody is there for the answer
  // With a pod.
  kPodUnreachable,
  kPodFailed,
  kBadAnswer,
  kTimeout,
  kClientFailed,  // its body
  kShortOfDescriptors,
};

// By the enumerators' order.
inline constexpr auto kRefusalNames = std::to_array<std::string_view>(
    {"bad_request", "no_route", "not_ready", "https_redirect", "queue_full", "queue_bytes",
     "queue_share", "queue_timeout", "start_failed", "deleted", "shutdown", "client_left",
     "pod_unreachable", "pod_failed", "bad_answer", "timeout", "client_failed",
     "short_of_descriptors"});
static_assert(kRefusalNames.size() == static_cast<size_t>(Refusal::kShortOfDescriptors) + 1);

[[nodiscard]] constexpr size_t index_of(Refusal why) { return static_cast<size_t>(why); }
[[nodiscard]] constexpr std::string_view to_string(Refusal why) {
  return kRefusalNames[index_of(why)];
}

}  // namespace ebb::serving
