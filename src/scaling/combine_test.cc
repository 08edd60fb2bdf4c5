#include "scaling/combine.h"

#include <gtest/gtest.h>

namespace ebb::scaling {
namespace {

// Says what it was told to say.
class Fixed final : public Policy {
 public:
  explicit Fixed(Decision decision, int* seen = nullptr)
      : decision_(std::move(decision)), seen_(seen) {}
  void observe(const Metric&) override {
    if (seen_ != nullptr) ++*seen_;
  }
  Decision decide(const Situation&) override { return decision_; }

 private:
  Decision decision_;
  int* seen_;
};

Decision wish(int desired) {
  Decision decision;
  decision.valid = true;
  decision.desired = desired;
  decision.reason = "says " + std::to_string(desired);
  return decision;
}

Decision unknown() {
  Decision decision;
  decision.reason = "knows nothing";
  return decision;
}

Combine combine(const Decision& a, const Decision& b, Combine::Role role_of_b) {
  std::vector<Combine::Part> parts;
  parts.push_back({"a", std::make_unique<Fixed>(a)});
  parts.push_back({"b", std::make_unique<Fixed>(b), role_of_b});
  return Combine(std::move(parts));
}

constexpr auto kDecides = Combine::Role::kDecides;
constexpr auto kRaises = Combine::Role::kRaises;

TEST(CombineTest, TheLargestWishCountsAndIsNamed) {
  const Decision d = combine(wish(3), wish(5), kDecides).decide({});
  EXPECT_TRUE(d.valid);
  EXPECT_EQ(d.desired, 5);
  EXPECT_EQ(d.reason, "b: says 5");
  EXPECT_EQ(combine(wish(4), wish(4), kDecides).decide({}).reason, "a: says 4");
}

TEST(CombineTest, WhatKnowsNothingDoesNotCount) {
  EXPECT_EQ(combine(unknown(), wish(2), kDecides).decide({}).desired, 2);
  const Decision d = combine(unknown(), unknown(), kDecides).decide({});
  EXPECT_FALSE(d.valid);
  EXPECT_EQ(d.reason, "a: knows nothing");
}

TEST(CombineTest, AFloorRaisesButNeverLowers) {
  EXPECT_EQ(combine(wish(1), wish(4), kRaises).decide({}).desired, 4);
  EXPECT_EQ(combine(wish(4), wish(1), kRaises).decide({}).desired, 4);
  // Nobody knows whether the three pods are needed: they stay.
  EXPECT_FALSE(combine(unknown(), wish(0), kRaises).decide({.ready = 3}).valid);
  EXPECT_FALSE(combine(unknown(), wish(3), kRaises).decide({.ready = 2, .starting = 1}).valid);
  const Decision d = combine(unknown(), wish(5), kRaises).decide({.ready = 3});
  EXPECT_TRUE(d.valid);
  EXPECT_EQ(d.desired, 5);
}

TEST(CombineTest, PanicAndErrorsOfAnyPartAreSeen) {
  Decision small = wish(1);
  small.panic = true;
  small.error = "line 3: nil";
  const Decision d = combine(small, wish(5), kDecides).decide({});
  EXPECT_TRUE(d.panic);
  EXPECT_EQ(d.error, "a: line 3: nil");
  EXPECT_EQ(d.desired, 5);
}

TEST(CombineTest, EveryPartSeesEveryMetric) {
  int seen = 0;
  std::vector<Combine::Part> parts;
  parts.push_back({"a", std::make_unique<Fixed>(unknown(), &seen)});
  parts.push_back({"b", std::make_unique<Fixed>(unknown(), &seen)});
  Combine policy(std::move(parts));
  policy.observe({});
  EXPECT_EQ(seen, 2);
}

}  // namespace
}  // namespace ebb::scaling
