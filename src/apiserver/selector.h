// Which objects a list or watch wants: labelSelector and fieldSelector.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/result.h"

namespace ebb::apiserver {

class Selector final {
 public:
  static constexpr size_t kMaxTerms = 64;

  // Labels: "a=b", "a==b", "a!=b", "a" (is set), "!a" (is not set), "a in (b, c)",
  // "a notin (b, c)", joined by ",". Fields: "path=value", also with == and !=; the paths
  // are metadata.name, metadata.namespace, and for what runs a few more (selector.cc).
  // kInvalid else.
  [[nodiscard]] static Result<Selector> parse(std::string_view labels, std::string_view fields);

  [[nodiscard]] bool matches(const api::Json& object) const;
  // True if every object matches.
  [[nodiscard]] bool empty() const { return terms_.empty(); }
  // True if it asks for labels, which an object may gain and lose.
  [[nodiscard]] bool by_label() const;

 private:
  enum class Test { kIn, kNotIn, kExists, kMissing };
  struct Term {
    std::vector<std::string> path;  // where the text is: {"metadata", "labels", "a"}
    Test test = Test::kIn;
    std::vector<std::string> values;
    bool label = false;
  };
  static bool parse_label(std::string_view text, Term& term);
  static bool parse_field(std::string_view text, Term& term);
  std::vector<Term> terms_;
};

}  // namespace ebb::apiserver
