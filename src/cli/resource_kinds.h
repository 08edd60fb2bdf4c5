// Where the API keeps the objects of a kind, and how they are named to users.
#pragma once

#include <string>
#include <string_view>

#include "api/object.h"

namespace ebb::cli {

// "/apis/serving.knative.dev/v1/namespaces/NS/services/NAME"; all namespaces if `ns`
// is empty, the whole collection if `name` is.
[[nodiscard]] std::string path_of(const api::Kind& kind, const std::string& ns,
                                  const std::string& name);

// "service.serving.knative.dev", "pod".
[[nodiscard]] std::string qualified(const api::Kind& kind);

// For a value in a query string.
[[nodiscard]] std::string escaped(std::string_view text);

}  // namespace ebb::cli
