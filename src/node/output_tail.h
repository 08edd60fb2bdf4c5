// The last bytes that came out of a pipe, and when: what a process said just before it
// ended explains its end, what it said long before only misleads.
//
//   tail.add(piece, now);
//   tail.last(2048, now - std::chrono::seconds(2));
//
// Value type.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace ebb::node {

inline constexpr size_t kKeptOutput = 16 * 1024;  // bytes

class OutputTail final {
 public:
  // Pieces that come within this time count as one.
  static constexpr Duration kGrain = std::chrono::milliseconds(100);

  // Reads what waits in `fd`; false at its end.
  bool drain(int fd, TimePoint now);
  void add(std::string_view text, TimePoint now);
  // At most the last `bytes` of what came at or after `since`, from the beginning of a line.
  [[nodiscard]] std::string last(size_t bytes, TimePoint since = TimePoint::min()) const;

 private:
  struct Mark {
    TimePoint at;
    size_t begin;  // in text_, of what came then
  };
  void cut();

  std::string text_;  // at most 2 * kKeptOutput
  std::deque<Mark> marks_;
};

}  // namespace ebb::node
