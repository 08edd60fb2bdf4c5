// When a cron expression was last due, in a time zone.
//
// Five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday;
// names such as mon and jan), each `*`, numbers, ranges, lists, and steps with `/`. As
// in cron, a day counts if either day field names it, where both are restricted. A
// local time that a change to summer time leaves out is due at the change; one that
// comes twice is due the first time. Values, immutable: any thread.
//
//   auto cron = Cron::parse("0 8 * * mon-fri");
//   auto zone = TimeZone::find("Europe/Berlin");   // reads the system's time zones
//   std::optional<WallTime> due = cron->last(now, *zone);
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace date {
class time_zone;
}

namespace ebb::scaling {

class TimeZone final {
 public:
  // By its name in the time zone database; kInvalid if it has none such.
  [[nodiscard]] static Result<TimeZone> find(std::string_view name);

 private:
  friend class Cron;
  const date::time_zone* zone_ = nullptr;  // lives as long as the program
};

class Cron final {
 public:
  // kInvalid with what is wrong, also for a day that never comes (30 February).
  [[nodiscard]] static Result<Cron> parse(std::string_view text);

  // The newest moment not after `now` at which it was due; nothing within 8 years.
  [[nodiscard]] std::optional<WallTime> last(WallTime now, const TimeZone& zone) const;
  friend bool operator==(const Cron&, const Cron&) = default;

 private:
  [[nodiscard]] bool on(int year, unsigned month, unsigned day) const;

  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;    // from 1
  std::bitset<13> months_;  // from 1
  std::bitset<7> weekdays_;
  bool any_day_ = true;  // the field is *
  bool any_weekday_ = true;
};

}  // namespace ebb::scaling
