// Any pair of texts is replayed to a report, whatever stands in them.
#include <cstdint>
#include <sstream>
#include <string>

#include "scaling/kpa_replay.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::istringstream in(text);
  std::istringstream out("{}\n{}\n{}\n");
  (void)ebb::scaling::check_vector({"in", in}, {"out", out});
  return 0;
}
