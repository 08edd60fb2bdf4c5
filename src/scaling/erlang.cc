#include "scaling/erlang.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "scaling/policy.h"

namespace ebb::scaling {

namespace {

// Erlang C from Erlang B of the same servers and load.
double delayed(double blocked, int servers, double load) {
  if (load >= servers) return 1;
  return servers * blocked / (servers - load * (1 - blocked));
}

double tail(double delayed_share, int servers, double load, double wait) {
  if (load >= servers) return 1;
  return delayed_share * std::exp(-(servers - load) * wait);
}

// The share that waits with load + beta * sqrt(load) servers, for a large load.
double delayed_at(double beta) {
  const double pdf = std::exp(-beta * beta / 2) / std::sqrt(2 * M_PI);
  const double cdf = std::erfc(-beta / std::sqrt(2.0)) / 2;
  return 1 / (1 + beta * cdf / pdf);
}

double square_root_staffing(double load, double wait, double share) {
  const double spread = std::sqrt(load);
  double low = 0;
  double high = 40;  // nobody waits
  for (int i = 0; i < 60; ++i) {
    const double beta = (low + high) / 2;
    const bool enough = delayed_at(beta) * std::exp(-beta * spread * wait) <= share;
    (enough ? high : low) = beta;
  }
  return load + high * spread;
}

}  // namespace

double erlang_b(int servers, double load) {
  if (!(load > 0)) return 0;
  double blocked = 1;
  for (int k = 1; k <= servers; ++k) blocked = load * blocked / (k + load * blocked);
  return blocked;
}

double erlang_c(int servers, double load) {
  if (!(load > 0)) return 0;
  return delayed(erlang_b(servers, load), servers, load);
}

double mean_wait(int servers, double load) {
  if (!(load > 0)) return 0;
  if (load >= servers) return std::numeric_limits<double>::infinity();
  return erlang_c(servers, load) / (servers - load);
}

double wait_tail(int servers, double load, double wait) {
  if (!(load > 0)) return 0;
  return tail(erlang_c(servers, load), servers, load, wait);
}

int servers_for(const Staffing& staffing) {
  const double load = staffing.load;
  if (!(load > 0)) return 0;
  const int step = std::max(1, staffing.step);
  const double wait = std::max(0.0, staffing.wait / staffing.service);
  const double share = std::clamp(staffing.share, 1e-9, 1.0);
  if (load > kExactLoad) {
    const double servers = square_root_staffing(load, wait, share);
    return to_pods(std::ceil(servers / step) * step);
  }
  double blocked = 1;
  for (int servers = 1;; ++servers) {
    blocked = load * blocked / (servers + load * blocked);
    if (servers % step != 0 || servers <= load) continue;
    if (tail(delayed(blocked, servers, load), servers, load, wait) <= share) return servers;
  }
}

}  // namespace ebb::scaling
