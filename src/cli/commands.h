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

// Packs the code, uploads it if the API lacks it, creates the service or changes the
// one there is, and waits until it is ready. What is not given stays as it is.
[[nodiscard]] Result<void> deploy(const DeployOptions& options, const std::string& ns,
                                  ApiClient& client, Console& console);

[[nodiscard]] Result<void> get(const GetOptions& options, const std::string& ns, ApiClient& client,
                               const Clock& clock, Console& console);

[[nodiscard]] Result<void> remove(const DeleteOptions& options, const std::string& ns,
                                  ApiClient& client, Console& console);

// "/apis/serving.knative.dev/v1/namespaces/NS/services/NAME"; all namespaces if `ns`
// is empty, the whole collection if `name` is.
[[nodiscard]] std::string path_of(const api::Kind& kind, const std::string& ns,
                                  const std::string& name);

}  // namespace ebb::cli
