// Any selectors against any object.
#include "apiserver/selector.h"

#include <cstdint>
#include <nlohmann/json.hpp>

#include "api/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto first = text.substr(0, text.find('\n'));
  const auto rest = text.substr(std::min(text.size(), first.size() + 1));
  const auto json = ebb::api::parse_json(rest);
  for (const auto& selector :
       {ebb::apiserver::Selector::parse(first, ""), ebb::apiserver::Selector::parse("", first)}) {
    if (selector && json) (void)selector->matches(*json);
  }
  return 0;
}
