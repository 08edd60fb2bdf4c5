// Several policies as one: the largest wish counts, and the reason names whose it was.
//
// A part either decides or only raises the floor. What only raises (a forecast, a
// schedule) can start pods early, but never end one: while no deciding part knows
// anything, the combination lowers nothing. Not thread-safe.
//
//   Combine policy(...);   // {"kpa", make_kpa(...)}, {"schedule", ..., Combine::Role::kRaises}
//   policy.decide(now_situation).reason;   // "kpa: stable 14.2 / target 7.0 -> 3"
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "scaling/policy.h"

namespace ebb::scaling {

class Combine final : public Policy {
 public:
  enum class Role {
    kDecides,  // its wish counts, up and down
    kRaises,   // its wish counts where it is above the others
  };
  struct Part {
    std::string name;
    std::unique_ptr<Policy> policy;
    Role role = Role::kDecides;
  };

  explicit Combine(std::vector<Part> parts);

  void observe(const Metric& metric) override;
  // The largest valid decision; of equal ones the first part's. `panic` is set if any
  // part panics, and `error` holds the first one.
  [[nodiscard]] Decision decide(const Situation& situation) override;

  [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }

 private:
  std::vector<Part> parts_;
};

}  // namespace ebb::scaling
