// Error answers of the request path: short plain text that says what happened.
#pragma once

#include <string>
#include <string_view>

#include "http/server.h"
#include "net/task.h"
#include "serving/request_record.h"

namespace ebb::serving {

// Answers `status` with `text` and a line end, and the request's id. `retry_after_s` > 0
// adds Retry-After. A gRPC call is told the same as its status and message.
[[nodiscard]] net::Task<void> refuse(http::Exchange& exchange, RequestRecord& record, int status,
                                     std::string text, int retry_after_s = 0);

}  // namespace ebb::serving
