// Runs a program that is no part of Ebb, such as pip, and reads what it prints. Blocking.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace ebb::cli {

struct ToolRun {
  int exit_code = 0;   // 128 + N if signal N ended it
  std::string output;  // the last kMaxToolOutput bytes of stdout and stderr
};

inline constexpr size_t kMaxToolOutput = 64 << 10;

// Runs `command` (found on the PATH) in `folder`, with nothing on its stdin, and calls
// `on_line` for each line that it prints. kNotFound if there is no such program,
// kTimeout at the deadline, kCanceled on SIGINT or SIGTERM; the program and what it
// started have ended then.
[[nodiscard]] Result<ToolRun> run_tool(const std::vector<std::string>& command,
                                       const std::string& folder,
                                       const std::function<void(std::string_view)>& on_line,
                                       TimePoint deadline);

}  // namespace ebb::cli
