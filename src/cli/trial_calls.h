// The two calls that `ebb deploy` ends with: what a cold start takes, and then a warm
// call. Only where the answer surely comes from the revision that was just made.
#pragma once

#include <string>

#include "api/object.h"
#include "cli/api_client.h"
#include "cli/console.h"

namespace ebb::cli {

// How a revision is reached, by the status of its service.
struct Reach {
  std::string host;       // that leads to nothing else; empty: there is none
  int64_t percent = 0;    // of the service's traffic that is its
  std::string elsewhere;  // "hello-00001 (90%), ...": where the rest goes
};

// At the service's host if all its traffic goes to the revision, else at that of a tag.
[[nodiscard]] Reach reach_of(const std::string& revision, const api::Json& service);

// Says how the service is reached, and calls the new revision if `call` and it can be.
// No answer is no failure: the deployment is done.
void show_use(const api::Json& service, const std::string& ns, bool call, ApiClient& client,
              Console& console);

}  // namespace ebb::cli
