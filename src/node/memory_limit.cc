#include "node/memory_limit.h"

#include <fmt/core.h>

namespace ebb::node {
namespace {

constexpr uint64_t kKi = 1024;
constexpr uint64_t kMi = 1024 * kKi;
constexpr uint64_t kAdviceStep = 8 * kMi;  // round numbers

}  // namespace

std::string describe_memory(uint64_t bytes) {
  if (bytes % kMi == 0) return fmt::format("{}Mi", bytes / kMi);
  if (bytes % kKi == 0) return fmt::format("{}Ki", bytes / kKi);
  return fmt::format("{}", bytes);
}

std::string too_little_memory(uint64_t limit, uint64_t used, const std::string& runtime) {
  const uint64_t enough = used + used / 4;  // loading even a small function takes some
  return fmt::format(
      "the memory limit of {} is too small for a pod to start in: a pod of the runtime {} holds "
      "{:.1f} MiB before it loads any code. Give it {} or more",
      describe_memory(limit), runtime, static_cast<double>(used) / kMi,
      describe_memory((enough / kAdviceStep + 1) * kAdviceStep));
}

}  // namespace ebb::node
