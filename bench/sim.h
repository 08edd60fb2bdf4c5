// Parts of the simulator's benchmark.
#pragma once

#include <string>
#include <vector>

#include "figures.h"
#include "sim/trace.h"

namespace ebb::bench {

// A day of Azure Functions' 2019 trace with so many functions; empty without EBB_SHARED.
[[nodiscard]] sim::Trace azure_day(int functions);

void keep_alive_table(const Figures& figures, const sim::Trace& day);
void eviction_table(const Figures& figures, const sim::Trace& day);
// Policies as `ebb simulate --policy` takes them, with starts of 1 ms and 1 s and several
// sizes of nodes.
void policies_table(const Figures& figures, const std::string& name, const sim::Trace& day,
                    const std::vector<std::string>& policies);

}  // namespace ebb::bench
