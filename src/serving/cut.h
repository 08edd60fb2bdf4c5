// Why an answer that had begun, or an upgraded connection, did not come to its own end. As the
// access log, logs and metrics name it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ebb::serving {

enum class Cut : uint8_t {
  kClientLeft,
  kClientFailed,  // its request's body ended early, stopped, or is not valid
  kSlowClient,    // it did not take the answer in time
  kPodFailed,     // it ended, or broke the connection
  kBadAnswer,     // what came is not valid HTTP
  kTimeout,       // the request's own, while more was to come
  kIdleTimeout,   // nothing came for so long
  kPodDrained,    // an upgraded connection whose pod had to go
  kShutdown,      // Ebb ended
};

// By the enumerators' order.
inline constexpr auto kCutNames = std::to_array<std::string_view>(
    {"client_left", "client_failed", "slow_client", "pod_failed", "bad_answer", "timeout",
     "idle_timeout", "pod_drained", "shutdown"});
static_assert(kCutNames.size() == static_cast<size_t>(Cut::kShutdown) + 1);

[[nodiscard]] constexpr size_t index_of(Cut why) { return static_cast<size_t>(why); }
[[nodiscard]] constexpr std::string_view to_string(Cut why) { return kCutNames[index_of(why)]; }

// The function, or what it runs on, was at fault.
[[nodiscard]] constexpr bool is_failure(Cut why) {
  return why == Cut::kPodFailed || why == Cut::kBadAnswer || why == Cut::kTimeout ||
         why == Cut::kIdleTimeout;
}

}  // namespace ebb::serving
