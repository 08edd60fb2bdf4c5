#include "net/descriptor_reserve.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

#include <algorithm>
#include <limits>

#include "base/unique_fd.h"

namespace ebb::net {
namespace {

int reserve_begins() {
  constexpr rlim_t kLeast = 8;
  constexpr rlim_t kMost = 1024;
  constexpr rlim_t kAll = std::numeric_limits<int>::max();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return static_cast<int>(kAll);
  const rlim_t reserve = std::clamp(limit.rlim_cur / 8, kLeast, kMost);
  return static_cast<int>(std::min(limit.rlim_cur - std::min(reserve, limit.rlim_cur), kAll));
}

}  // namespace

void allow_many_descriptors() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

DescriptorReserve::DescriptorReserve() : begin_(reserve_begins()) {}

bool DescriptorReserve::reached() const {
  // Cheap to open; its number is what counts.
  const UniqueFd next(::eventfd(0, EFD_CLOEXEC));
  return !next || has(next.get());
}

}  // namespace ebb::net
