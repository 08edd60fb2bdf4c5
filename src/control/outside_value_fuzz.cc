// Any answer gives a finite number or an error, and any text a metric that can be asked
// for or an error: "POINTER OR METRIC\nBODY".
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "control/outside_value.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace control = ebb::control;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto end = text.find('\n');
  const auto first = text.substr(0, end);
  const auto body = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  const auto check = [](const ebb::Result<double>& value) {
    if (value ? !std::isfinite(*value) : value.error().message.empty()) std::abort();
  };
  check(control::prometheus_value(body));
  check(control::json_value(body, first));
  if (const auto spec = control::parse_outside_metric(first)) {
    if (!control::parse_http_url(control::url_of(*spec))) std::abort();
    check(control::value_of(*spec, body));
  }
  return 0;
}
