// How the pods of a revision, or of a template, are made, as text for a person. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "api/object.h"

namespace ebb::cli {

using Setting = std::pair<std::string, std::string>;  // its name, its value as one line

// Runtime, code, scale, concurrency, timeout, memory, CPU and network; none for what has
// no container. "default" is what Ebb, or the settings of `ebb up`, say.
[[nodiscard]] std::vector<Setting> settings_of(const api::Json& made_from);

// The annotations that are no setting of the above, by name, without what tools and Ebb
// itself keep there.
[[nodiscard]] std::vector<Setting> annotations_of(const api::Json& made_from);

}  // namespace ebb::cli
