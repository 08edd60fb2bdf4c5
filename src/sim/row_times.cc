#include "sim/row_times.h"

#include <algorithm>
#include <numeric>

namespace ebb::sim {

std::vector<size_t> rows_out_of_order(std::span<const int64_t> times) {
  if (std::is_sorted(times.begin(), times.end())) return {};
  // From the last row to the first. heads[k]: of the rows that k others follow in order,
  // the one with the latest time.
  constexpr size_t kNone = SIZE_MAX;
  std::vector<size_t> heads;
  std::vector<size_t> after(times.size(), kNone);
  for (size_t i = times.size(); i-- > 0;) {
    const auto place = std::partition_point(heads.begin(), heads.end(),
                                            [&](size_t head) { return times[head] >= times[i]; });
    if (place != heads.begin()) after[i] = *(place - 1);
    if (place == heads.end()) {
      heads.push_back(i);
    } else {
      *place = i;
    }
  }
  std::vector<size_t> out;
  out.reserve(times.size() - heads.size());
  size_t kept = heads.back();
  for (size_t i = 0; i < times.size(); ++i) {
    if (i != kept) {
      out.push_back(i);
    } else {
      kept = after[i];
    }
  }
  return out;
}

int64_t median(std::span<const int64_t> times) {
  std::vector<int64_t> sorted(times.begin(), times.end());
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

std::vector<size_t> rows_apart(std::span<const int64_t> times, int64_t most) {
  if (times.empty()) return {};
  const auto [least, latest] = std::minmax_element(times.begin(), times.end());
  if (*latest - *least <= most) return {};
  const int64_t middle = median(times);
  std::vector<size_t> order(times.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return times[a] < times[b]; });
  std::vector<size_t> out;
  size_t first = 0;
  size_t last = order.size() - 1;
  while (times[order[last]] - times[order[first]] > most) {
    const bool late = times[order[last]] - middle >= middle - times[order[first]];
    out.push_back(late ? order[last--] : order[first++]);
  }
  return out;
}

}  // namespace ebb::sim
