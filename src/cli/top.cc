// `ebb top`.
#include <nlohmann/json.hpp>

#include "api/pod_autoscaler.h"
#include "api/types.h"
#include "api/usage.h"
#include "cli/commands.h"
#include "cli/resource_kinds.h"
#include "cli/terminal.h"
#include "cli/top_usage.h"
#include "cli/top_view.h"

namespace ebb::cli {

namespace {

using api::Json;

// An API that does not have the kind has none of them.
Result<void> list(const api::Kind& kind, const std::string& ns, ApiClient& client,
                  std::vector<Json>& into) {
  auto answer = client.get(path_of(kind, ns, ""), client.now() + kCallTimeout);
  if (!answer && answer.error().code == Errc::kNotFound) return {};
  if (!answer) return fail(answer.error());
  const auto items = answer->find("items");
  if (items == answer->end() || !items->is_array()) return {};
  for (Json& item : *items) {
    if (item.is_object()) into.push_back(std::move(item));
  }
  return {};
}

// As `kubectl top`.
Result<void> show_usage(const TopOptions& options, const std::string& ns, ApiClient& client,
                        Console& console) {
  std::vector<Json> metrics;
  std::vector<Json> nodes;
  const bool pods = options.what == "pods";
  const api::Kind& kind = pods ? api::PodMetrics::kind() : api::NodeMetrics::kind();
  auto done = list(kind, pods ? ns : "", client, metrics);
  if (done && !pods) done = list(api::Node::kind(), "", client, nodes);
  if (!done) return fail(done.error());
  if (metrics.empty()) {
    console.err << "Nothing has been measured yet: that takes two intervals (metricsInterval).\n";
    return {};
  }
  console.out << render(pods ? pods_usage(metrics, options.all_namespaces)
                             : nodes_usage(metrics, nodes));
  return {};
}

Result<TopFacts> look(const std::string& ns, ApiClient& client) {
  TopFacts facts;
  auto done = list(api::PodAutoscaler::kind(), ns, client, facts.autoscalers);
  if (done) done = list(api::Pod::kind(), ns, client, facts.pods);
  if (done) done = list(api::Node::kind(), "", client, facts.nodes);
  if (!done) return fail(done.error());
  return facts;
}

}  // namespace

Result<void> top(const TopOptions& options, const std::string& ns, ApiClient& client,
                 Console& console) {
  const std::string of = options.all_namespaces ? "" : ns;
  if (!options.what.empty()) return show_usage(options, of, client, console);
  auto facts = look(of, client);
  if (!facts) return fail(facts.error());
  if (options.once || !console.out_is_terminal) {
    TopStyle style;
    style.namespaces = options.all_namespaces;
    console.out << top_text(*facts, style);
    return {};
  }
  Terminal terminal;
  for (;;) {
    const auto size = terminal.size();
    const TopStyle style{.namespaces = options.all_namespaces,
                         .height = size.height - 1,
                         .width = size.width,
                         .bold = console.colors};
    // A look that failed says why; the next one may work again.
    terminal.draw(facts ? top_text(*facts, style) : "Error: " + facts.error().message + "\n");
    const TimePoint next = client.now() + options.interval;
    while (client.now() < next) {
      const auto key = terminal.key(next - client.now());
      if (key == 'q' || key == 'Q') return {};
    }
    facts = look(of, client);
  }
}

}  // namespace ebb::cli
