// Plots as inline SVG, for a page without scripts: lines over time, and points with
// labels. Colours are classes (c0, c1, ... and d1, d2, ... for dashes once colours come
// again), so that the page's style says what they are in light, dark and print. Pure.
//
//   LinePlot plot{.title = "Pods", .from_s = 0, .width_s = 300};
//   plot.lines = {{.name = "kpa", .color = 0, .values = pods_by_bin}};
//   page += svg_of(plot);
#pragma once

#include <string>
#include <vector>

namespace ebb::sim {

inline constexpr size_t kPlotColors = 7;  // classes c0 to c6

// The classes of the n-th thing's colour.
[[nodiscard]] std::string color_class(size_t n);

// What HTML takes for markup is escaped.
[[nodiscard]] std::string escaped(const std::string& text);

// "0.5", "12", "1,200", "35k".
[[nodiscard]] std::string tick_text(double value);
// Round values from about `low` to about `high`: 1, 2 or 5 times a power of ten apart.
[[nodiscard]] std::vector<double> linear_ticks(double low, double high, int about);
// Powers of ten, and 2 and 5 times them where those are few; the first is no more than
// `low`, the last no less than `high`. Both must be above 0.
[[nodiscard]] std::vector<double> log_ticks(double low, double high);
// Where to mark a time axis of so many seconds, from 0 on: whole minutes, hours or days.
[[nodiscard]] std::vector<double> time_ticks(double length_s);

struct LinePlot {
  struct Line {
    std::string name;  // stands at the line's end; "" for none
    size_t color = 0;
    std::vector<double> values = {};  // one for each bin
  };
  std::string title = {};  // for those who do not see it
  double width_s = 60;     // of a bin
  double length_s = 60;    // of all
  std::vector<Line> lines = {};
  bool steps = false;  // values hold for their bin
  bool area = false;   // filled down to 0
  // A logarithmic axis of times from this on, s; what is less is drawn at its foot. 0:
  // linear.
  double log_from = 0;
};
[[nodiscard]] std::string svg_of(const LinePlot& plot);

// Less is better on both axes: those that no other beats on both are joined. Who does not
// take part is shown hollow, and is joined to none.
struct PointPlot {
  struct Point {
    std::string name;
    size_t color = 0;
    double x = 0;
    double y = 0;
    bool takes_part = true;
  };
  std::string title = {};
  std::string x_label = {};
  std::string y_label = {};
  std::vector<Point> points = {};
};
[[nodiscard]] std::string svg_of(const PointPlot& plot);

}  // namespace ebb::sim
