// Any text: reading it must not crash, and what was read must survive a round trip.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "api/defaults.h"
#include "api/hpa.h"
#include "api/json.h"
#include "api/types.h"
#include "api/validate.h"

namespace {

template <class T>
void round_trip(const ebb::api::Json& json) {
  auto first = T::from_json(json);
  if (!first) return;
  auto written = first->to_json();
  auto second = T::from_json(written);
  if (!second || !(*second == *first) || second->to_json() != written) std::abort();
}

template <class T>
void check(const ebb::api::Json& json) {
  round_trip<T>(json);
  auto object = T::from_json(json);
  if (!object) return;
  auto once = *object;
  ebb::api::apply_defaults(once);
  auto twice = once;
  ebb::api::apply_defaults(twice);
  if (!(once == twice)) std::abort();
  (void)ebb::api::validate(once);
  (void)ebb::api::validate_update(*object, once);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto json = ebb::api::parse_json({reinterpret_cast<const char*>(data), size});
  if (!json) return 0;
  auto again = ebb::api::parse_json(ebb::api::to_text(*json));
  if (!again || *again != *json) std::abort();
  // Without apiVersion and kind the same object is any kind.
  check<ebb::api::Service>(*json);
  check<ebb::api::Configuration>(*json);
  check<ebb::api::Revision>(*json);
  check<ebb::api::Route>(*json);
  check<ebb::api::HorizontalPodAutoscaler>(*json);
  (void)ebb::api::targets_text(*json);
  round_trip<ebb::api::Pod>(*json);
  round_trip<ebb::api::Node>(*json);
  return 0;
}
