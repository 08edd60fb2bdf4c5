#include "scaling/knative_zero.h"

#include <algorithm>

namespace ebb::scaling {

namespace {

// After the progress deadline, so that the failed start is told of first.
constexpr Duration kActivationBuffer = std::chrono::seconds(30);
// Until the revision is looked at again when the activator is already in the path.
constexpr Duration kSoon = std::chrono::seconds(3);

ZeroStep while_activating(const ZeroSettings& settings, const ZeroState& state) {
  const Duration timeout = settings.progress_deadline + kActivationBuffer;
  if (state.active_for > timeout) return {.desired = 0, .apply = true, .requeue = {}};
  return {.desired = ZeroStep::kUnknown, .requeue = timeout};
}

ZeroStep while_active(const ZeroSettings& settings, const ZeroState& state) {
  if (state.active_for < settings.stable_window) {
    return {.desired = 1, .apply = true, .requeue = settings.stable_window - state.active_for};
  }
  ZeroStep step;  // not applied: it becomes inactive first
  if (state.proxy) step.requeue = kSoon;
  return step;
}

ZeroStep while_inactive(const ZeroSettings& settings, const ZeroState& state) {
  ZeroStep step;
  if (!settings.burst_unlimited) {
    step.probed = true;
    if (!state.probe) {
      step.async_probe = true;
      return step;
    }
  }
  const Duration retention = settings.reachable ? settings.retention : Duration(0);
  if (state.active_for < retention) {
    step.requeue = retention - state.active_for;
  } else if (state.active_for >= settings.grace || state.proxy_for >= settings.grace) {
    step.apply = true;
  } else {
    step.requeue = settings.grace - state.proxy_for;
  }
  return step;
}

}  // namespace

ZeroStep knative_zero_step(const ZeroSettings& settings, const ZeroState& state) {
  if (state.desired != 0) return {.desired = state.desired, .apply = true, .requeue = {}};
  if (!settings.enabled) return {.desired = 1, .apply = true, .requeue = {}};
  switch (state.active) {
    case Active::kUnknown:
      return while_activating(settings, state);
    case Active::kTrue:
      return while_active(settings, state);
    case Active::kFalse:
      return while_inactive(settings, state);
  }
  return {};
}

}  // namespace ebb::scaling
