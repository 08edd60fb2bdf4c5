#include "apiserver/selector.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

namespace ebb::apiserver {
namespace {

// Fields that a selector may name. Which kinds have them is not looked at: where a field
// is missing, its value is empty.
constexpr std::string_view kFields[] = {
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "spec.unschedulable",
    "status.phase",
    "involvedObject.apiVersion",
    "involvedObject.fieldPath",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.resourceVersion",
    "involvedObject.uid",
    "reason",
    "type",
    "source.component",
};

std::string_view trim(std::string_view text) {
  auto from = text.find_first_not_of(' ');
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(' ') - from + 1);
}

bool is_word(std::string_view text) {
  return text.find_first_of(" ()=!<>,") == std::string_view::npos;
}

// At the commas outside of parentheses.
std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    size_t end = 0;
    for (int depth = 0; end < text.size() && (text[end] != ',' || depth > 0); ++end) {
      if (text[end] == '(') ++depth;
      if (text[end] == ')') --depth;
    }
    parts.push_back(trim(text.substr(0, end)));
    if (end == text.size()) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

std::vector<std::string> parse_field_path(std::string_view path) {
  std::vector<std::string> out;
  while (true) {
    const auto dot = path.find('.');
    out.emplace_back(path.substr(0, dot));
    if (dot == std::string_view::npos) return out;
    path.remove_prefix(dot + 1);
  }
}

// "a!=b": key and value, and whether they must differ.
struct Comparison {
  std::string_view key;
  std::string_view value;
  bool differs = false;
};

std::optional<Comparison> compare(std::string_view text) {
  auto equals = text.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  const bool differs = equals > 0 && text[equals - 1] == '!';
  std::string_view value = text.substr(equals + 1);
  if (!differs && value.starts_with('=')) value.remove_prefix(1);
  Comparison out{trim(text.substr(0, differs ? equals - 1 : equals)), trim(value), differs};
  if (out.key.empty() || !is_word(out.key) || !is_word(out.value)) return std::nullopt;
  return out;
}

// The text there, or of a boolean or number; nullopt if there is none.
std::optional<std::string> text_at(const api::Json& object, const std::vector<std::string>& path) {
  const api::Json* at = &object;
  for (const auto& key : path) {
    if (!at->is_object()) return std::nullopt;
    const auto found = at->find(key);
    if (found == at->end()) return std::nullopt;
    at = &*found;
  }
  if (at->is_string()) return at->get<std::string>();
  if (at->is_boolean() || at->is_number()) return at->dump();
  return std::nullopt;
}

}  // namespace

bool Selector::parse_label(std::string_view text, Term& term) {
  term.label = true;
  std::string_view key;
  if (const auto open = text.find('('); open != std::string_view::npos) {
    // "key in (a, b)"
    if (!text.ends_with(')')) return false;
    const std::string_view head = trim(text.substr(0, open));
    const auto blank = head.rfind(' ');
    if (blank == std::string_view::npos) return false;
    const std::string_view word = head.substr(blank + 1);
    if (word != "in" && word != "notin") return false;
    term.test = word == "in" ? Test::kIn : Test::kNotIn;
    key = trim(head.substr(0, blank));
    text = text.substr(open + 1, text.size() - open - 2);
    for (const auto value : split(text)) {
      if (!is_word(value)) return false;
      term.values.emplace_back(value);
    }
    if (term.values.empty()) term.values.emplace_back();
  } else if (const auto comparison = compare(text)) {
    term.test = comparison->differs ? Test::kNotIn : Test::kIn;
    term.values.emplace_back(comparison->value);
    key = comparison->key;
  } else {
    term.test = text.starts_with('!') ? Test::kMissing : Test::kExists;
    key = term.test == Test::kMissing ? trim(text.substr(1)) : text;
  }
  term.path = {"metadata", "labels", std::string(key)};
  return !key.empty() && is_word(key);
}

bool Selector::parse_field(std::string_view text, Term& term) {
  const auto comparison = compare(text);
  if (!comparison) return false;
  const auto& key = comparison->key;
  if (std::find(std::begin(kFields), std::end(kFields), key) == std::end(kFields)) return false;
  term.path = parse_field_path(key);
  term.test = comparison->differs ? Test::kNotIn : Test::kIn;
  term.values.emplace_back(comparison->value);
  return true;
}

Result<Selector> Selector::parse(std::string_view labels, std::string_view fields) {
  Selector selector;
  for (const auto text : split(labels)) {
    if (!parse_label(text, selector.terms_.emplace_back())) {
      return fail(Errc::kInvalid,
                  "unable to parse requirement: labelSelector: \"{}\": use key=value, key!=value, "
                  "key in (a,b), key notin (a,b), key or !key",
                  text);
    }
  }
  for (const auto text : split(fields)) {
    if (!parse_field(text, selector.terms_.emplace_back())) {
      return fail(Errc::kInvalid,
                  "field label not supported: fieldSelector: \"{}\": use metadata.name=NAME or "
                  "metadata.namespace=NAMESPACE",
                  text);
    }
  }
  if (selector.terms_.size() > kMaxTerms) {
    return fail(Errc::kInvalid, "a selector has at most {} terms", kMaxTerms);
  }
  return selector;
}

bool Selector::matches(const api::Json& object) const {
  for (const auto& term : terms_) {
    auto value = text_at(object, term.path);
    // A missing field is empty; a missing label is different from every value.
    if (!value && !term.label) value.emplace();
    const bool in =
        value && std::find(term.values.begin(), term.values.end(), *value) != term.values.end();
    const bool match = term.test == Test::kExists    ? value.has_value()
                       : term.test == Test::kMissing ? !value
                       : term.test == Test::kIn      ? in
                                                     : !in;
    if (!match) return false;
  }
  return true;
}

bool Selector::by_label() const {
  return std::any_of(terms_.begin(), terms_.end(), [](const Term& term) { return term.label; });
}

}  // namespace ebb::apiserver
