// Takes a policy's settings one by one, and knows at the end which nobody asked for. What
// is wrong is said with the setting's name and its bounds; the first problem counts. Not
// thread-safe.
//
//   PolicyReader read(settings);
//   read.number("target", target, 0.01, 1e6);
//   if (auto ok = read.end(); !ok) return fail(ok.error());
#pragma once

#include <charconv>
#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "sim/policy_choice.h"

namespace ebb::sim {

class PolicyReader final {
 public:
  // The settings must outlive it.
  explicit PolicyReader(const PolicySettings& settings) : settings_(settings) {}

  template <class Number>
  void number(const char* name, Number& out, double least, double most) {
    const std::string* text = find(name);
    if (text == nullptr) return;
    double value = 0;
    const char* end = text->data() + text->size();
    const auto [at, code] = std::from_chars(text->data(), end, value);
    if (code != std::errc() || at != end || !(value >= least) || value > most) {
      note(fmt::format("{} must be a number from {} to {}, not \"{}\"", name, least, most, *text));
      return;
    }
    out = static_cast<Number>(value);
  }

  void time(const char* name, Duration& out, Duration least = Duration(0),
            Duration most = std::chrono::hours(24 * 365));
  [[nodiscard]] std::optional<std::string> word(const char* name);
  // Those that nobody asked for so far; they count as asked for.
  [[nodiscard]] PolicySettings rest();
  void note(std::string problem);
  [[nodiscard]] Result<void> end() const;

 private:
  const std::string* find(const char* name);

  const PolicySettings& settings_;
  std::set<std::string> asked_;
  std::string problem_;
};

}  // namespace ebb::sim
