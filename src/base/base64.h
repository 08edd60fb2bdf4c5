// Base64 with padding (RFC 4648 section 4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ebb {

[[nodiscard]] std::string to_base64(std::string_view data);

// nullopt for anything that to_base64 would not have written, apart from line breaks
// and blanks, which are skipped.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace ebb
