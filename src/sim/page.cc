#include "sim/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string_view>
#include <vector>

#include "sim/plot.h"

namespace ebb::sim {
namespace {

// The colours are those of Okabe and Ito (2008), told apart by the colour-blind; in the
// dark a little lighter.
constexpr std::string_view kStyle = R"(
:root{--page:#fff;--ink:#1b1f24;--soft:#59636e;--rule:#e3e6ea;--load:#8a949e;--bad:#b3261e;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#b8569a;--c4:#c98500;--c5:#2b9bd8;--c6:#1b1f24}
@media (prefers-color-scheme:dark){:root{--page:#14171a;--ink:#e6e8eb;--soft:#9aa4ae;
--rule:#2b3137;--load:#77828d;--bad:#ff8a80;--c0:#4aa8e0;--c1:#f08a3c;--c2:#2fc49a;--c3:#dd8fc2;--c4:#f0b429;
--c5:#8fd0f5;--c6:#e6e8eb}}
@media print{:root{--page:#fff;--ink:#000;--soft:#444;--rule:#ddd;--load:#777;--bad:#b3261e;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#b8569a;--c4:#c98500;--c5:#2b9bd8;--c6:#000}}
:root{color-scheme:light dark}
*{box-sizing:border-box}
body{margin:0 auto;padding:32px 24px 48px;max-width:1160px;background:var(--page);
color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:26px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:17px;margin:36px 0 2px}
p{margin:0 0 8px}
.soft,figcaption,.note{color:var(--soft)}
.note{font-size:14px}
.table{overflow-x:auto;margin:20px 0 6px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:6px 7px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
th{font-weight:600;color:var(--soft);vertical-align:bottom;line-height:1.3}
thead tr:first-child th{border-bottom:0;padding-bottom:0;font-weight:400}
th.group{text-align:center;border-left:1px solid var(--rule)}
td.first,th.first{border-left:1px solid var(--rule)}
td:first-child,th:first-child{text-align:left;border-left:0;position:sticky;left:0;
background:var(--page)}
td.best,td.bad{font-weight:700}
td.bad,p.bad{color:var(--bad)}
p.bad{border-left:3px solid;padding-left:10px;font-weight:600;overflow-wrap:anywhere}
.key{display:inline-block;width:10px;height:10px;border-radius:50%;margin-right:8px;
background:currentColor}
figure{margin:0;break-inside:avoid}
figcaption{font-size:14px;margin-bottom:6px}
section{break-inside:avoid}
.two{display:grid;grid-template-columns:1fr 1fr;gap:24px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--soft)}
svg .grid{stroke:var(--rule);stroke-width:1}
svg .line{fill:none;stroke:currentColor;stroke-width:1.6;stroke-linejoin:round}
svg .load{color:var(--load)}
svg .area{fill:var(--load);opacity:.18}
svg .front{fill:none;stroke:var(--soft);stroke-width:1;stroke-dasharray:3 4}
svg .dot{fill:currentColor;stroke:var(--page);stroke-width:1.5}
svg .hollow{fill:var(--page);stroke:currentColor;stroke-width:2}
svg .name{fill:currentColor;font-weight:600;paint-order:stroke;stroke:var(--page);stroke-width:3px}
.d1{stroke-dasharray:6 3}.d2{stroke-dasharray:2 3}
svg text,svg .dot{stroke-dasharray:none}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;font-size:14px;
color:var(--soft)}
dt{font-weight:600}dd{margin:0}
@media screen and (max-width:720px){.two,dl{grid-template-columns:minmax(0,1fr)}
body{padding:20px 16px 32px}td:first-child{white-space:normal;overflow-wrap:anywhere;
min-width:136px;max-width:42vw}
.plot{overflow-x:auto;overflow-y:hidden}.plot svg{min-width:800px}}
@page{margin:14mm}
@media print{body{padding:0;max-width:none;font-size:12px}h1{font-size:20px}h2{margin-top:18px}
table{font-size:10.5px}th,td{padding:4px 5px}.note,figcaption,dl{font-size:11px}
svg text{font-size:12px}}
)";

std::string color_rules() {
  std::string out;
  for (size_t i = 0; i < kPlotColors; ++i) out += fmt::format(".c{0}{{color:var(--c{0})}}", i);
  return out + "\n";
}

// A column of the table; where less is better the least is shown in bold.
struct Column {
  const char* title;
  const char* group;  // "" for the group of the one before
  std::string (*text)(const Report&);
  double (*value)(const Report&);  // what is compared; nullptr: not compared
  bool problem = false;            // anything but 0 is one
};

std::string percent(double share) {
  return fmt::format("{:.{}f}\u202f%", 100 * share, share < 0.1 ? 2 : 1);
}

// What went wrong, where something did.
std::vector<Column> problem_columns(const Comparison& comparison) {
  std::vector<Column> out;
  const auto any = [&comparison](double (*value)(const Report&)) {
    return std::any_of(comparison.reports.begin(), comparison.reports.end(),
                       [value](const Report& r) { return value(r) > 0; });
  };
  const Column unfinished{"unfinished", "Calls",
                          [](const Report& r) { return grouped(r.unfinished); },
                          [](const Report& r) { return static_cast<double>(r.unfinished); }, true};
  const Column failed{"failed", "Decisions",
                      [](const Report& r) { return grouped(r.policy_errors); },
                      [](const Report& r) { return static_cast<double>(r.policy_errors); }, true};
  for (const Column& column : {unfinished, failed}) {
    if (any(column.value)) out.push_back(column);
  }
  return out;
}

std::vector<Column> columns(const Comparison& comparison) {
  std::vector<Column> out{
      {"calls", "Cold", [](const Report& r) { return grouped(r.cold); },
       [](const Report& r) { return static_cast<double>(r.cold); }},
      {"share", "", [](const Report& r) { return percent(r.cold_share()); }, nullptr},
      {"p50", "Functions' cold share",
       [](const Report& r) { return fmt::format("{:.0f}\u202f%", 100 * cold_shares(r).p50); },
       nullptr},
      {"p75", "",
       [](const Report& r) { return fmt::format("{:.0f}\u202f%", 100 * cold_shares(r).p75); },
       nullptr},
      {"p99", "",
       [](const Report& r) { return fmt::format("{:.0f}\u202f%", 100 * cold_shares(r).p99); },
       nullptr},
      {"p50", "Wait", [](const Report& r) { return time_text(r.waits.percentile(0.5)); }, nullptr},
      {"p99", "", [](const Report& r) { return time_text(r.waits.percentile(0.99)); },
       [](const Report& r) { return r.waits.percentile(0.99); }},
      {"p99", "Slowdown",
       [](const Report& r) { return fmt::format("{:.2f}", r.slowdown_geomean_p99); },
       [](const Report& r) { return r.slowdown_geomean_p99; }},
      {"GB-hours", "Memory", [](const Report& r) { return amount_text(held_gb_h(r)); },
       [](const Report& r) { return r.held_mb_s; }},
      {"wasted", "", [](const Report& r) { return percent(r.waste()); }, nullptr},
      {"started", "Pods", [](const Report& r) { return grouped(r.pods_started); },
       [](const Report& r) { return static_cast<double>(r.pods_started); }},
      {"peak", "", [](const Report& r) { return grouped(static_cast<uint64_t>(r.peak_pods)); },
       [](const Report& r) { return static_cast<double>(r.peak_pods); }}};
  if (comparison.slots > 0) {
    out.push_back({"hours", "Nodes", [](const Report& r) { return amount_text(r.node_s / 3600); },
                   [](const Report& r) { return r.node_s; }});
    out.push_back({"peak", "", [](const Report& r) { return fmt::format("{}", r.peak_nodes); },
                   [](const Report& r) { return static_cast<double>(r.peak_nodes); }});
  }
  const auto problems = problem_columns(comparison);
  out.insert(out.begin(), problems.begin(), problems.end());
  return out;
}

// Among those that can be compared.
bool is_best(const Comparison& comparison, const Report& report, const Column& column) {
  if (column.value == nullptr || column.problem || !comparable(report)) return false;
  if (comparison.reports.size() < 2) return false;
  return std::all_of(comparison.reports.begin(), comparison.reports.end(),
                     [&](const Report& other) {
                       return !comparable(other) || column.value(report) <= column.value(other);
                     });
}

std::string table_of(const Comparison& comparison) {
  const auto shown = columns(comparison);
  std::string out = "<div class=\"table\"><table>\n<thead><tr><th></th>";
  for (size_t i = 0; i < shown.size();) {
    size_t end = i + 1;
    while (end < shown.size() && shown[end].group[0] == '\0') ++end;
    out += fmt::format("<th class=\"group\" colspan=\"{}\">{}</th>", end - i, shown[i].group);
    i = end;
  }
  out += "</tr>\n<tr><th>Policy</th>";
  const auto first = [](const Column& column) { return column.group[0] != '\0'; };
  for (const Column& column : shown) {
    out += fmt::format("<th{}>{}</th>", first(column) ? " class=\"first\"" : "", column.title);
  }
  out += "</tr></thead>\n<tbody>\n";
  for (size_t i = 0; i < comparison.reports.size(); ++i) {
    const Report& report = comparison.reports[i];
    out += fmt::format("<tr><td><span class=\"key {}\"></span>{}</td>", color_class(i),
                       escaped(report.policy));
    for (const Column& column : shown) {
      std::string classes = first(column) ? "first" : "";
      const auto add = [&classes](const char* name) {
        classes += (classes.empty() ? "" : " ") + std::string(name);
      };
      if (column.problem && column.value(report) > 0) add("bad");
      if (is_best(comparison, report, column)) add("best");
      out += fmt::format("<td class=\"{}\">{}</td>", classes, escaped(column.text(report)));
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string figure(const char* title, const std::string& caption, const std::string& svg) {
  return fmt::format(
      "<section><h2>{}</h2><figure><figcaption>{}</figcaption>\n"
      "<div class=\"plot\">{}</div></figure></section>\n",
      title, caption, svg);
}

using Value = std::function<double(const TimelineBin&)>;

LinePlot over_time(const Comparison& comparison, const char* title, const Value& value) {
  LinePlot plot{.title = title};
  const auto& bins = comparison.reports.front().timeline;
  plot.width_s = bins.empty() ? 1 : bins.front().length_s;
  plot.length_s = bins.empty() ? 1 : bins.back().from_s + bins.back().length_s;
  for (size_t i = 0; i < comparison.reports.size(); ++i) {
    const Report& report = comparison.reports[i];
    LinePlot::Line line{.name = report.policy, .color = i};
    for (const TimelineBin& bin : report.timeline) line.values.push_back(value(bin));
    plot.lines.push_back(std::move(line));
  }
  return plot;
}

std::string plots(const Comparison& comparison) {
  const double width = over_time(comparison, "", [](const TimelineBin&) { return 0.0; }).width_s;
  const std::string bin =
      width >= 60 ? fmt::format("{:g} min", width / 60) : fmt::format("{:g} s", width);
  std::string out;
  LinePlot load = over_time(comparison, "Calls per second", [](const TimelineBin& b) {
    return static_cast<double>(b.calls) / b.length_s;
  });
  load.lines.resize(1);  // the same for all
  load.lines[0].name.clear();
  load.area = load.steps = true;
  out += figure("Load", fmt::format("Calls per second, the mean of each {}", bin), svg_of(load));
  out += figure(
      "Pods",
      fmt::format("Pods held by functions, those that start included; the mean of each {}", bin),
      svg_of(over_time(comparison, "Pods", [](const TimelineBin& b) { return b.pods; })));
  if (comparison.slots > 0) {
    LinePlot nodes = over_time(comparison, "Nodes",
                               [](const TimelineBin& b) { return static_cast<double>(b.nodes); });
    nodes.steps = true;
    out += figure("Nodes", fmt::format("Nodes that run or boot, at the end of each {}", bin),
                  svg_of(nodes));
  }
  LinePlot waits =
      over_time(comparison, "Waiting, p99", [](const TimelineBin& b) { return b.wait_p99; });
  waits.log_from = 1e-3;
  out += figure("Waiting",
                fmt::format("From a call's arrival to the start of its execution: the p99 of "
                            "each {}, on a logarithmic scale",
                            bin),
                svg_of(waits));
  return out;
}

std::string frontiers(const Comparison& comparison) {
  PointPlot latency{.title = "Slowdown against memory",
                    .x_label = "memory held, GB-hours",
                    .y_label = "p99 slowdown, mean over functions"};
  PointPlot cold{.title = "Cold calls against memory",
                 .x_label = "memory held, GB-hours",
                 .y_label = "cold calls, % of all"};
  for (size_t i = 0; i < comparison.reports.size(); ++i) {
    const Report& r = comparison.reports[i];
    const bool takes_part = comparable(r);
    const std::string name = takes_part ? r.policy : r.policy + " (not comparable)";
    latency.points.push_back({name, i, held_gb_h(r), r.slowdown_geomean_p99, takes_part});
    cold.points.push_back({name, i, held_gb_h(r), 100 * r.cold_share(), takes_part});
  }
  const bool all_comparable =
      std::all_of(comparison.reports.begin(), comparison.reports.end(), comparable);
  return fmt::format(
      "<section><h2>Cost against latency</h2>\n"
      "<p class=\"note\">Lower left is better. The dotted line joins the policies that no other "
      "beats on both axes.{}</p>\n"
      "<div class=\"two\"><figure>{}</figure><figure>{}</figure></div></section>\n",
      all_comparable ? ""
                     : " Hollow: calls never ended or decisions failed, so that the policy looks "
                       "better than it is.",
      svg_of(latency), svg_of(cold));
}

constexpr std::string_view kTerms = R"(<section><h2>Terms</h2><dl>
<dt>Cold</dt><dd>Calls given to a pod that was still starting.</dd>
<dt>Functions' cold share</dt><dd>The share of a function's calls that were cold: half (p50),
three quarters (p75) and 99 % (p99) of the functions have no more.</dd>
<dt>Wait</dt><dd>From a call's arrival to the start of its execution.</dd>
<dt>Slowdown</dt><dd>(Wait + execution) / execution, 1 is perfect: the p99 of each function, and
of these the geometric mean.</dd>
<dt>Memory</dt><dd>Held by functions' pods, from being handed out to their end; wasted is the part
during which no call ran in the pod.</dd>
<dt>Bold</dt><dd>The least of a column.</dd>
)";

constexpr std::string_view kProblemTerms =
    R"(<dt>Unfinished, failed</dt><dd>Calls that had not ended an hour after the trace: they are in no
wait and no slowdown. Decisions that a policy failed to make. The other figures of such a policy
cannot be compared: none is in bold, and it is not on the dotted line.</dd>
)";

}  // namespace

std::string to_html(const Comparison& comparison) {
  std::string name = comparison.trace;
  if (const size_t slash = name.rfind('/'); slash != std::string::npos) name.erase(0, slash + 1);
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  out += fmt::format("<title>Policies on {}</title>\n<style>", escaped(name));
  out += kStyle;
  out += color_rules();
  out += "</style>\n</head>\n<body>\n";
  out += fmt::format("<h1>Scaling policies on {}</h1>\n", escaped(name));
  for (const std::string& line : summary(comparison)) {
    out += fmt::format("<p class=\"soft\">{}</p>\n", escaped(line));
  }
  for (const std::string& line : remarks(comparison)) {
    out += fmt::format("<p class=\"bad\">{}</p>\n", escaped(line));
  }
  out += table_of(comparison);
  out += frontiers(comparison);
  out += plots(comparison);
  out += kTerms;
  if (!problem_columns(comparison).empty()) out += kProblemTerms;
  out += "</dl></section>\n";
  return out + "</body>\n</html>\n";
}

}  // namespace ebb::sim
