// The fields of one HTTP/2 head, or of its trailers, kept as they came. A value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace ebb::http {

// A block of fields as it came.
class H2Fields final {
 public:
  // False if that is more than the limits allow; then the field is not kept.
  [[nodiscard]] bool add(std::string_view name, std::string_view value, const HeadLimits& limits);
  // The views end with this object, and with the next add().
  void view(Fields& into) const;
  // "" if it is not there.
  [[nodiscard]] std::string_view get(std::string_view name) const;
  [[nodiscard]] size_t bytes() const { return text_.size(); }

 private:
  struct Entry {
    uint32_t name = 0;  // where it begins in text_; the value follows
    uint32_t name_size = 0;
    uint32_t value_size = 0;
  };
  [[nodiscard]] std::string_view name(const Entry& entry) const;
  [[nodiscard]] std::string_view value(const Entry& entry) const;

  std::string text_;
  std::vector<Entry> entries_;
};

}  // namespace ebb::http
