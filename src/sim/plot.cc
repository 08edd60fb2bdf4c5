#include "sim/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace ebb::sim {
namespace {

constexpr double kTextHeight = 12;
constexpr double kCharWidth = 6.6;  // of a label, about

// From values to pixels.
struct Scale {
  double low = 0;
  double high = 1;
  double from = 0;  // pixels
  double to = 1;
  bool log = false;

  [[nodiscard]] double at(double value) const {
    const auto place = [this](double v) { return log ? std::log10(std::max(v, low)) : v; };
    const double span = place(high) - place(low);
    const double share = span > 0 ? (place(value) - place(low)) / span : 0;
    return from + std::clamp(share, 0.0, 1.0) * (to - from);
  }
};

struct Axis {
  Scale scale;
  std::vector<double> ticks;
};

Axis linear_axis(double low, double high, double from, double to, int about) {
  if (!(high > low)) high = low + std::max(1.0, std::abs(low));
  Axis out{.scale = {.from = from, .to = to}, .ticks = linear_ticks(low, high, about)};
  out.scale.low = std::min(low, out.ticks.front());
  out.scale.high = std::max(high, out.ticks.back());
  return out;
}

Axis log_axis(double low, double high, double from, double to) {
  Axis out{.scale = {.from = from, .to = to, .log = true}, .ticks = log_ticks(low, high)};
  out.scale.low = out.ticks.front();
  out.scale.high = out.ticks.back();
  return out;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text,
                    const std::string& classes = "") {
  return fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}"{}>{}</text>)", x, y, anchor,
                     classes.empty() ? "" : fmt::format(R"( class="{}")", classes), escaped(text)) +
         "\n";
}

std::string rule(double x1, double y1, double x2, double y2) {
  return fmt::format(
      "<line class=\"grid\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", x1, y1,
      x2, y2);
}

std::string open_svg(double width, double height, const std::string& title) {
  return fmt::format("<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n", width,
                     height, escaped(title));
}

std::string clock_text(double seconds, double step) {
  constexpr double kMinute = 60;
  constexpr double kHour = 3600;
  constexpr double kDay = 24 * kHour;
  if (step >= kDay) return fmt::format("{:.0f} d", seconds / kDay);
  if (step >= kHour) return fmt::format("{:.0f} h", seconds / kHour);
  if (step >= kMinute) return fmt::format("{:.0f} min", seconds / kMinute);
  return fmt::format("{:.0f} s", seconds);
}

std::string wait_text(double seconds) {
  if (seconds >= 3600) return fmt::format("{:g} h", seconds / 3600);
  if (seconds >= 1) return fmt::format("{:g} s", seconds);
  return fmt::format("{:g} ms", seconds * 1000);
}

// Moves labels apart that would lie on each other, within [top, bottom].
void spread(std::vector<double>& ys, double gap, double top, double bottom) {
  std::vector<size_t> order(ys.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return ys[a] < ys[b]; });
  double least = top;
  for (const size_t i : order) {
    ys[i] = std::max(ys[i], least);
    least = ys[i] + gap;
  }
  double most = bottom;
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    ys[*i] = std::min(ys[*i], most);
    most = ys[*i] - gap;
  }
}

std::string path_of(const LinePlot& plot, const LinePlot::Line& line, const Scale& x,
                    const Scale& y) {
  std::string out;
  const auto to = [&out](double px, double py) {
    out += fmt::format("{}{:.1f} {:.1f}", out.empty() ? "M" : "L", px, py);
  };
  for (size_t i = 0; i < line.values.size(); ++i) {
    const double begin = static_cast<double>(i) * plot.width_s;
    const double end = std::min(begin + plot.width_s, plot.length_s);
    if (plot.steps) {
      to(x.at(begin), y.at(line.values[i]));
      to(x.at(end), y.at(line.values[i]));
    } else {
      to(x.at((begin + end) / 2), y.at(line.values[i]));
    }
  }
  return out;
}

struct Box {
  double x = 0;
  double y = 0;
  double width = 0;
  double height = 0;

  [[nodiscard]] bool meets(const Box& o) const {
    return x < o.x + o.width && o.x < x + width && y < o.y + o.height && o.y < y + height;
  }
};

}  // namespace

std::string color_class(size_t n) {
  std::string out = fmt::format("c{}", n % kPlotColors);
  if (n >= kPlotColors) out += fmt::format(" d{}", std::min<size_t>(2, n / kPlotColors));
  return out;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string tick_text(double value) {
  const double size = std::abs(value);
  if (size >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:g}k", value / 1e3);
  if (size >= 1000)
    return fmt::format("{:.0f},{:03.0f}", std::floor(value / 1000), std::fmod(value, 1000));
  return fmt::format("{:g}", std::round(value * 1e6) / 1e6);
}

std::vector<double> linear_ticks(double low, double high, int about) {
  const double rough = (high - low) / std::max(1, about);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * 0.999) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> out;
  const auto first = static_cast<int64_t>(std::floor(low / step + 1e-9));
  const auto last = static_cast<int64_t>(std::ceil(high / step - 1e-9));
  for (int64_t i = first; i <= last; ++i) out.push_back(static_cast<double>(i) * step);
  return out;
}

std::vector<double> log_ticks(double low, double high) {
  const auto first = static_cast<int>(std::floor(std::log10(low) + 1e-9));
  const auto last = static_cast<int>(std::ceil(std::log10(high) - 1e-9));
  constexpr int kFew = 3;  // decades that have room for more marks
  std::vector<double> out;
  for (int power = first; power <= std::max(last, first + 1); ++power) {
    const double decade = std::pow(10, power);
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor > 1 && last - first > kFew) continue;
      const double tick = factor * decade;
      // Only the nearest one outside on either side.
      if (!out.empty() && out.back() >= high * 0.999) return out;
      if (tick <= low * 1.001) out.clear();
      out.push_back(tick);
    }
  }
  return out;
}

std::vector<double> time_ticks(double length_s) {
  constexpr std::array<double, 16> kSteps{1,    5,    15,    30,    60,    300,   900,    1800,
                                          3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800};
  constexpr double kMost = 12;
  double step = kSteps.back();
  for (const double candidate : kSteps) {
    if (length_s / candidate <= kMost) {
      step = candidate;
      break;
    }
  }
  while (length_s / step > kMost) step *= 2;
  std::vector<double> out;
  for (int i = 0; i * step <= length_s * 1.0001; ++i) out.push_back(i * step);
  return out;
}

std::string svg_of(const LinePlot& plot) {
  constexpr double kWidth = 960;
  constexpr double kHeight = 230;
  constexpr double kLeft = 52;
  constexpr double kTop = 10;
  constexpr double kBottom = kHeight - 26;
  size_t longest = 0;
  for (const auto& line : plot.lines) longest = std::max(longest, line.name.size());
  const double right =
      kWidth - std::clamp(kCharWidth * static_cast<double>(longest) + 14, 20.0, 260.0);

  double most = 0;
  for (const auto& line : plot.lines) {
    for (const double value : line.values) most = std::max(most, value);
  }
  const bool log = plot.log_from > 0;
  const Axis y = log ? log_axis(plot.log_from, std::max(most, plot.log_from * 10), kBottom, kTop)
                     : linear_axis(0, most, kBottom, kTop, 4);
  const Scale x{.low = 0, .high = plot.length_s, .from = kLeft, .to = right};

  std::string out = open_svg(kWidth, kHeight, plot.title);
  for (size_t i = 0; i < y.ticks.size(); ++i) {
    const double at = y.scale.at(y.ticks[i]);
    out += rule(kLeft, at, right, at);
    std::string text = log ? wait_text(y.ticks[i]) : tick_text(y.ticks[i]);
    if (log && i == 0) text = "< " + text;
    out += text_at(kLeft - 6, at + 4, "end", text);
  }
  const auto times = time_ticks(plot.length_s);
  const double step = times.size() > 1 ? times[1] : plot.length_s;
  for (const double time : times) {
    out += text_at(x.at(time), kBottom + 18, "middle", clock_text(time, step));
  }
  std::vector<double> label_ys;
  for (const auto& line : plot.lines) {
    const std::string path = path_of(plot, line, x, y.scale);
    if (path.empty()) {
      label_ys.push_back(kBottom);
      continue;
    }
    if (plot.area) {
      out += fmt::format("<path class=\"area\" d=\"{}L{:.1f} {:.1f}L{:.1f} {:.1f}Z\"/>\n", path,
                         x.at(plot.length_s), kBottom, kLeft, kBottom);
    }
    out += fmt::format("<path class=\"line {}\" d=\"{}\"><title>{}</title></path>\n",
                       plot.area ? "load" : color_class(line.color), path,
                       escaped(line.name.empty() ? plot.title : line.name));
    label_ys.push_back(y.scale.at(line.values.back()));
  }
  spread(label_ys, kTextHeight + 2, kTop + 4, kBottom);
  for (size_t i = 0; i < plot.lines.size(); ++i) {
    if (plot.lines[i].name.empty()) continue;
    out += text_at(right + 8, label_ys[i] + 4, "start", plot.lines[i].name,
                   "name " + color_class(plot.lines[i].color));
  }
  return out + "</svg>\n";
}

std::string svg_of(const PointPlot& plot) {
  constexpr double kWidth = 470;
  constexpr double kHeight = 320;
  constexpr double kLeft = 52;
  constexpr double kRight = kWidth - 20;
  constexpr double kTop = 26;
  constexpr double kBottom = kHeight - 44;
  constexpr double kDot = 5;
  if (plot.points.empty()) return {};

  const auto axis_of = [&plot](double PointPlot::Point::* value, double from, double to) {
    double low = plot.points.front().*value;
    double high = low;
    for (const auto& point : plot.points) {
      low = std::min(low, point.*value);
      high = std::max(high, point.*value);
    }
    constexpr double kWide = 8;  // from here on a logarithm says more
    if (low > 0 && high > kWide * low) return log_axis(low, high, from, to);
    return linear_axis(high > 0 && low < 0.5 * high ? 0 : low, high, from, to, 4);
  };
  const Axis x = axis_of(&PointPlot::Point::x, kLeft, kRight);
  const Axis y = axis_of(&PointPlot::Point::y, kBottom, kTop);

  std::string out = open_svg(kWidth, kHeight, plot.title);
  for (const double tick : y.ticks) {
    out += rule(kLeft, y.scale.at(tick), kRight, y.scale.at(tick));
    out += text_at(kLeft - 6, y.scale.at(tick) + 4, "end", tick_text(tick));
  }
  for (const double tick : x.ticks) {
    out += rule(x.scale.at(tick), kTop, x.scale.at(tick), kBottom);
    out += text_at(x.scale.at(tick), kBottom + 16, "middle", tick_text(tick));
  }
  out += text_at(kRight, kBottom + 36, "end", plot.x_label + " →");
  out += text_at(4, kTop - 12, "start", "↑ " + plot.y_label);

  std::vector<PointPlot::Point> best = plot.points;
  std::stable_sort(best.begin(), best.end(),
                   [](const auto& a, const auto& b) { return a.x != b.x ? a.x < b.x : a.y < b.y; });
  double lowest = INFINITY;
  std::string front;
  for (const auto& point : best) {
    if (!point.takes_part || point.y >= lowest) continue;
    lowest = point.y;
    front += fmt::format("{}{:.1f} {:.1f}", front.empty() ? "M" : "L", x.scale.at(point.x),
                         y.scale.at(point.y));
  }
  if (!front.empty()) out += fmt::format("<path class=\"front\" d=\"{}\"/>\n", front);

  // The title of the axis, and all dots.
  std::vector<Box> taken{
      {4, 0, kCharWidth * static_cast<double>(plot.y_label.size() + 2), kTop - 8}};
  for (const auto& point : plot.points) {
    taken.push_back({x.scale.at(point.x) - kDot, y.scale.at(point.y) - kDot, 2 * kDot, 2 * kDot});
  }
  for (const auto& point : plot.points) {
    const double px = x.scale.at(point.x);
    const double py = y.scale.at(point.y);
    out += fmt::format(
        "<circle class=\"dot{} {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"><title>{}: {:g}, {:g}"
        "</title></circle>\n",
        point.takes_part ? "" : " hollow", color_class(point.color), px, py, kDot,
        escaped(point.name), point.x, point.y);
    const double width = kCharWidth * static_cast<double>(point.name.size());
    // Beside it, above or below; the first place where nothing is. The text is fixed where it
    // is near the dot, since its width is a guess.
    struct Place {
      Box box;
      const char* anchor;
    };
    const std::array<Place, 6> places{{
        {{px + 9, py - 7, width, kTextHeight}, "start"},
        {{px - 9 - width, py - 7, width, kTextHeight}, "end"},
        {{px - width / 2, py - 22, width, kTextHeight}, "middle"},
        {{px - width / 2, py + 8, width, kTextHeight}, "middle"},
        {{px + 7, py - 21, width, kTextHeight}, "start"},
        {{px + 7, py + 8, width, kTextHeight}, "start"},
    }};
    const auto fits = [&](const Place& candidate) {
      const Box& box = candidate.box;
      return box.x >= kLeft + 2 && box.x + box.width <= kWidth && box.y >= 0 &&
             box.y + box.height <= kBottom &&
             std::none_of(taken.begin(), taken.end(),
                          [&box](const Box& other) { return other.meets(box); });
    };
    const auto* found = std::find_if(places.begin(), places.end(), fits);
    Place place = found == places.end() ? places[0] : *found;
    place.box.x = std::clamp(place.box.x, 2.0, std::max(2.0, kWidth - width - 2));
    taken.push_back(place.box);
    const double at = place.anchor[0] == 's'   ? place.box.x
                      : place.anchor[0] == 'e' ? place.box.x + width
                                               : place.box.x + width / 2;
    out += text_at(at, place.box.y + kTextHeight - 2, place.anchor, point.name,
                   "name " + color_class(point.color));
  }
  return out + "</svg>\n";
}

}  // namespace ebb::sim
