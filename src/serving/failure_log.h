// Log lines about requests that failed: a few each second, the rest is counted, and the count
// told at the second's end.
//
// Belongs to one Executor's thread.
#pragma once

#include "http/message.h"
#include "net/executor.h"
#include "serving/request_record.h"

namespace ebb::serving {

class FailureLog final {
 public:
  static constexpr int kLines = 10;  // a second

  explicit FailureLog(net::Executor& executor);
  ~FailureLog() { tell_rest(); }
  FailureLog(const FailureLog&) = delete;
  FailureLog& operator=(const FailureLog&) = delete;

  // Of a request that was refused, or whose answer was cut, and that had a route.
  void write(const http::RequestHead& head, const RequestRecord& record);

 private:
  void tell_rest();

  net::Executor& executor_;
  net::Timer second_;  // armed while one is under way
  int lines_ = 0;      // of it
};

}  // namespace ebb::serving
