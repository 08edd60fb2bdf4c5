// What happens to an object before it is stored: read strictly, defaulted,
// validated, and checked against the one it replaces and the runtimes that there are.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

#include "api/object.h"
#include "apiserver/status.h"

namespace ebb::apiserver {

inline constexpr size_t kMaxStoredObject = 1 << 20;  // bytes; over it: 413

// The object as it is to be stored, or what to answer.
using Admitted = std::variant<api::Json, Response>;

// Names of runtimes; empty: not known, so any is taken.
using RuntimeNames = std::vector<std::string>;

// An update may keep a runtime that is gone, but not change to one.
[[nodiscard]] Admitted admit_create(const api::Kind& kind, const api::Json& object,
                                    const RuntimeNames& runtimes = {});
[[nodiscard]] Admitted admit_update(const api::Kind& kind, const api::Json& before,
                                    const api::Json& object, const RuntimeNames& runtimes = {});
// Only that it is readable: controllers write it.
[[nodiscard]] Admitted admit_status(const api::Kind& kind, const api::Json& object);

}  // namespace ebb::apiserver
