// The commands that talk to the API. Each returns what went wrong as an Error whose
// message is shown after "Error: ".
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "cli/api_client.h"
#include "cli/console.h"
#include "cli/options.h"

namespace ebb::cli {

// Checks the runtime and that the code has what it starts from, before anything else.
// Packs the code, uploads it if the API lacks it, creates the service or changes the
// one there is, and waits until it is ready. What is not given stays as it is.
[[nodiscard]] Result<void> deploy(const DeployOptions& options, const std::string& ns,
                                  ApiClient& client, Console& console);

[[nodiscard]] Result<void> get(const GetOptions& options, const std::string& ns, ApiClient& client,
                               const Clock& clock, Console& console);

[[nodiscard]] Result<void> remove(const DeleteOptions& options, const std::string& ns,
                                  ApiClient& client, Console& console);

// Sends all documents of the files; one that is wrong is said on `err` and does not
// keep the others from being applied.
[[nodiscard]] Result<void> apply(const ApplyOptions& options, const std::string& ns,
                                 ApiClient& client, Console& console);

[[nodiscard]] Result<void> describe(const DescribeOptions& options, const std::string& ns,
                                    ApiClient& client, const Clock& clock, Console& console);

[[nodiscard]] Result<void> invoke(const InvokeOptions& options, const std::string& ns,
                                  ApiClient& client, Console& console);

[[nodiscard]] Result<void> logs(const LogsOptions& options, const std::string& ns,
                                ApiClient& client, Console& console);

[[nodiscard]] Result<void> set_traffic(const TrafficOptions& options, const std::string& ns,
                                       ApiClient& client, Console& console);
[[nodiscard]] Result<void> roll_back(const RollbackOptions& options, const std::string& ns,
                                     ApiClient& client, Console& console);

[[nodiscard]] Result<void> top(const TopOptions& options, const std::string& ns, ApiClient& client,
                               Console& console);

[[nodiscard]] Result<void> runtimes(ApiClient& client, Console& console);

[[nodiscard]] Result<void> backup(const BackupOptions& options, ApiClient& client,
                                  Console& console);
// These need no API.
[[nodiscard]] Result<void> check_policy(const PolicyCheckOptions& options, Console& console);
[[nodiscard]] Result<void> restore(const RestoreOptions& options, Console& console);
// Needs no API. Shows how far it is where `err` is a terminal.
[[nodiscard]] Result<void> simulate(const SimulateOptions& options, Console& console);

}  // namespace ebb::cli
