#include "serving/exposition.h"

#include <fmt/format.h>

#include <cmath>

namespace ebb::serving {
namespace {

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

}  // namespace

void Exposition::family(std::string_view name, std::string_view type, std::string_view help) {
  text_.append("# HELP ").append(name).append(" ");
  append_escaped(text_, help, false);
  text_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void Exposition::begin(std::string_view name, std::string_view suffix,
                       std::span<const Label> labels, std::string_view bound) {
  text_.append(name).append(suffix);
  if (labels.empty() && bound.empty()) return;
  char separator = '{';
  const auto add = [&](std::string_view key, std::string_view value) {
    text_ += separator;
    separator = ',';
    text_.append(key).append("=\"");
    append_escaped(text_, value, true);
    text_ += '"';
  };
  for (const Label& label : labels) add(label.name, label.value);
  if (!bound.empty()) add("le", bound);
  text_ += '}';
}

void Exposition::end(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    fmt::format_to(std::back_inserter(text_), " {}\n", static_cast<int64_t>(value));
  } else {
    fmt::format_to(std::back_inserter(text_), " {:.12g}\n", value);
  }
}

void Exposition::sample(std::string_view name, std::span<const Label> labels, double value) {
  begin(name, "", labels, "");
  end(value);
}

void Exposition::histogram(std::string_view name, std::span<const Label> labels,
                           std::span<const double> bounds, std::span<const uint64_t> counts,
                           double sum) {
  uint64_t total = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    const std::string bound = i < bounds.size() ? fmt::format("{}", bounds[i]) : "+Inf";
    begin(name, "_bucket", labels, bound);
    end(static_cast<double>(total));
  }
  begin(name, "_sum", labels, "");
  end(sum);
  begin(name, "_count", labels, "");
  end(static_cast<double>(total));
}

}  // namespace ebb::serving
