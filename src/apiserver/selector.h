// Which objects a list or watch wants: labelSelector and fieldSelector.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/result.h"

namespace ebb::apiserver {

class Selector final {
 public:
  // Labels: "a=b", "a==b", "a!=b", "a" (is set), "!a" (is not set), joined by ",".
  // Fields, with =, == and !=: metadata.name and metadata.namespace; of events
  // involvedObject.{name,namespace,kind,uid,apiVersion}, reason and type. kInvalid else.
  [[nodiscard]] static Result<Selector> parse(std::string_view labels, std::string_view fields);

  [[nodiscard]] bool matches(const api::Json& object) const;
  // True if every object matches.
  [[nodiscard]] bool empty() const { return terms_.empty(); }
  // True if it asks for labels, which an object may gain and lose.
  [[nodiscard]] bool by_label() const;

 private:
  enum class Source { kLabel, kMeta, kInvolved, kTop };
  enum class Test { kEquals, kDiffers, kExists, kMissing };
  struct Term {
    Source source = Source::kLabel;
    std::string key;
    Test test = Test::kEquals;
    std::string value;
  };
  [[nodiscard]] static std::optional<std::string_view> value_of(const api::Json& object,
                                                                const Term& term);
  std::vector<Term> terms_;
};

}  // namespace ebb::apiserver
