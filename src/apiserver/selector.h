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
  // Labels: "a=b", "a==b", "a!=b", "a" (is set), "!a" (is not set), joined by ",".
  // Fields: metadata.name and metadata.namespace with =, == and !=. kInvalid else.
  [[nodiscard]] static Result<Selector> parse(std::string_view labels, std::string_view fields);

  [[nodiscard]] bool matches(const api::Json& object) const;
  // True if every object matches.
  [[nodiscard]] bool empty() const { return terms_.empty(); }
  // True if it asks for labels, which an object may gain and lose.
  [[nodiscard]] bool by_label() const;

 private:
  enum class Source { kLabel, kName, kNamespace };
  enum class Test { kEquals, kDiffers, kExists, kMissing };
  struct Term {
    Source source = Source::kLabel;
    std::string key;
    Test test = Test::kEquals;
    std::string value;
  };
  std::vector<Term> terms_;
};

}  // namespace ebb::apiserver
