#include "serving/request_record.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::serving {
namespace {

double milliseconds(Duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

}  // namespace

ColdStart cold_start_of(const RequestRecord& record) {
  ColdStart out;
  const auto phase = [&](Phase which) -> Duration& {
    return out.phases[static_cast<size_t>(which)];
  };
  const TimePoint granted = record.granted_at;
  const TimePoint answered = std::max(record.first_byte_at, granted);
  const TimePoint asked = record.no_pods ? record.asked_at : granted;
  phase(Phase::kQueue) = asked - record.received_at;
  phase(Phase::kSchedule) = granted - asked;
  out.whole_start = answered - granted;
  const auto load = record.pod ? record.pod->load() : std::nullopt;
  out.split = load.has_value();
  if (!out.split) return out;
  const TimePoint loaded = std::clamp(load->at, granted, answered);
  const TimePoint began = std::clamp(loaded - load->took, granted, loaded);
  phase(Phase::kPod) = began - granted;
  phase(Phase::kCode) = loaded - began;
  phase(Phase::kFirstByte) = answered - loaded;
  return out;
}

std::string server_timing(const RequestRecord& record) {
  std::string out;
  const auto add = [&](std::string_view name, Duration took) {
    fmt::format_to(std::back_inserter(out), "{}{};dur={:.3f}", out.empty() ? "" : ", ", name,
                   milliseconds(took));
  };
  if (record.cold) {
    const ColdStart start = cold_start_of(record);
    add("queue", start.phases[0]);
    add("schedule", start.phases[1]);
    if (start.split) {
      add("pod", start.phases[2]);
      add("code", start.phases[3]);
      add("app", start.phases[4]);
    } else {
      add("start", start.whole_start);
    }
  } else {
    add("queue", record.granted_at - record.received_at);
    add("app", record.first_byte_at - record.granted_at);
  }
  add("total", record.first_byte_at - record.received_at);
  return out;
}

}  // namespace ebb::serving
