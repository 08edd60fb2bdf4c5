// How many cold pods of a runtime to hold: `least` always, and up to `most` while the
// starts of late ask for more (scaling/pool.h says how many).
#pragma once

#include <string_view>

#include "base/result.h"

namespace ebb::scheduling {

struct PoolSize {
  static constexpr int kMost = 10'000;

  int least = 0;
  int most = 0;  // not below least

  // "16": just so many. "8-64": at least 8, at most 64. kInvalid with what is wrong.
  [[nodiscard]] static Result<PoolSize> parse(std::string_view text);
  // What a runtime's manifest names, where no setting does: up to four times as many.
  [[nodiscard]] static PoolSize of_manifest(int pool) { return {pool, 4 * pool}; }

  bool operator==(const PoolSize&) const = default;
};

}  // namespace ebb::scheduling
