#include "http/h2_fields.h"

namespace ebb::http {
namespace {

// What a field counts besides its bytes (RFC 9113 6.5.2).
constexpr size_t kFieldOverhead = 32;

}  // namespace

bool H2Fields::add(std::string_view name, std::string_view value, const HeadLimits& limits) {
  const size_t counted = text_.size() + entries_.size() * kFieldOverhead;
  if (counted + name.size() + value.size() + kFieldOverhead > limits.bytes ||
      entries_.size() >= limits.fields) {
    return false;
  }
  entries_.push_back({.name = static_cast<uint32_t>(text_.size()),
                      .name_size = static_cast<uint32_t>(name.size()),
                      .value_size = static_cast<uint32_t>(value.size())});
  text_.append(name).append(value);
  return true;
}

std::string_view H2Fields::name(const Entry& entry) const {
  return std::string_view(text_).substr(entry.name, entry.name_size);
}

std::string_view H2Fields::value(const Entry& entry) const {
  return std::string_view(text_).substr(entry.name + entry.name_size, entry.value_size);
}

void H2Fields::view(Fields& into) const {
  into.reserve(into.size() + entries_.size());
  for (const Entry& entry : entries_) {
    if (!name(entry).starts_with(':')) into.add(name(entry), value(entry));
  }
}

std::string_view H2Fields::get(std::string_view wanted) const {
  for (const Entry& entry : entries_) {
    if (name(entry) == wanted) return value(entry);
  }
  return {};
}

}  // namespace ebb::http
