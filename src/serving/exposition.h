// Writes metrics in the text format of Prometheus (version 0.0.4).
//
// All samples of a family follow its header. Not thread-safe.
//
//   Exposition out;
//   out.family("ebb_requests_total", "counter", "Requests answered.");
//   out.sample("ebb_requests_total", {{"service", "hello"}, {"code", "2xx"}}, 17);
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace ebb::serving {

struct Label {
  std::string_view name;
  std::string_view value;
};

class Exposition final {
 public:
  static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

  void family(std::string_view name, std::string_view type, std::string_view help);
  void sample(std::string_view name, std::span<const Label> labels, double value);
  void sample(std::string_view name, std::initializer_list<Label> labels, double value) {
    sample(name, std::span(labels.begin(), labels.size()), value);
  }
  // The samples NAME_bucket, NAME_sum and NAME_count of one histogram. `counts` has one
  // entry more than `bounds`: what is above the last.
  void histogram(std::string_view name, std::span<const Label> labels,
                 std::span<const double> bounds, std::span<const uint64_t> counts, double sum);

  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void begin(std::string_view name, std::string_view suffix, std::span<const Label> labels,
             std::string_view bound);
  void end(double value);

  std::string text_;
};

}  // namespace ebb::serving
