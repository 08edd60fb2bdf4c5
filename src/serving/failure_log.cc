#include "serving/failure_log.h"

#include "base/log.h"

namespace ebb::serving {

FailureLog::FailureLog(net::Executor& executor) : executor_(executor) {
  second_.fire = [this] { tell_rest(); };
}

void FailureLog::tell_rest() {
  if (lines_ > kLines) {
    log::warn("gateway", "{} more requests failed in a second", lines_ - kLines);
  }
  lines_ = 0;
}

void FailureLog::write(const http::RequestHead& head, const RequestRecord& record) {
  if (!second_.armed()) executor_.arm(second_, executor_.now() + std::chrono::seconds(1));
  if (++lines_ > kLines) return;
  log::warn(
      "gateway",
      "request failed: status={} reason={} namespace={} service={} revision={} "
      "pod={} id={} method={} duration_us={}",
      record.status, record.cut ? to_string(*record.cut) : to_string(*record.refused),
      record.route->ns, record.route->name, record.backend != nullptr ? record.backend->name : "-",
      record.pod ? record.pod->pod() : "-", record.id, head.method,
      std::chrono::duration_cast<std::chrono::microseconds>(record.ended_at - record.received_at)
          .count());
}

}  // namespace ebb::serving
