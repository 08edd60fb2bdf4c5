#include "apiserver/selector.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

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

// What a fieldSelector may ask for.
constexpr std::array kFields{std::string_view("metadata.name"),
                             std::string_view("metadata.namespace"),
                             std::string_view("involvedObject.name"),
                             std::string_view("involvedObject.namespace"),
                             std::string_view("involvedObject.kind"),
                             std::string_view("involvedObject.uid"),
                             std::string_view("involvedObject.apiVersion"),
                             std::string_view("reason"),
                             std::string_view("type")};

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
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

// The text of `key` at the path of objects that leads to it: {"metadata", "labels"}.
std::optional<std::string_view> text_at(const api::Json& object,
                                        std::initializer_list<const char*> path,
                                        const std::string& key) {
  const api::Json* from = &object;
  for (const char* name : path) {
    auto next = from->find(name);
    if (next == from->end()) return std::nullopt;
    from = &*next;
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
    const bool compared = compare(text, term);
    auto dot = term.key.rfind('.');
    const std::string folder = dot == std::string::npos ? "" : term.key.substr(0, dot);
    const std::string field = dot == std::string::npos ? term.key : term.key.substr(dot + 1);
    const bool known = is_one_of(term.key, kFields);
    if (!compared || !known) {
      return fail(Errc::kInvalid,
                  "fieldSelector: \"{}\" is not supported: use metadata.name, "
                  "metadata.namespace, or for events involvedObject.name, .namespace, .kind, "
                  ".uid, .apiVersion, reason or type",
                  text);
    }
    term.source = folder == "metadata"         ? Source::kMeta
                  : folder == "involvedObject" ? Source::kInvolved
                                               : Source::kTop;
    term.key = field;
    selector.terms_.push_back(std::move(term));
  }
  if (selector.terms_.size() > kMaxTerms) {
    return fail(Errc::kInvalid, "a selector has at most {} terms", kMaxTerms);
  }
  return selector;
}

std::optional<std::string_view> Selector::value_of(const api::Json& object, const Term& term) {
  switch (term.source) {
    case Source::kLabel:
      return text_at(object, {"metadata", "labels"}, term.key);
    case Source::kMeta:
      return text_at(object, {"metadata"}, term.key);
    case Source::kInvolved:
      return text_at(object, {"involvedObject"}, term.key);
    case Source::kTop:
      break;
  }
  return text_at(object, {}, term.key);
}

bool Selector::matches(const api::Json& object) const {
  for (const auto& term : terms_) {
    auto value = value_of(object, term);
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
