// The user and group ids that Ebb takes for itself.
//
// As root of the machine: outside those that distributions and systemd hand out
// (systemd's "Users, Groups, UIDs and GIDs" leaves 1879048192..2147483647 free): one for the
// front, then one for each pod slot. In a user namespace that has none of them, such as
// that of a user without root's rights or of some containers, all run as its root, who is
// nobody in particular outside.
//
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/result.h"

namespace ebb::node {

inline constexpr uid_t kFrontUid = 1879048192;
inline constexpr uid_t kFirstPodUid = kFrontUid + 1;
inline constexpr uint32_t kPodUids = 1000;

// Whether the front and each pod have an id of their own here. Asked of the kernel once.
[[nodiscard]] bool has_own_ids();
[[nodiscard]] uid_t front_uid();
[[nodiscard]] uid_t pod_uid(uint32_t slot);

// Becomes the only user of a new user namespace, its root, with all rights in that one and
// none outside. With one thread only.
[[nodiscard]] Result<void> enter_own_user_namespace();

// For `ebb up`, while it has one thread: without root's rights it becomes root of a user
// namespace of its own; there, and in one that somebody else made, it takes a copy of the
// mounts, so that it may make those that pods need. kPermission with what would allow it.
// As root of the machine it changes nothing.
[[nodiscard]] Result<void> make_up_for_root();

}  // namespace ebb::node
