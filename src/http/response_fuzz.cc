// As request_fuzz.cc, for responses.
#include "http/fuzz_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ebb::http::check_codec({reinterpret_cast<const char*>(data), size}, false);
  return 0;
}
