#include "scaling/combine.h"

#include <fmt/format.h>

#include <utility>

namespace ebb::scaling {

Combine::Combine(std::vector<Part> parts) : parts_(std::move(parts)) {}

void Combine::observe(const Metric& metric) {
  for (auto& part : parts_) part.policy->observe(metric);
}

Decision Combine::decide(const Situation& situation) {
  Decision chosen;
  if (situation.explain) chosen.reason = "no policy knows anything: the last amount stays";
  bool known = false;  // some deciding part is valid
  bool panic = false;
  std::string error;
  std::string unknown;  // why the first invalid part is so
  for (auto& part : parts_) {
    Decision decision = part.policy->decide(situation);
    if (error.empty() && !decision.error.empty()) {
      error = fmt::format("{}: {}", part.name, decision.error);
    }
    if (!decision.valid) {
      if (situation.explain && unknown.empty())
        unknown = fmt::format("{}: {}", part.name, decision.reason);
      continue;
    }
    panic = panic || decision.panic;
    known = known || part.role == Role::kDecides;
    if (chosen.valid && decision.desired <= chosen.desired) continue;
    chosen = std::move(decision);
    if (situation.explain) chosen.reason = fmt::format("{}: {}", part.name, chosen.reason);
  }
  // A floor alone lowers nothing: what runs or starts stays.
  if (!known && chosen.valid && chosen.desired <= situation.ready + situation.starting) {
    chosen = Decision();
  }
  if (!chosen.valid && !unknown.empty()) chosen.reason = unknown;
  chosen.panic = panic;
  chosen.error = std::move(error);
  return chosen;
}

}  // namespace ebb::scaling
