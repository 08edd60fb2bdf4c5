#include "scaling/erlang.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ebb::scaling {
namespace {

// The textbook sum, for few servers.
long double textbook_c(int servers, long double load) {
  long double term = 1;
  long double sum = 0;
  for (int k = 0; k < servers; ++k) {
    sum += term;
    term *= load / (k + 1);
  }
  const long double last = term * servers / (servers - load);
  return last / (sum + last);
}

TEST(ErlangTest, TablesOfTheShareThatWaits) {
  EXPECT_NEAR(erlang_c(1, 0.5), 0.5, 1e-12);
  EXPECT_NEAR(erlang_c(2, 1), 1.0 / 3, 1e-12);
  EXPECT_NEAR(erlang_c(3, 2), 4.0 / 9, 1e-12);
  EXPECT_NEAR(erlang_c(4, 2), 0.1739, 5e-5);
  EXPECT_NEAR(erlang_b(5, 3), 0.1101, 5e-5);  // Erlang B tables
  EXPECT_NEAR(erlang_b(10, 5), 0.0184, 5e-5);
  for (int servers = 1; servers <= 60; ++servers) {
    for (const double share : {0.1, 0.5, 0.8, 0.95}) {
      const double load = servers * share;
      ASSERT_NEAR(erlang_c(servers, load), static_cast<double>(textbook_c(servers, load)), 1e-12);
    }
  }
}

TEST(ErlangTest, OneServerIsMM1) {
  for (const double load : {0.1, 0.5, 0.9}) {
    EXPECT_NEAR(mean_wait(1, load), load / (1 - load), 1e-12);
    EXPECT_NEAR(wait_tail(1, load, 2), load * std::exp(-(1 - load) * 2), 1e-12);
  }
}

TEST(ErlangTest, StaysFiniteForThousandsOfServers) {
  EXPECT_GT(erlang_c(10'100, 10'000), 0.1);
  EXPECT_LT(erlang_c(10'500, 10'000), 1e-5);
}

TEST(ErlangTest, NonsenseAndOverload) {
  EXPECT_EQ(erlang_c(4, 4), 1);
  EXPECT_EQ(erlang_c(4, 9), 1);
  EXPECT_EQ(erlang_c(0, 1), 1);
  EXPECT_EQ(erlang_c(4, 0), 0);
  EXPECT_EQ(erlang_c(4, std::numeric_limits<double>::quiet_NaN()), 0);
  EXPECT_TRUE(std::isinf(mean_wait(4, 4)));
  EXPECT_EQ(servers_for({.load = -1}), 0);
  EXPECT_EQ(servers_for({.load = std::numeric_limits<double>::quiet_NaN()}), 0);
}

TEST(StaffingTest, TheSmallestNumberThatKeepsThePromise) {
  for (const double load : {0.01, 0.3, 1.0, 7.5, 42.0, 300.0}) {
    for (const double wait : {0.0, 0.05, 0.5}) {
      const Staffing wish{.load = load, .service = 0.1, .wait = wait, .share = 0.01};
      const int servers = servers_for(wish);
      ASSERT_LE(wait_tail(servers, load, wait / 0.1), 0.01);
      ASSERT_GT(wait_tail(servers - 1, load, wait / 0.1), 0.01) << load << " " << wait;
    }
  }
}

TEST(StaffingTest, ServersComeInSteps) {
  EXPECT_EQ(servers_for({.load = 1}), 5);
  EXPECT_EQ(servers_for({.load = 1, .step = 4}), 8);
  EXPECT_EQ(servers_for({.load = 1, .step = 100}), 100);
}

TEST(StaffingTest, FewerThanAFixedShareForMuchLoadAndMoreForLittle) {
  EXPECT_EQ(servers_for({.load = 1}), 5);  // at 70 %: 2
  EXPECT_LT(servers_for({.load = 100}), 143);
  EXPECT_LT(servers_for({.load = 1000}), 1429);
}

TEST(StaffingTest, TheSquareRootRuleMeetsTheExactOne) {
  for (const double wait : {0.0, 0.001}) {
    const int exact = servers_for({.load = kExactLoad, .wait = wait});
    const int rule = servers_for({.load = kExactLoad + 1e-6, .wait = wait});
    EXPECT_NEAR(rule, exact, 0.001 * exact) << wait;
  }
  EXPECT_GT(servers_for({.load = 1e6}), 1'000'000);
  EXPECT_EQ(servers_for({.load = 1e300}), std::numeric_limits<int>::max());
}

}  // namespace
}  // namespace ebb::scaling
