#include "scheduling/pool_size.h"

#include <charconv>
#include <optional>

namespace ebb::scheduling {
namespace {

std::optional<int> whole(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Result<PoolSize> PoolSize::parse(std::string_view text) {
  const size_t dash = text.find('-', 1);
  const auto least = whole(text.substr(0, dash));
  const auto most = dash == std::string_view::npos ? least : whole(text.substr(dash + 1));
  if (!least || !most) {
    return fail(Errc::kInvalid, "\"{}\" is neither a number of pods nor a range like 8-64", text);
  }
  for (const int size : {*least, *most}) {
    if (size < 0 || size > kMost) {
      return fail(Errc::kInvalid, "{} is not within 0 and {}", size, kMost);
    }
  }
  if (*most < *least) {
    return fail(Errc::kInvalid, "\"{}\" ends below where it begins", text);
  }
  return PoolSize{*least, *most};
}

}  // namespace ebb::scheduling
