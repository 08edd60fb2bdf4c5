#include "api/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "api/json.h"

namespace ebb::api {
namespace {

constexpr size_t kNodeWeight = 32;  // bytes that a value takes apart from its text

struct Refusal {
  YAML::Mark at;
  std::string what;
};

[[noreturn]] void refuse(const YAML::Mark& at, std::string what) {
  throw Refusal{at, std::move(what)};
}

tl::unexpected<Error> failure(int line, int column, std::string_view what) {
  return fail(Errc::kInvalid, "line {}, column {}: {}", line + 1, column + 1, what);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view without_sign(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return text;
}

size_t count_digits(std::string_view text) {
  size_t count = 0;
  while (count < text.size() && is_digit(text[count])) ++count;
  return count;
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
bool is_decimal(std::string_view text) {
  text = without_sign(text);
  size_t digits = count_digits(text);
  text.remove_prefix(digits);
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    size_t fraction = count_digits(text);
    digits += fraction;
    text.remove_prefix(fraction);
  }
  if (digits == 0) return false;
  if (text.empty()) return true;
  if (text[0] != 'e' && text[0] != 'E') return false;
  text = without_sign(text.substr(1));
  return !text.empty() && count_digits(text) == text.size();
}

// The digits after 0o or 0x, if it is such a number; its base otherwise 0.
int prefixed_base(std::string_view text) {
  int base = text.starts_with("0o") ? 8 : text.starts_with("0x") ? 16 : 0;
  if (base == 0 || text.size() == 2) return 0;
  auto allowed = base == 8 ? "01234567" : "0123456789abcdefABCDEF";
  return text.substr(2).find_first_not_of(allowed) == std::string_view::npos ? base : 0;
}

bool is_true(std::string_view text) { return text == "true" || text == "True" || text == "TRUE"; }
bool is_false(std::string_view text) {
  return text == "false" || text == "False" || text == "FALSE";
}
bool is_null(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

bool is_infinite_or_nan(std::string_view text) {
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return true;
  text = without_sign(text);
  return text == ".inf" || text == ".Inf" || text == ".INF";
}

Json to_integer(const YAML::Mark& at, std::string_view text, int base) {
  bool negative = text.starts_with('-');
  std::string_view digits = base == 10 ? without_sign(text) : text.substr(2);
  uint64_t value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  constexpr uint64_t kMostNegative = 1ULL << 63;
  if (error != std::errc() || (negative && value > kMostNegative)) {
    refuse(at, fmt::format("the number {} does not fit 64 bits", text));
  }
  // Like the JSON reader: unsigned unless negative. Modular, so that the least is right too.
  if (negative) return static_cast<int64_t>(-value);
  return value;
}

Json to_float(const YAML::Mark& at, std::string_view text) {
  std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  double value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || !std::isfinite(value)) {
    refuse(at, fmt::format("the number {} is out of range", text));
  }
  return value;
}

// A scalar without quotes or tag, by the core schema.
Json resolve(const YAML::Mark& at, const std::string& text) {
  if (is_null(text)) return nullptr;
  if (is_true(text)) return true;
  if (is_false(text)) return false;
  if (int base = prefixed_base(text)) return to_integer(at, text, base);
  if (is_infinite_or_nan(text)) refuse(at, text + " has no form in JSON: quote it to mean a text");
  if (!is_decimal(text)) return text;
  std::string_view digits = without_sign(text);
  if (count_digits(digits) != digits.size()) return to_float(at, text);
  if (digits.size() > 1 && digits[0] == '0') {
    refuse(at, fmt::format("{} is octal for some readers and decimal for others: quote it, or "
                           "write 0o... for octal",
                           text));
  }
  return to_integer(at, text, 10);
}

Json to_value(const YAML::Mark& at, const std::string& tag, const std::string& text) {
  constexpr std::string_view kCore = "tag:yaml.org,2002:";
  if (tag == "?") return resolve(at, text);
  if (tag == "!" || tag.empty()) return text;
  if (!tag.starts_with(kCore)) refuse(at, "the tag " + tag + " is not known");
  auto name = std::string_view(tag).substr(kCore.size());
  if (name == "str") return text;
  Json value = resolve(at, text);
  if (name == "float" && value.is_number()) return value.get<double>();
  bool fits = (name == "int" && value.is_number_integer()) ||
              (name == "bool" && value.is_boolean()) || (name == "null" && value.is_null());
  if (!fits) refuse(at, fmt::format("\"{}\" is not a value of the tag !!{}", text, name));
  return value;
}

// The length of the UTF-8 character at the start of `text`; 0 if it is none.
size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  auto follows = [&](size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    bool overlong = first == 0xE0 && byte(1) < 0xA0;
    bool surrogate = first == 0xED && byte(1) >= 0xA0;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    bool overlong = first == 0xF0 && byte(1) < 0x90;
    bool too_large = first == 0xF4 && byte(1) >= 0x90;
    return follows(1) && follows(2) && follows(3) && !overlong && !too_large ? 4 : 0;
  }
  return 0;
}

// The parser turns the escapes \N and \_ into one byte that is no UTF-8.
std::string mended(const YAML::Mark& at, const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(std::string_view(text).substr(i));
    if (length == 0 && text[i] != '\x85' && text[i] != '\xA0') refuse(at, "not UTF-8");
    if (length == 0) out += '\xC2';
    out.append(text, i, std::max<size_t>(length, 1));
    i += std::max<size_t>(length, 1);
  }
  return out;
}

// Builds one document after another. Throws Refusal; owns nothing beyond its members.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string_view text) : text_(text) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    // The parser takes anything after a document that ended for the next one.
    if (started_++ > 0 && !line_at(mark.line).starts_with("---")) {
      refuse(mark, "expected the end of the text or \"---\"");
    }
    if (started_ > kMaxYamlDocuments) {
      refuse(mark, fmt::format("more than {} documents", kMaxYamlDocuments));
    }
    anchors_.clear();
    root_ = nullptr;
  }
  void OnDocumentEnd() override {
    if (!root_.is_null()) documents.push_back(std::move(root_));
    root_ = nullptr;
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (wants_key()) refuse(mark, "a key is missing, or is null: quote it to mean a text");
    done(mark, anchor, nullptr, kNodeWeight);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchors_.find(anchor);
    if (found == anchors_.end()) refuse(mark, "an alias inside of what it names");
    if (wants_key()) {
      const Json& key = found->second.value;
      if (!key.is_string()) refuse(mark, "a key must be a text");
      set_key(mark, key.get<std::string>());
      return;
    }
    if (open_.size() + found->second.height > kMaxJsonDepth) refuse_depth(mark);
    charge(mark, found->second.weight);
    height_ = found->second.height;
    done(mark, 0, found->second.value, found->second.weight);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    const std::string value = mended(mark, text);
    if (wants_key()) {
      if (tag == "?" && value == "<<") refuse(mark, "merge keys (<<) are not supported");
      (void)to_value(mark, tag, value);  // its own mistakes; 8080 is the key "8080"
      set_key(mark, value);
      if (anchor != 0) keep(mark, anchor, value, kNodeWeight + value.size(), 0);
      return;
    }
    done(mark, anchor, to_value(mark, tag, value), kNodeWeight + value.size());
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    start(mark, tag, "tag:yaml.org,2002:seq", anchor, Json::array());
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    start(mark, tag, "tag:yaml.org,2002:map", anchor, Json::object());
  }
  void OnMapEnd() override { end(); }

  std::vector<Json> documents;

 private:
  // A sequence or map that has begun.
  struct Open {
    YAML::Mark at;
    YAML::anchor_t anchor;
    Json value;
    size_t weight = kNodeWeight;
    int height = 1;  // levels of nesting in it
    bool has_key = false;
    std::string key;
  };
  struct Anchored {
    Json value;
    size_t weight;
    int height;
  };

  [[nodiscard]] std::string_view line_at(int line) {
    for (; line_ < line; ++line_) {
      auto end = text_.find('\n', line_start_);
      if (end == std::string_view::npos) return {};
      line_start_ = end + 1;
    }
    return text_.substr(line_start_, 3);
  }
  [[noreturn]] static void refuse_depth(const YAML::Mark& mark) {
    refuse(mark, fmt::format("nested deeper than {} levels", kMaxJsonDepth));
  }
  [[nodiscard]] bool wants_key() const {
    return !open_.empty() && open_.back().value.is_object() && !open_.back().has_key;
  }
  void set_key(const YAML::Mark& mark, std::string key) {
    Open& map = open_.back();
    if (map.value.contains(key)) refuse(mark, "the key \"" + key + "\" is repeated");
    map.weight += kNodeWeight + key.size();
    map.key = std::move(key);
    map.has_key = true;
  }
  void charge(const YAML::Mark& mark, size_t weight) {
    copied_ += weight;
    if (copied_ > kMaxYamlCopied) {
      refuse(mark,
             fmt::format("anchors and aliases make more than {} MiB of it", kMaxYamlCopied >> 20));
    }
  }
  void keep(const YAML::Mark& mark, YAML::anchor_t anchor, Json value, size_t weight, int height) {
    charge(mark, weight);
    anchors_[anchor] = {std::move(value), weight, height};
  }
  void start(const YAML::Mark& mark, const std::string& tag, std::string_view own_tag,
             YAML::anchor_t anchor, Json value) {
    if (!tag.empty() && tag != "?" && tag != "!" && tag != own_tag) {
      refuse(mark, "the tag " + tag + " is not known");
    }
    if (wants_key()) refuse(mark, "a key must be a text");
    if (open_.size() == kMaxJsonDepth) refuse_depth(mark);
    open_.push_back({mark, anchor, std::move(value), kNodeWeight, 1, false, {}});
  }
  void end() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    height_ = closed.height;
    done(closed.at, closed.anchor, std::move(closed.value), closed.weight);
  }
  // A value is complete; `height_` tells its nesting.
  void done(const YAML::Mark& mark, YAML::anchor_t anchor, Json value, size_t weight) {
    int height = std::exchange(height_, 0);
    if (anchor != 0) keep(mark, anchor, value, weight, height);
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    Open& parent = open_.back();
    parent.weight += weight;
    parent.height = std::max(parent.height, height + 1);
    if (parent.value.is_array()) {
      parent.value.push_back(std::move(value));
    } else {
      parent.value[std::move(parent.key)] = std::move(value);
      parent.has_key = false;
    }
  }

  std::string_view text_;
  size_t line_start_ = 0;  // of line_
  int line_ = 0;
  size_t started_ = 0;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  Json root_;
  size_t copied_ = 0;
  int height_ = 0;
};

// What the parser does not look at: bytes that are not UTF-8, control characters.
Result<void> check_characters(std::string_view text) {
  int line = 0;
  size_t line_start = 0;
  for (size_t i = 0; i < text.size();) {
    char c = text[i];
    auto column = static_cast<int>(i - line_start);
    size_t length = utf8_length(text.substr(i));
    if (length == 0) return failure(line, column, "not UTF-8");
    bool control = (c >= 0 && c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == '\x7F';
    if (control) {
      return failure(line, column, fmt::format("a control character (0x{:02X})", unsigned(c)));
    }
    if (c == '\n') {
      ++line;
      line_start = i + 1;
    }
    i += length;
  }
  return {};
}

bool looks_like_json(std::string_view text) {
  auto first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
}

}  // namespace

Result<std::vector<Json>> parse_yaml(std::string_view text) {
  if (text.size() > kMaxYamlBytes) {
    return failure(0, 0, fmt::format("the text has more than {} MiB", kMaxYamlBytes >> 20));
  }
  if (looks_like_json(text)) {
    // JSON allows a little that the parser below does not: tabs, \u with surrogates.
    if (auto json = parse_json(text)) return std::vector<Json>{std::move(*json)};
  }
  auto characters = check_characters(text);
  if (!characters) return fail(characters.error());
  // The parser takes the end of the text for the end of a quote, unless it comes within
  // a line; an end of the document it does not.
  std::string closed(text);
  if (closed.ends_with('\n')) closed += "...\n";
  TreeBuilder builder(text);
  try {
    std::istringstream in(std::move(closed));
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refusal& refusal) {
    return failure(refusal.at.line, refusal.at.column, refusal.what);
  } catch (const YAML::Exception& error) {
    bool known = !error.mark.is_null();
    bool open =
        error.msg == YAML::ErrorMsg::DOC_IN_SCALAR || error.msg == YAML::ErrorMsg::EOF_IN_SCALAR;
    return failure(known ? error.mark.line : 0, known ? error.mark.column : 0,
                   open ? "the document ends within quotes" : error.msg);
  }
  return std::move(builder.documents);
}

namespace {

// Strings that YAML 1.1 or 1.2 readers take for another type.
bool is_ambiguous(std::string_view text) {
  constexpr std::string_view kWords[] = {"true", "false", "yes",  "no", "on", "off",
                                         "y",    "n",     "null", "~",  "<<", "="};
  if (text.empty()) return true;
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (auto word : kWords) {
    if (lower == word) return true;
  }
  // Anything that begins like a number: 1.1 knows 1_000, 1:30, dates, 0b1.
  std::string_view digits = without_sign(text);
  return !digits.empty() && (is_digit(digits[0]) || digits[0] == '.');
}

bool can_be_plain(std::string_view text) {
  if (is_ambiguous(text)) return false;
  constexpr std::string_view kIndicators = "-?:,[]{}#&*!|>'\"%@` ";
  if (kIndicators.find(text[0]) != std::string_view::npos) return false;
  if (text.back() == ' ' || text.back() == ':') return false;
  if (text.find(": ") != std::string_view::npos || text.find(" #") != std::string_view::npos) {
    return false;
  }
  for (char c : text) {
    if (c >= 0 && (c < ' ' || c == '\x7F')) return false;
    if (c < 0) return false;  // the JSON writer knows what is valid UTF-8
  }
  return !text.starts_with("---") && !text.starts_with("...");
}

// Fit for "|": several lines of plain text, where nothing at the ends gets lost.
bool can_be_block(std::string_view text) {
  if (text.find('\n') == std::string_view::npos || text[0] == ' ' || text[0] == '\n') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c < 0 || (c < ' ' && c != '\n') || c == '\x7F') return false;
    if (c == '\n' && i > 0 && text[i - 1] == ' ') return false;
  }
  return text.back() != ' ' && !text.ends_with("\n\n");
}

// A key longer than 1024 characters must be announced by "? " (YAML 1.2.2, 7.4.2).
constexpr size_t kLongestSimpleKey = 1000;

std::string quoted_scalar(const std::string& text) {
  std::string out = to_text(text);
  // JSON leaves DEL as it is, which YAML does not print.
  for (size_t at = 0; (at = out.find('\x7F', at)) != std::string::npos;) {
    out.replace(at, 1, "\\u007f");
  }
  return out;
}

void write_block(std::string& out, std::string_view text, size_t indent) {
  out += text.ends_with('\n') ? "|\n" : "|-\n";
  if (text.ends_with('\n')) text.remove_suffix(1);
  while (true) {
    auto end = text.find('\n');
    auto line = text.substr(0, end);
    if (!line.empty()) out.append(indent, ' ').append(line);
    out += '\n';
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
}

void write_scalar(std::string& out, const Json& json, size_t indent) {
  if (json.is_string()) {
    const auto& text = json.get_ref<const std::string&>();
    if (can_be_block(text)) {
      write_block(out, text, indent);
      return;
    }
    out += can_be_plain(text) ? text : quoted_scalar(text);
  } else {
    out += to_text(json);  // [] and {} too
  }
  out += '\n';
}

// `out` stands where the value may begin; its further lines are indented by `indent`.
void write_value(std::string& out, const Json& json, size_t indent);

// What comes after "key:".
void write_member(std::string& out, const Json& json, size_t indent) {
  if (json.is_structured() && !json.empty()) {
    out += '\n';
    // Items stand under their key, as kubectl prints them.
    size_t inner = json.is_object() ? indent + 2 : indent;
    out.append(inner, ' ');
    write_value(out, json, inner);
  } else {
    out += ' ';
    write_scalar(out, json, indent + 2);
  }
}

void write_value(std::string& out, const Json& json, size_t indent) {
  bool first = true;
  auto next_line = [&] {
    if (!std::exchange(first, false)) out.append(indent, ' ');
  };
  if (json.is_object() && !json.empty()) {
    for (const auto& [key, value] : json.items()) {
      next_line();
      const std::string text = can_be_plain(key) ? key : quoted_scalar(key);
      if (text.size() > kLongestSimpleKey) {
        out += "? " + text + '\n';
        out.append(indent, ' ');
      } else {
        out += text;
      }
      out += ':';
      write_member(out, value, indent);
    }
  } else if (json.is_array() && !json.empty()) {
    for (const auto& value : json) {
      next_line();
      out += "- ";
      if (value.is_structured() && !value.empty()) {
        write_value(out, value, indent + 2);
      } else {
        write_scalar(out, value, indent + 2);
      }
    }
  } else {
    write_scalar(out, json, indent + 2);
  }
}

}  // namespace

std::string to_yaml(const Json& json) {
  std::string out;
  write_value(out, json, 0);
  return out;
}

}  // namespace ebb::api
