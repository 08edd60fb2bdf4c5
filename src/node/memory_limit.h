// A pod's memory limit in words. A cold pod has used memory before it is given its limit,
// which must hold that.
//
//   if (limit < used) return fail(Errc::kInvalid, "{}", too_little_memory(limit, used, "python"));
//
// Pure.
#pragma once

#include <cstdint>
#include <string>

namespace ebb::node {

// From here on every runtime's cold pod fits: nobody needs to look.
inline constexpr uint64_t kAmpleMemory = 64ull << 20;

// As a Kubernetes quantity where it is a whole one: "256Mi", "1Ki", "1000".
[[nodiscard]] std::string describe_memory(uint64_t bytes);

// For who set the limit: what a pod of the runtime needs, and a limit that is enough for it
// to start. `used`: bytes that the cold pod holds and cannot give back.
[[nodiscard]] std::string too_little_memory(uint64_t limit, uint64_t used,
                                            const std::string& runtime);

}  // namespace ebb::node
