// Feeds each trace reader whatever bytes come: an error or a trace whose calls are all
// replayed in order. The first byte picks the format, and whether wrong rows are left out.
#include <cstdlib>

#include "sim/arrivals.h"
#include "sim/trace_azure.h"
#include "sim/trace_calls.h"

namespace {

using namespace ebb;
using namespace ebb::sim;

Result<Trace> parse(uint8_t kind, std::string_view text) {
  const NamedText file{"fuzz", text};
  const NamedText counts{"inv", "HashOwner,HashApp,HashFunction,1\na,b,c,1\n"};
  const ReadOptions options{.lenient = kind >= 128};
  switch (kind % 6) {
    case 0:
      return parse_azure2019({file, {}, {}}, options);
    case 1:
      return parse_azure2021(file, options);
    case 2:
      return parse_access_log(file, options);
    case 3:
      return parse_plain(file, options);
    case 4:
      return parse_azure2019({counts, file, {}}, options);
    default:
      return parse_azure2019({counts, {}, file}, options);
  }
}

void replay(const Trace& trace) {
  constexpr uint64_t kMost = 10000;  // enough to see the order
  if (trace.total_calls > kMost) return;
  ArrivalStream stream(trace, {.spread = Spread::kExponential});
  std::vector<Arrival> minute;
  uint64_t calls = 0;
  int64_t last = 0;
  while (stream.next(minute)) {
    for (const Arrival& arrival : minute) {
      if (arrival.at_ns < last || arrival.service_ns < 0) std::abort();
      last = arrival.at_ns;
      ++calls;
    }
  }
  if (calls != trace.total_calls) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (const auto trace = parse(data[0], text)) replay(*trace);
  return 0;
}
