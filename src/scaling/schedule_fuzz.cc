// Any schedule is refused or can be asked at any time, without a hang.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "scaling/schedule.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto windows = ebb::scaling::parse_schedule(text);
  if (!windows) return windows.error().message.empty() ? std::abort(), 0 : 0;
  const ebb::WallTime wall{
      std::chrono::seconds(1'800'000'000 + static_cast<int64_t>(size) * 86'400)};
  ebb::scaling::Schedule policy(*std::move(windows));
  const auto decision = policy.decide({.wall = wall});
  if (!decision.valid || decision.desired < 0) std::abort();
  return 0;
}
