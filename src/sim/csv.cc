#include "sim/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace ebb::sim {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool ends_field(char c) { return c == ',' || c == '\n' || c == '\r'; }

}  // namespace

std::string shown(std::string_view field) {
  constexpr size_t kMost = 40;
  std::string out;
  for (const char c : field.substr(0, kMost)) {
    out += (c >= ' ' && c <= '~') ? c : '?';
  }
  return field.size() > kMost ? out + "..." : out;
}

Error CsvReader::error(std::string_view what) const { return error_at(0, what); }

Error CsvReader::error_at(size_t field, std::string_view what) const {
  size_t line = line_;
  size_t column = 1;
  bool quoted = false;
  for (size_t i = 0, left = field; left > 0 && i < row_.size(); ++i, ++column) {
    if (row_[i] == '"') quoted = !quoted;
    if (!quoted && (row_[i] == '\n' || row_[i] == '\r')) break;
    if (!quoted && row_[i] == ',') --left;
    if (row_[i] == '\n') {
      ++line;
      column = 0;
    }
  }
  return {Errc::kInvalid, fmt::format("{}:{}:{}: {}", name_, line, column, what)};
}

bool CsvReader::has_more_than(size_t fields) const {
  for (size_t i = fields; i < fields_.size(); ++i) {
    if (!text(i).empty()) return true;
  }
  return false;
}

std::string_view CsvReader::text(size_t field) const {
  return field < fields_.size() ? trimmed(fields_[field]) : std::string_view();
}

bool CsvReader::malformed(size_t field, const char* problem) {
  problem_ = problem;
  problem_field_ = field;
  return false;
}

// After the opening quote: up to the closing one.
bool CsvReader::quoted_field() {
  size_t close = rest_.find('"');
  const auto doubled = [this](size_t at) { return at + 1 < rest_.size() && rest_[at + 1] == '"'; };
  if (close != std::string_view::npos && !doubled(close)) {
    fields_.push_back(rest_.substr(0, close));
    next_line_ += static_cast<size_t>(
        std::count(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(close), '\n'));
    rest_.remove_prefix(close + 1);
    return true;
  }
  std::string field;
  while (true) {
    close = rest_.find('"');
    if (close == std::string_view::npos) {
      return malformed(fields_.size(), "a quoted field does not end");
    }
    field += rest_.substr(0, close);
    const bool more = doubled(close);
    rest_.remove_prefix(close + (more ? 2 : 1));
    if (!more) break;
    field += '"';
  }
  next_line_ += static_cast<size_t>(std::count(field.begin(), field.end(), '\n'));
  fields_.emplace_back(unescaped_.emplace_back(std::move(field)));
  return true;
}

bool CsvReader::next() {
  fields_.clear();
  unescaped_.clear();
  if (problem_ != nullptr) return false;
  if (next_line_ == 1 && rest_.starts_with(kByteOrderMark)) {
    rest_.remove_prefix(kByteOrderMark.size());
  }
  while (!rest_.empty() && (rest_.front() == '\n' || rest_.front() == '\r')) {
    if (rest_.front() == '\n') ++next_line_;
    rest_.remove_prefix(1);
  }
  line_ = next_line_;
  row_ = rest_;
  if (rest_.empty()) return false;
  while (true) {
    if (fields_.size() == kMaxFields) {
      return malformed(0, "too many fields in a row (100000 at most)");
    }
    if (!rest_.empty() && rest_.front() == '"') {
      rest_.remove_prefix(1);
      if (!quoted_field()) return false;
      if (!rest_.empty() && rest_.front() != ',' && rest_.front() != '\n' &&
          rest_.front() != '\r') {
        return malformed(fields_.size() - 1, "text after a quoted field");
      }
    } else {
      size_t end = 0;
      while (end < rest_.size() && !ends_field(rest_[end])) ++end;
      fields_.push_back(rest_.substr(0, end));
      rest_.remove_prefix(end);
    }
    if (rest_.empty()) return true;
    const char separator = rest_.front();
    rest_.remove_prefix(1);
    if (separator == ',') continue;
    if (separator == '\r' && !rest_.empty() && rest_.front() == '\n') rest_.remove_prefix(1);
    ++next_line_;
    return true;
  }
}

Result<double> CsvReader::number(size_t field, double least, double most,
                                 std::string_view what) const {
  if (field >= fields_.size()) {
    return fail(
        error_at(field, fmt::format("{} is missing: the row has {} fields, this would be field {}",
                                    what, fields_.size(), field + 1)));
  }
  const std::string_view text = this->text(field);
  if (text.empty()) return fail(error_at(field, fmt::format("{} is missing", what)));
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code == std::errc::result_out_of_range) {
    return fail(error_at(field, fmt::format("{} is out of range: \"{}\"", what, shown(text))));
  }
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return fail(error_at(field, fmt::format("{} is no number: \"{}\"", what, shown(text))));
  }
  if (value < least || value > most) {
    return fail(error_at(
        field, fmt::format("{} must be {} to {}, not {}", what, least, most, shown(text))));
  }
  return value;
}

Result<std::optional<size_t>> find_column(const CsvReader& csv, std::string_view name) {
  const auto& fields = csv.fields();
  const auto has_name = [&](std::string_view field) { return trimmed(field) == name; };
  const auto found = std::find_if(fields.begin(), fields.end(), has_name);
  if (found == fields.end()) return std::nullopt;
  const auto other = std::find_if(found + 1, fields.end(), has_name);
  if (other != fields.end()) {
    return fail(csv.error_at(static_cast<size_t>(other - fields.begin()),
                             fmt::format("there are two columns \"{}\"", name)));
  }
  return static_cast<size_t>(found - fields.begin());
}

Result<size_t> column(const CsvReader& csv, std::string_view name) {
  const auto found = find_column(csv, name);
  if (!found) return fail(found.error());
  if (!*found) return fail(csv.error(fmt::format("there is no column \"{}\"", name)));
  return **found;
}

}  // namespace ebb::sim
