#include "cli/up_reload.h"

namespace ebb::cli {

std::string UpReload::to_text() const {
  api::Json pairs = api::Json::array();
  for (const auto& each : certificates) {
    pairs.push_back({{"certificate", each.certificate_pem}, {"key", each.key_pem}});
  }
  const api::Json whole = {{"settings", settings}, {"certificates", std::move(pairs)}};
  // What surrounds PEM in a file may be no UTF-8; PEM itself is ASCII.
  return whole.dump(-1, ' ', false, api::Json::error_handler_t::replace);
}

Result<UpReload> UpReload::parse(std::string_view text) {
  const auto wrong = [] { return fail(Errc::kInvalid, "the supervisor's message is broken"); };
  auto whole = api::Json::parse(text, nullptr, false);
  if (!whole.is_object() || !whole["settings"].is_object() || !whole["certificates"].is_array()) {
    return wrong();
  }
  UpReload out;
  out.settings = std::move(whole["settings"]);
  for (const auto& each : whole["certificates"]) {
    if (!each.is_object()) return wrong();
    const auto certificate = each.find("certificate");
    const auto key = each.find("key");
    if (certificate == each.end() || !certificate->is_string() || key == each.end() ||
        !key->is_string()) {
      return wrong();
    }
    out.certificates.push_back({certificate->get<std::string>(), key->get<std::string>()});
  }
  return out;
}

}  // namespace ebb::cli
