// For how long something has been so, by the moments at which it was looked at. A clock
// that jumped, back or far forward, proves nothing: then the time begins anew. A value;
// not thread-safe.
//
//   Lasting idle;
//   if (idle.lasts(used == 0, now, minutes(10))) give_back();
#pragma once

#include <algorithm>
#include <optional>

#include "base/clock.h"

namespace ebb::scaling {

class Lasting final {
 public:
  // Whether it has been so for `length`, given that it is so now or is not.
  [[nodiscard]] bool lasts(bool now_so, TimePoint now, Duration length) {
    constexpr Duration kOften = std::chrono::minutes(1);  // it is looked at, whatever the length
    if (!now_so) {
      since_.reset();
      return false;
    }
    if (!since_ || now < seen_ || now - seen_ > std::max(length, kOften)) since_ = now;
    seen_ = now;
    return now - *since_ >= length;
  }

 private:
  std::optional<TimePoint> since_;
  TimePoint seen_{};
};

}  // namespace ebb::scaling
