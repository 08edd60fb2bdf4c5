// Sends an answer of the API.
#pragma once

#include <string>
#include <string_view>

#include "apiserver/status.h"
#include "http/server.h"
#include "net/task.h"

namespace ebb::apiserver {

// As JSON, with Retry-After where it says so. `response` outlives the task.
[[nodiscard]] net::Task<void> send(http::Exchange& exchange, const Response& response);

}  // namespace ebb::apiserver
