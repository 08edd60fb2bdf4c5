#include "cli/top_view.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <utility>

#include "api/types.h"
#include "cli/console.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

using api::Json;

constexpr const char* kBold = "\033[1m";
constexpr const char* kPlain = "\033[0m";

struct Row {
  std::string ns;
  std::string revision;
  double desired = 0;
  double ready = 0;
  double starting = 0;
  double in_flight = 0;
  double waiting = 0;
  double concurrency = 0;
  double rps = 0;
  bool panic = false;
  std::string reason;

  [[nodiscard]] bool is_idle() const {
    return desired + ready + starting + in_flight + waiting == 0;
  }
};

double number(const Json& object, const char* field) {
  return std::strtod(text_at(object, {"status", field}).c_str(), nullptr);
}

std::string label(const Json& object, std::string_view key) {
  return text_at(object, {"metadata", "labels", std::string(key)});
}

// Everybody's rows by namespace and name.
std::vector<Row> rows_of(const TopFacts& facts) {
  std::map<std::pair<std::string, std::string>, Row> rows;
  for (const Json& pod : facts.pods) {
    const std::string revision = label(pod, api::kRevisionLabel);
    if (revision.empty()) continue;
    const std::string ns = text_at(pod, {"metadata", "namespace"});
    Row& row = rows[{ns, revision}];
    row.ns = ns;
    row.revision = revision;
    row.ready += label(pod, api::kStateLabel) == "Warm" ? 1 : 0;
  }
  for (const Json& one : facts.autoscalers) {
    const std::string ns = text_at(one, {"metadata", "namespace"});
    const std::string revision = text_at(one, {"metadata", "name"});
    rows[{ns, revision}] = {.ns = ns,
                            .revision = revision,
                            .desired = number(one, "desiredScale"),
                            .ready = number(one, "actualScale"),
                            .starting = number(one, "starting"),
                            .in_flight = number(one, "inFlight"),
                            .waiting = number(one, "waiting"),
                            .concurrency = number(one, "concurrency"),
                            .rps = number(one, "requestsPerSecond"),
                            .panic = text_at(one, {"status", "panic"}) == "true",
                            .reason = text_at(one, {"status", "reason"})};
  }
  std::vector<Row> out;
  out.reserve(rows.size());
  for (auto& [key, row] : rows) out.push_back(std::move(row));
  return out;
}

std::string whole(double value) { return fmt::format("{:.0f}", value); }

Table nodes_table(const std::vector<Json>& nodes) {
  Table table{{"NODE", "STATE", "COLD", "WARM", "DRAINING"}, {}};
  for (const Json& node : nodes) {
    const auto count = [&node](const char* what) {
      return one_line(text_at(node, {"metadata", "annotations", std::string("ebb.dev/") + what}));
    };
    table.rows.push_back({name_of(node), one_line(label(node, api::kStateLabel)),
                          count("cold-pods"), count("warm-pods"), count("draining-pods")});
  }
  return table;
}

Table rows_table(const std::vector<Row>& rows, bool namespaces) {
  Table table{{"FUNCTION", "READY", "STARTING", "DESIRED", "IN FLIGHT", "WAITING", "CONCURRENCY",
               "RPS", "PANIC", "REASON"},
              {}};
  if (namespaces) table.columns.insert(table.columns.begin(), "NAMESPACE");
  for (const Row& row : rows) {
    std::vector<std::string> cells{one_line(row.revision),
                                   whole(row.ready),
                                   whole(row.starting),
                                   whole(row.desired),
                                   whole(row.in_flight),
                                   whole(row.waiting),
                                   fmt::format("{:.1f}", row.concurrency),
                                   fmt::format("{:.1f}", row.rps),
                                   row.panic ? "yes" : "no",
                                   one_line(row.reason)};
    if (namespaces) cells.insert(cells.begin(), one_line(row.ns));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

// The first bytes of up to `width` code points.
std::string cut(const std::string& line, size_t width) {
  size_t points = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    if ((static_cast<unsigned char>(line[i]) & 0xc0) != 0x80 && points++ == width) {
      return line.substr(0, i);
    }
  }
  return line;
}

// As many lines as fit, the first one of each table bold.
class Screen {
 public:
  explicit Screen(const TopStyle& style) : style_(style) {}

  void add(const std::string& text) {
    bool title = true;
    for (size_t start = 0; start < text.size();) {
      const size_t end = std::min(text.find('\n', start), text.size());
      add_line(text.substr(start, end - start), title);
      title = false;
      start = end + 1;
    }
  }
  void add_line(std::string line, bool title = false) {
    if (style_.height > 0 && lines_ >= style_.height) return;
    ++lines_;
    if (style_.width > 0) line = cut(line, style_.width);
    out_ += title && style_.bold ? kBold + line + kPlain : line;
    out_ += "\n";
  }
  std::string take() { return std::move(out_); }

 private:
  const TopStyle& style_;
  size_t lines_ = 0;
  std::string out_;
};

}  // namespace

std::string top_text(const TopFacts& facts, const TopStyle& style) {
  std::vector<Row> rows = rows_of(facts);
  const size_t all = rows.size();
  std::erase_if(rows, [](const Row& row) { return row.is_idle(); });
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::pair(a.in_flight + a.waiting, a.rps) > std::pair(b.in_flight + b.waiting, b.rps);
  });
  Screen screen(style);
  screen.add(render(nodes_table(facts.nodes)));
  screen.add_line("");
  screen.add(render(rows_table(rows, style.namespaces)));
  if (all > rows.size()) {
    screen.add_line(fmt::format("and {} at zero", all - rows.size()));
  }
  return screen.take();
}

}  // namespace ebb::cli
