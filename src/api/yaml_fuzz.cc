// Any text: reading it must not crash or grow without bound, and what was read must
// survive writing.
#include "api/yaml.h"

#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "api/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto documents = ebb::api::parse_yaml(text);
  auto json = ebb::api::parse_json(text);
  if (!documents) {
    if (!documents.error().message.starts_with("line ")) std::abort();
    // All JSON is YAML.
    if (json && json->is_structured()) std::abort();
    return 0;
  }
  if (json && json->is_structured() && (*documents)[0] != *json) std::abort();
  for (const auto& document : *documents) {
    auto again = ebb::api::parse_yaml(ebb::api::to_yaml(document));
    if (!again || again->size() != 1 || again->front() != document) std::abort();
  }
  return 0;
}
