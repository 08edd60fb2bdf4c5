// Answers of the gateway in a function's place: short plain text that says what happened.
#pragma once

#include <string>

#include "http/server.h"
#include "net/task.h"
#include "serving/refusal.h"
#include "serving/request_record.h"

namespace ebb::serving {

struct ErrorAnswer {
  Refusal why;
  int status = 0;
  std::string text{};      // without a line end
  int retry_after_s = 0;   // 0: no Retry-After
  std::string location{};  // of a redirect
};

// Notes why, and answers with the request's id. A gRPC call is told the same as its status
// and message.
[[nodiscard]] net::Task<void> refuse(http::Exchange& exchange, RequestRecord& record,
                                     ErrorAnswer answer);

// Instead, where nobody is there for an answer.
void note_client_left(http::Exchange& exchange, RequestRecord& record);

}  // namespace ebb::serving
