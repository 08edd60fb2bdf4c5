#include "api/quantity.h"

#include <charconv>
#include <cmath>

namespace ebb::api {
namespace {

struct Suffix {
  std::string_view text;
  long double factor;
};
constexpr Suffix kSuffixes[] = {{"", 1},
                                {"n", 1e-9L},
                                {"u", 1e-6L},
                                {"m", 1e-3L},
                                {"k", 1e3L},
                                {"M", 1e6L},
                                {"G", 1e9L},
                                {"T", 1e12L},
                                {"P", 1e15L},
                                {"E", 1e18L},
                                {"Ki", 1024.0L},
                                {"Mi", 1048576.0L},
                                {"Gi", 1073741824.0L},
                                {"Ti", 1099511627776.0L},
                                {"Pi", 1125899906842624.0L},
                                {"Ei", 1152921504606846976.0L}};

// The number times `scale`, rounded up.
Result<int64_t> parse(std::string_view text, long double scale, const char* example) {
  auto bad = [&](const char* why) {
    return fail(Errc::kInvalid, "\"{}\" is not a quantity like {}: {}", text, example, why);
  };
  auto digits_end = text.find_first_not_of("0123456789.");
  std::string_view digits = text.substr(0, digits_end);
  std::string_view suffix = digits_end == std::string_view::npos ? "" : text.substr(digits_end);
  if (!text.empty() && text[0] == '-') return bad("it must not be negative");
  if (digits.empty() || digits == "." || digits.find('.') != digits.rfind('.')) {
    return bad("it must start with a number");
  }
  // The decimal number by hand: exact for all that 64 bits of mantissa hold.
  long double number = 0;
  long double place = 1;
  bool fraction = false;
  for (char c : digits) {
    if (c == '.') {
      fraction = true;
      continue;
    }
    number = number * 10 + (c - '0');
    if (fraction) place *= 10;
  }
  long double factor = 0;
  for (const auto& known : kSuffixes) {
    if (suffix == known.text) factor = known.factor;
  }
  if (factor == 0 && (suffix[0] == 'e' || suffix[0] == 'E')) {
    int exponent = 0;
    std::string_view power = suffix.substr(1);
    if (power.starts_with('+')) power.remove_prefix(1);
    auto [end, error] = std::from_chars(power.data(), power.data() + power.size(), exponent);
    if (error != std::errc() || end != power.data() + power.size()) return bad("bad exponent");
    factor = std::pow(10.0L, static_cast<long double>(exponent));
  }
  if (factor == 0) return bad("the unit is unknown");
  // Decimal fractions are not exact in binary: forgive one part in 10^15 before
  // rounding up, or "0.3" would become 301 thousandths.
  long double value = number * factor * scale / place;
  if (!(value < 9.2e18L)) return bad("it is too large");
  long double rounded = std::round(value);
  bool exact = std::abs(value - rounded) <= 1e-15L * value;
  if (!exact) rounded = std::ceil(value);
  return static_cast<int64_t>(rounded);
}

}  // namespace

Result<int64_t> parse_bytes(std::string_view text) { return parse(text, 1, "\"128Mi\""); }

Result<int64_t> parse_millicores(std::string_view text) { return parse(text, 1000, "\"500m\""); }

Result<int64_t> parse_thousandths(std::string_view text) {
  return parse(text, 1000, "\"10\" or \"500m\"");
}

}  // namespace ebb::api
