// Which rows of a trace have a time that cannot be right beside the others'. Pure.
//
//   const std::vector<int64_t> times{0, 1, 1'700'000'000, 3};
//   rows_out_of_order(times);     // {2}: without it the others are in order
//   rows_apart({1, 2, 900}, 10);  // {2}
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ebb::sim {

// The fewest rows without which the times of the rest never fall, ascending: those outside
// of a longest non-decreasing subsequence, found by patience sorting (Fredman, "On
// computing the length of longest increasing subsequences", 1975) in n log n. Of two rows
// of which either might go, it is the later one.
[[nodiscard]] std::vector<size_t> rows_out_of_order(std::span<const int64_t> times);

// The rows farthest from the median of all, as many as must go for the rest to span `most`
// or less; the farthest first. Times and `most` are not negative.
[[nodiscard]] std::vector<size_t> rows_apart(std::span<const int64_t> times, int64_t most);

[[nodiscard]] int64_t median(std::span<const int64_t> times);  // the lower of two; of one at least

}  // namespace ebb::sim
