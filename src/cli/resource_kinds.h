// The kinds that commands accept, and where the API keeps them.
#pragma once

#include <string>
#include <string_view>

#include "api/object.h"

namespace ebb::cli {

// As api::find_kind, and the live kinds that a client only reads: Event and
// PodAutoscaler. nullptr if there is none.
[[nodiscard]] const api::Kind* find_kind(std::string_view name);
[[nodiscard]] const api::Kind& event_kind();
[[nodiscard]] const api::Kind& autoscaler_kind();

// "/apis/serving.knative.dev/v1/namespaces/NS/services/NAME"; all namespaces if `ns`
// is empty, the whole collection if `name` is.
[[nodiscard]] std::string path_of(const api::Kind& kind, const std::string& ns,
                                  const std::string& name);

// "service.serving.knative.dev", "pod".
[[nodiscard]] std::string qualified(const api::Kind& kind);

// For a value in a query string.
[[nodiscard]] std::string escaped(std::string_view text);

}  // namespace ebb::cli
