#include "sim/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/random.h"

namespace ebb::sim {
namespace {

TEST(LogBuckets, AreOffByTwoPercentAtMost) {
  const LogBuckets buckets(1e-6);
  for (double value = 1.0001e-6; value < 1e6; value *= 1.003) {
    EXPECT_NEAR(buckets.value(buckets.of(value)) / value, 1, 0.0201) << value;
  }
  EXPECT_EQ(buckets.of(0), 0);
  EXPECT_EQ(buckets.of(-1), 0);
  EXPECT_EQ(buckets.of(std::nan("")), 0);
  EXPECT_EQ(buckets.of(std::numeric_limits<double>::infinity()), LogBuckets::kCount - 1);
}

TEST(Histogram, PercentilesAreThoseOfTheValues) {
  Histogram histogram(1e-6);
  EXPECT_EQ(histogram.percentile(0.99), 0);
  Random random(3);
  std::vector<double> values;
  for (int i = 0; i < 10000; ++i) {
    values.push_back(i % 3 == 0 ? 0 : random.exponential(2));
    histogram.add(values.back());
  }
  std::sort(values.begin(), values.end());
  EXPECT_EQ(histogram.percentile(0.3), 0);
  for (const double p : {0.5, 0.9, 0.99, 0.999}) {
    const double exact = values[static_cast<size_t>(p * 10000) - 1];
    EXPECT_NEAR(histogram.percentile(p) / exact, 1, 0.03) << p;
  }
  EXPECT_EQ(histogram.percentile(1), histogram.max());
}

TEST(SmallHistogram, AgreesWithTheDenseOneHoweverManyBuckets) {
  for (const uint16_t kinds : {1, 5, 24, 25, 400}) {
    SmallHistogram histogram;
    std::vector<uint16_t> values;
    Random random(kinds);
    for (int i = 0; i < 1000; ++i) {
      values.push_back(static_cast<uint16_t>(random.next() % kinds));
      histogram.add(values.back());
    }
    std::sort(values.begin(), values.end());
    for (const double p : {0.001, 0.5, 0.9, 0.99, 1.0}) {
      EXPECT_EQ(histogram.percentile(p), values[static_cast<size_t>(std::ceil(p * 1000)) - 1]);
    }
  }
}

TEST(SmallHistogram, IsSmall) {
  EXPECT_EQ(sizeof(SmallHistogram), 16);
  SmallHistogram histogram;
  for (int i = 0; i < 1000; ++i) histogram.add(0);
  EXPECT_EQ(histogram.bytes(), 16);
  histogram.add(500);
  EXPECT_LE(histogram.bytes(), 32);
}

}  // namespace
}  // namespace ebb::sim
