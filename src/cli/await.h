// Waits until an object of the API is as it should be. Blocking.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "api/object.h"
#include "base/result.h"
#include "cli/api_client.h"

namespace ebb::cli {

struct Verdict {
  enum class Kind { kDone, kFailed, kPending } kind = Kind::kPending;
  std::string message;  // why it failed, or what it waits for
};

// What "Ready" says, if the status is of what was declared last.
[[nodiscard]] Verdict readiness_of(const api::Json& object);

struct Awaited {
  const api::Kind& kind;
  std::string ns;
  std::string name;
  api::Json object;  // as last seen; the watch begins after it
  // What this state of it means; called for each that is seen.
  std::function<Verdict(const api::Json&)> judge;
  // It was deleted: true ends the wait well.
  bool gone_is_done = false;
};

// Watches it, and looks where the watch fails, until the verdict is there. The object
// as it is then; kInternal with the verdict's message if it failed, kNotFound if it was
// deleted, kTimeout at the deadline.
[[nodiscard]] Result<api::Json> await(Awaited awaited, ApiClient& client, TimePoint deadline);

}  // namespace ebb::cli
