// What clients, and a function's author, are told of a request that a pod gave no answer to.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/message.h"
#include "scheduling/scale_target.h"
#include "serving/cut.h"
#include "serving/error_answer.h"

namespace ebb::serving {

struct PodFailure {
  ErrorAnswer answer;
  // Of the Kubernetes event by which the author hears of it; null: it was not the function, or
  // the pod's end has an event of its own.
  const char* event = nullptr;
};

// A bound was reached before the answer.
struct LateAnswer {
  enum class Bound {
    kWhole,      // timeoutSeconds
    kFirstByte,  // responseStartTimeoutSeconds
    kSilence,    // idleTimeoutSeconds
  };
  Bound bound = Bound::kWhole;
  Duration allowed{};
  Duration waited_for_pod{};  // where that took most of it; else 0
  bool was_pods_turn = true;  // the pod had been given all that there was of the request
};
[[nodiscard]] PodFailure late_answer(std::string_view function, const LateAnswer& how);

// What came is no answer.
[[nodiscard]] PodFailure bad_answer(std::string_view function, http::HttpError error);

// The connection broke. `exit`: how the pod ended, if it did.
[[nodiscard]] PodFailure broken_connection(std::string_view function,
                                           const std::optional<scheduling::PodExit>& exit);

// It reset this request alone, as HTTP/2 allows.
[[nodiscard]] PodFailure reset_request(std::string_view function);

// The pod did not end the answer that it had begun. `allowed`: the bound that it reached, if it
// did. Nothing where it is not the function's fault, or the pod's end has an event of its own.
struct PodEvent {
  const char* reason;
  std::string text;
};
[[nodiscard]] std::optional<PodEvent> cut_answer(std::string_view function, Cut why,
                                                 Duration allowed);

// There is no connection to be had, which says nothing of the pod.
[[nodiscard]] ErrorAnswer short_of_descriptors();

}  // namespace ebb::serving
