// What the supervisor tells a running front on SIGHUP, as one text: the settings, and the
// certificates, whose files only the supervisor may read.
//
//   std::string text = UpReload{document, certificates}.to_text();
//   auto reload = UpReload::parse(text);          // in the front
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/result.h"
#include "net/tls_certificate.h"

namespace ebb::cli {

struct UpReload {
  api::Json settings;                             // see up_settings.h
  std::vector<net::TlsCertificate> certificates;  // empty: as they are

  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] static Result<UpReload> parse(std::string_view text);
};

}  // namespace ebb::cli
