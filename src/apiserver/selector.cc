#include "apiserver/selector.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

namespace ebb::apiserver {
namespace {

constexpr size_t kMaxTerms = 64;

std::string_view trim(std::string_view text) {
  auto from = text.find_first_not_of(' ');
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(' ') - from + 1);
}

bool is_key(std::string_view key) {
  return !key.empty() && key.find_first_of(" ()=!<>") == std::string_view::npos;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    auto comma = text.find(',');
    parts.push_back(trim(text.substr(0, comma)));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return parts;
}

// The text at metadata[key], or at metadata.labels[key].
std::optional<std::string_view> text_at(const api::Json& object, bool label,
                                        const std::string& key) {
  auto meta = object.find("metadata");
  if (meta == object.end()) return std::nullopt;
  const api::Json* from = &*meta;
  if (label) {
    auto labels = meta->find("labels");
    if (labels == meta->end()) return std::nullopt;
    from = &*labels;
  }
  auto found = from->find(key);
  if (found == from->end() || !found->is_string()) return std::nullopt;
  return found->get_ref<const std::string&>();
}

}  // namespace

Result<Selector> Selector::parse(std::string_view labels, std::string_view fields) {
  Selector selector;
  // "a!=b" -> key, test, value
  auto compare = [](std::string_view text, Term& term) {
    auto equals = text.find('=');
    if (equals == std::string_view::npos) return false;
    bool differs = equals > 0 && text[equals - 1] == '!';
    term.test = differs ? Test::kDiffers : Test::kEquals;
    term.key = trim(text.substr(0, differs ? equals - 1 : equals));
    std::string_view value = text.substr(equals + 1);
    if (!differs && value.starts_with('=')) value.remove_prefix(1);
    term.value = trim(value);
    return is_key(term.key) && term.value.find_first_of(" =!()") == std::string::npos;
  };
  for (auto text : split(labels)) {
    Term term;
    bool good = compare(text, term);
    if (!good && text.find('=') == std::string_view::npos) {
      bool missing = text.starts_with('!');
      term.test = missing ? Test::kMissing : Test::kExists;
      term.key = missing ? trim(text.substr(1)) : text;
      good = is_key(term.key);
    }
    if (!good) {
      return fail(Errc::kInvalid,
                  "labelSelector: \"{}\" is not supported: use key=value, "
                  "key!=value, key or !key",
                  text);
    }
    selector.terms_.push_back(std::move(term));
  }
  for (auto text : split(fields)) {
    Term term;
    bool good = compare(text, term);
    if (term.key == "metadata.name") {
      term.source = Source::kName;
      term.key = "name";
    } else if (term.key == "metadata.namespace") {
      term.source = Source::kNamespace;
      term.key = "namespace";
    } else {
      good = false;
    }
    if (!good) {
      return fail(Errc::kInvalid,
                  "fieldSelector: \"{}\" is not supported: use metadata.name or "
                  "metadata.namespace",
                  text);
    }
    selector.terms_.push_back(std::move(term));
  }
  if (selector.terms_.size() > kMaxTerms) {
    return fail(Errc::kInvalid, "a selector has at most {} terms", kMaxTerms);
  }
  return selector;
}

bool Selector::matches(const api::Json& object) const {
  for (const auto& term : terms_) {
    auto value = text_at(object, term.source == Source::kLabel, term.key);
    bool match = term.test == Test::kExists    ? value.has_value()
                 : term.test == Test::kMissing ? !value
                 : term.test == Test::kEquals  ? value && *value == term.value
                                               : !value || *value != term.value;
    if (!match) return false;
  }
  return true;
}

bool Selector::by_label() const {
  return std::any_of(terms_.begin(), terms_.end(),
                     [](const Term& term) { return term.source == Source::kLabel; });
}

}  // namespace ebb::apiserver
