// However a pod's output is cut into pieces: every line is bounded, and nothing but
// line breaks is lost.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "node/pod_log.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t step = size == 0 ? 1 : data[0] + 1U;
  ebb::node::LineCutter cutter;
  std::string out;
  for (size_t at = 0; at < size; at += step) cutter.feed(text.substr(at, step), "", out);
  cutter.finish("", out);
  size_t begin = 0;
  for (size_t end = 0; (end = out.find('\n', begin)) != std::string::npos; begin = end + 1) {
    if (end - begin > ebb::node::kMaxLogLine) std::abort();
  }
  const auto kept = [](char c) { return c != '\n' && c != '\r'; };
  if (std::count_if(text.begin(), text.end(), kept) !=
      std::count_if(out.begin(), out.end(), kept)) {
    std::abort();
  }
  return 0;
}
