#include "sim/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::sim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(Ticks, AreRound) {
  EXPECT_THAT(linear_ticks(0, 9, 4), ElementsAre(0, 5, 10));
  EXPECT_THAT(linear_ticks(0, 37, 4), ElementsAre(0, 10, 20, 30, 40));
  EXPECT_THAT(linear_ticks(0, 0.4, 4),
              testing::Pointwise(testing::DoubleEq(), {0.0, 0.1, 0.2, 0.3, 0.4}));
  EXPECT_THAT(log_ticks(3, 40), ElementsAre(2, 5, 10, 20, 50));
  EXPECT_THAT(log_ticks(0.001, 0.01), ElementsAre(0.001, 0.002, 0.005, 0.01));
  EXPECT_THAT(log_ticks(1, 100000), ElementsAre(1, 10, 100, 1000, 10000, 100000));
  EXPECT_THAT(time_ticks(24 * 3600), testing::SizeIs(13));
  EXPECT_THAT(time_ticks(10), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  EXPECT_THAT(time_ticks(100 * 86400.0).size(), testing::Le(13));
}

TEST(Ticks, AreShort) {
  EXPECT_EQ(tick_text(0.1 + 0.2), "0.3");
  EXPECT_EQ(tick_text(12), "12");
  EXPECT_EQ(tick_text(1200), "1,200");
  EXPECT_EQ(tick_text(35000), "35k");
  EXPECT_EQ(tick_text(2500000), "2.5M");
}

TEST(Plots, EscapeNames) {
  EXPECT_EQ(escaped("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
  LinePlot lines{.title = "<t>", .lines = {{.name = "<b>", .values = {1, 2}}}};
  EXPECT_THAT(svg_of(lines), Not(HasSubstr("<b>")));
  PointPlot points{.title = "t", .x_label = "x", .y_label = "y", .points = {{"<b>", 0, 1, 2}}};
  EXPECT_THAT(svg_of(points), Not(HasSubstr("<b>")));
}

TEST(Plots, JoinWhatNoOtherBeats) {
  // The third is beaten by the first on both axes.
  const PointPlot plot{.title = "t",
                       .x_label = "x",
                       .y_label = "y",
                       .points = {{"a", 0, 1, 3}, {"b", 1, 3, 1}, {"c", 2, 2, 4}}};
  const std::string svg = svg_of(plot);
  const size_t front = svg.find("class=\"front\"");
  ASSERT_NE(front, std::string::npos);
  const std::string path = svg.substr(front, svg.find('\n', front) - front);
  EXPECT_EQ(std::count(path.begin(), path.end(), 'L'), 1);
}

TEST(Plots, WhoDoesNotTakePartIsHollowAndJoinedToNone) {
  PointPlot plot{.title = "t", .points = {{"a", 0, 1, 3}, {"b", 1, 3, 1}, {"c", 2, 0.5, 0.5}}};
  plot.points[2].takes_part = false;
  const std::string svg = svg_of(plot);
  const size_t front = svg.find("class=\"front\"");
  ASSERT_NE(front, std::string::npos);
  const std::string path = svg.substr(front, svg.find('\n', front) - front);
  EXPECT_EQ(std::count(path.begin(), path.end(), 'L'), 1);  // a and b, though c beats both
  EXPECT_THAT(svg, HasSubstr("dot hollow c2"));
  for (auto& point : plot.points) point.takes_part = false;
  EXPECT_THAT(svg_of(plot), Not(HasSubstr("class=\"front\"")));
}

TEST(Plots, SurviveNothing) {
  EXPECT_THAT(svg_of(LinePlot{.title = "t", .lines = {{.name = "a"}}}), HasSubstr("</svg>"));
  EXPECT_THAT(svg_of(LinePlot{.title = "t", .lines = {{.name = "a", .values = {0, 0}}}}),
              HasSubstr("</svg>"));
  EXPECT_EQ(svg_of(PointPlot{}), "");
  // One point: both axes still have a span.
  EXPECT_THAT(svg_of(PointPlot{.points = {{"a", 0, 0, 1}}}), Not(HasSubstr("nan")));
}

TEST(Colors, ComeAgainWithDashes) {
  EXPECT_EQ(color_class(0), "c0");
  EXPECT_EQ(color_class(kPlotColors), "c0 d1");
  EXPECT_EQ(color_class(2 * kPlotColors + 1), "c1 d2");
}

}  // namespace
}  // namespace ebb::sim
