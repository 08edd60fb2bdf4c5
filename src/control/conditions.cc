#include "control/conditions.h"

namespace ebb::control {

using Status = api::Condition::Status;

namespace {

bool has(const std::vector<api::Condition>& conditions, std::string_view type, Status status) {
  const auto* found = api::find_condition(conditions, type);
  return found != nullptr && found->status == status;
}

}  // namespace

void Conditions::mark(std::string_view type, Status status, std::string reason,
                      std::string message) {
  api::set_condition(conditions_,
                     {.type = std::string(type),
                      .status = status,
                      .reason = std::move(reason),
                      .message = std::move(message),
                      .last_transition_time = {}},
                     now_);
}

void Conditions::mark_true(std::string_view type) { mark(type, Status::kTrue, "", ""); }

void Conditions::mark_false(std::string_view type, std::string reason, std::string message) {
  mark(type, Status::kFalse, std::move(reason), std::move(message));
}

void Conditions::mark_unknown(std::string_view type, std::string reason, std::string message) {
  mark(type, Status::kUnknown, std::move(reason), std::move(message));
}

void Conditions::mirror(std::string_view type, const api::Condition* from) {
  if (from == nullptr) {
    mark(type, Status::kUnknown, "", "");
  } else {
    mark(type, from->status, from->reason, from->message);
  }
}

void Conditions::summarize(std::initializer_list<std::string_view> parts) {
  for (const Status bad : {Status::kFalse, Status::kUnknown}) {
    for (const auto part : parts) {
      const auto* found = api::find_condition(conditions_, part);
      const Status status = found == nullptr ? Status::kUnknown : found->status;
      if (status != bad) continue;
      mark(kReady, bad, found ? found->reason : "", found ? found->message : "");
      return;
    }
  }
  mark_true(kReady);
}

bool is_true(const std::vector<api::Condition>& conditions, std::string_view type) {
  return has(conditions, type, Status::kTrue);
}

bool is_false(const std::vector<api::Condition>& conditions, std::string_view type) {
  return has(conditions, type, Status::kFalse);
}

}  // namespace ebb::control
