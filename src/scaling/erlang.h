// Queueing sums for staffing: how likely a request waits, and how many servers it takes
// that it seldom does. Poisson arrivals, exponential service, one queue (M/M/n).
//
// `load` is the offered load: arrivals per second times seconds of service each (the
// servers that would be busy on average). Erlang B by its stable recursion
// B_k = R B_{k-1} / (k + R B_{k-1}), Erlang C from it; above kExactLoad the square-root
// staffing of Halfin and Whitt (Operations Research 29, 1981). Pure functions.
//
//   double wait = erlang_c(4, 2);   // 0.174
//   int servers = servers_for({.load = 100, .service = 0.1, .wait = 0.05, .share = 0.01});
#pragma once

namespace ebb::scaling {

// The share of requests that is lost if none may wait. Nonsense (a load that is not
// above 0) is 0; without servers it is 1.
[[nodiscard]] double erlang_b(int servers, double load);

// The share of requests that waits. 1 if the load is not below the servers.
[[nodiscard]] double erlang_c(int servers, double load);

// The mean wait over all requests, in units of the service time. Infinite if the load
// is not below the servers.
[[nodiscard]] double mean_wait(int servers, double load);

// The share of requests that waits longer than `wait` service times.
[[nodiscard]] double wait_tail(int servers, double load, double wait);

struct Staffing {
  double load = 0;
  double service = 1;  // seconds; above 0
  double wait = 0;     // seconds: at most `share` of the requests waits longer
  double share = 0.01;
  int step = 1;  // servers come in groups of so many (slots of a pod)
};

inline constexpr double kExactLoad = 20'000;

// The smallest multiple of `step` servers that keeps the promise; 0 without load.
[[nodiscard]] int servers_for(const Staffing& staffing);

}  // namespace ebb::scaling
