// How streams wait for the kernel, which the environment variable EBB_IO_ENGINE says: by
// io_uring ("uring") or epoll ("epoll"); without it by io_uring where there is one.
#pragma once

#include "base/result.h"

namespace ebb::net {

// kInvalid for another word, kUnavailable if "uring" cannot be. To be asked before there is
// an executor, which throws then.
[[nodiscard]] Result<void> check_io_engine();

}  // namespace ebb::net
