// Parts of the simulator's benchmark.
#pragma once

#include <string>

#include "sim/trace.h"

namespace ebb::bench {

// A day of Azure Functions' 2019 trace with so many functions; empty without EBB_SHARED.
[[nodiscard]] sim::Trace azure_day(int functions);

void keep_alive_table(const sim::Trace& day);
void eviction_table(const sim::Trace& day);
void kpa_table(const std::string& name, const sim::Trace& day);

}  // namespace ebb::bench
