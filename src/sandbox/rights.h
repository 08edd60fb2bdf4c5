// What this process needs to isolate pods, and what to do where it lacks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/enter.h"

namespace ebb::sandbox {

// All that pods can do without: only file system, processes and network stay apart.
inline constexpr uint32_t kWithoutAll = kEbbWithoutUserNamespace | kEbbWithoutIpcNamespace |
                                        kEbbWithoutUtsNamespace | kEbbWithoutCgroupNamespace |
                                        kEbbWithoutSeccomp | kEbbWithoutCgroups;

// What pods do without on this machine. A value.
struct Rights {
  uint32_t without = 0;            // kEbbWithout... bits (enter.h)
  std::vector<std::string> lacks;  // one sentence each: what, what it means, how to get it
};

// Tries every part. kPermission, with what is missing and how to get it, when pods
// could not be separated at all; what is only weaker is in Rights::lacks, to be shown
// as warnings. Control groups and the network are tried where they are set up (the
// Local Controller), which runs without them and warns.
[[nodiscard]] Result<Rights> check_rights();

}  // namespace ebb::sandbox
