#include "cli/commands.h"
#include "sim/compare.h"
#include "sim/page.h"

namespace ebb::cli {

Result<void> simulate(const SimulateOptions& options, Console& console) {
  sim::CompareOptions compare = *options.compare;
  Result<sim::Comparison> found = [&] {
    Progress progress(console);
    if (console.err_is_terminal) {
      compare.progress = [&progress](const std::string& policy, double share) {
        progress.step("Simulating " + policy);
        progress.detail(fmt::format("{:.0f} %", 100 * share));
      };
    }
    return sim::compare(compare, sim::PolicyTable());
  }();
  if (!found) return fail(found.error());
  switch (options.output) {
    case SimulateOptions::Output::kTable:
      console.out << sim::to_table(*found);
      break;
    case SimulateOptions::Output::kJson:
      console.out << sim::to_json(*found);
      break;
    case SimulateOptions::Output::kHtml:
      console.out << sim::to_html(*found);
      break;
  }
  return {};
}

}  // namespace ebb::cli
