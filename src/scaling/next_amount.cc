#include "scaling/next_amount.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::scaling {

NextAmount next_amount(const Decision& decision, const AmountInput& in, TimePoint now) {
  NextAmount out{.pods = in.want};
  const auto apply = [&out](AmountRule rule, int pods) {
    out.pods = pods;
    out.rules |= static_cast<uint32_t>(rule);
  };
  if (decision.valid) {
    out.pods = amount(decision, in.bounds, in.reachable);
    if (out.pods > decision.desired) apply(AmountRule::kMinimum, out.pods);
    if (out.pods < decision.desired) apply(AmountRule::kMaximum, out.pods);
  }
  out.bounded = out.pods;
  // One that nobody ever called, or whose start failed, is not started for this.
  if (out.pods == 0 && in.want > 0 && !may_go_to_zero(out.pods, in.idle, now)) {
    apply(AmountRule::kLastStays, 1);
  }
  if (out.pods == 0 && in.loaded) apply(AmountRule::kLoaded, 1);
  if (const int busy = std::min(in.want, in.needed_pods); out.pods < busy) {
    apply(AmountRule::kBusy, busy);
  }
  if (!in.reachable && out.pods > 0) apply(AmountRule::kNoRoute, 0);  // what it holds is drained
  if (out.pods < in.floor) apply(AmountRule::kFloor, in.floor);
  // Whoever is held was let in: it is answered.
  if (out.pods == 0 && in.waiting > 0) apply(AmountRule::kSomebodyWaits, 1);
  return out;
}

std::string amount_reason(const Decision& decision, const NextAmount& next,
                          const AmountWords& words) {
  if (next.by(AmountRule::kSomebodyWaits)) return "a request waits";
  std::string why = decision.reason;
  if (next.by(AmountRule::kMinimum)) {
    why += fmt::format(", raised to the minimum {}", next.bounded);
  }
  if (next.by(AmountRule::kMaximum)) {
    why += fmt::format(", held at {} {}", words.maximum, next.bounded);
  }
  if (next.by(AmountRule::kLastStays)) {
    why += ", the last one stays until nobody has called for a while";
  }
  if (next.by(AmountRule::kLoaded)) why += ", loaded: one may come, by the times between requests";
  if (next.by(AmountRule::kBusy)) why += ", what is busy this moment is not taken away";
  if (next.by(AmountRule::kNoRoute)) why = "no route sends traffic there";
  if (next.by(AmountRule::kFloor)) why += fmt::format(", {}", words.floor);
  return why;
}

}  // namespace ebb::scaling
