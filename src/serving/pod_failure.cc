#include "serving/pod_failure.h"

namespace ebb::serving {

PodFailure late_answer(std::string_view function, const LateAnswer& how) {
  const bool whole = how.bound == LateAnswer::Bound::kWhole;
  const char* setting = whole                                      ? "timeoutSeconds"
                        : how.bound == LateAnswer::Bound::kSilence ? "idleTimeoutSeconds"
                                                                   : "responseStartTimeoutSeconds";
  std::string text =
      fmt::format("function {} did not {} within {} s ({})", function,
                  whole ? "answer" : "begin to answer", to_seconds(how.allowed), setting);
  const bool waited = how.waited_for_pod > Duration::zero();
  if (waited) {
    text += fmt::format(": the request waited {:.3f} s for a pod", to_seconds(how.waited_for_pod));
  }
  // The time may have gone by while the client sent its body.
  return {.answer = {.why = Refusal::kTimeout, .status = 504, .text = std::move(text)},
          .event = how.was_pods_turn && !waited ? "RequestTimedOut" : nullptr};
}

PodFailure bad_answer(std::string_view function, http::HttpError error) {
  constexpr http::HeadLimits kLimits;
  const std::string what = error == http::HttpError::kHeadTooLarge
                               ? fmt::format("whose head is larger than {} bytes or {} fields",
                                             kLimits.bytes, kLimits.fields)
                               : "that is not valid HTTP";
  return {.answer = {.why = Refusal::kBadAnswer,
                     .status = 502,
                     .text = fmt::format("function {} gave an answer {}", function, what)},
          .event = "BadAnswer"};
}

PodFailure broken_connection(std::string_view function,
                             const std::optional<scheduling::PodExit>& exit) {
  if (!exit) {
    return {.answer = {.why = Refusal::kPodFailed,
                       .status = 502,
                       .text = fmt::format("function {} closed the connection without an answer",
                                           function)},
            .event = "NoAnswer"};
  }
  if (!exit->was_ready) {
    return {
        .answer = {.why = Refusal::kStartFailed,
                   .status = 503,
                   .text = fmt::format("function {} failed to start: {}", function, exit->message),
                   .retry_after_s = 1}};
  }
  const std::string_view why =
      exit->message.empty() ? std::string_view("its pod was stopped") : exit->message;
  return {.answer = {.why = Refusal::kPodFailed,
                     .status = 502,
                     .text = fmt::format("function {} failed: {}", function, why)}};
}

PodFailure reset_request(std::string_view function) {
  return {
      .answer = {.why = Refusal::kPodFailed,
                 .status = 502,
                 .text = fmt::format("function {} reset the request without an answer", function)},
      .event = "NoAnswer"};
}

std::optional<PodEvent> cut_answer(std::string_view function, Cut why, Duration allowed) {
  switch (why) {
    case Cut::kTimeout:
      return PodEvent{"RequestTimedOut",
                      fmt::format("function {} did not end its answer within {} s (timeoutSeconds)",
                                  function, to_seconds(allowed))};
    case Cut::kIdleTimeout:
      return PodEvent{"RequestTimedOut",
                      fmt::format("function {} was silent for {} s before its answer had ended "
                                  "(idleTimeoutSeconds)",
                                  function, to_seconds(allowed))};
    case Cut::kBadAnswer:
      return PodEvent{
          "BadAnswer",
          fmt::format("function {} gave an answer whose body is not valid HTTP", function)};
    default:
      return std::nullopt;
  }
}

ErrorAnswer short_of_descriptors() {
  return {.why = Refusal::kShortOfDescriptors,
          .status = 503,
          .text =
              "the gateway is short of file descriptors: raise their limit (ulimit -Hn, "
              "LimitNOFILE)",
          .retry_after_s = 1};
}

}  // namespace ebb::serving
