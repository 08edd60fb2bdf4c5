// Feeds requests to the codec, cut by the input's first bytes. Whatever the bytes:
// the outcome is the same as at once, and llhttp reads no other body than we do.
#include "http/fuzz_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ebb::http::check_codec({reinterpret_cast<const char*>(data), size}, true);
  return 0;
}
