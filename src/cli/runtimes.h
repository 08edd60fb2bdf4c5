// The runtimes that the API says there are, and what they start code from.
//
//   auto known = known_runtimes(client);
//   if (auto fits = check_runtime(*known, "python", "./hello", false); !fits) return fits;
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/api_client.h"

namespace ebb::cli {

struct KnownRuntime {
  std::string name;
  std::vector<std::string> starts;  // files of which the code needs one; empty: any will do
  std::string problem;              // why it can have no pods; empty: it can
};

// Empty if the API does not know them.
[[nodiscard]] Result<std::vector<KnownRuntime>> known_runtimes(ApiClient& client);

// Those that Ebb comes with, by name: for what needs no running Ebb.
[[nodiscard]] const std::vector<std::string>& shipped_runtimes();
[[nodiscard]] Result<void> check_shipped_runtime(std::string_view name);

// That there is such a runtime, and that the folder holds what it starts from unless the
// container names a command. A folder that is none, or empty, is left to who packs it.
[[nodiscard]] Result<void> check_runtime(const std::vector<KnownRuntime>& known,
                                         const std::string& runtime, const std::string& folder,
                                         bool has_command);

}  // namespace ebb::cli
