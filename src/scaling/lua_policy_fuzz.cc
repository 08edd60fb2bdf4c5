// Any text is refused or makes a policy whose answers are sane, within its limits.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "scaling/lua_policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ebb::scaling;
  auto policy = LuaPolicy::compile({reinterpret_cast<const char*>(data), size});
  if (!policy) return policy.error().message.empty() ? std::abort(), 0 : 0;
  const ebb::TimePoint now{std::chrono::hours(1)};
  policy->observe({.at = now, .concurrency = 3, .requests = 5});
  for (const int waiting : {0, 1, 7}) {
    const Decision decision = policy->decide({.now = now, .waiting = waiting});
    if (decision.desired < 0 || decision.desired > LuaPolicy::kMostPods) std::abort();
    if (waiting > 0 && (!decision.valid || decision.desired < 1)) std::abort();
  }
  return 0;
}
