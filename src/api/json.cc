#include "api/json.h"

#include <nlohmann/json.hpp>

namespace ebb::api {
namespace {

// Walks the text and tells where the parser is: it reads through copies.
class TrackingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TrackingIterator(const char* at, const char** position) : at_(at), position_(position) {}
  reference operator*() const { return *at_; }
  TrackingIterator& operator++() {
    *position_ = ++at_;
    return *this;
  }
  TrackingIterator operator++(int) {
    auto old = *this;
    ++*this;
    return old;
  }
  friend bool operator==(const TrackingIterator& a, const TrackingIterator& b) {
    return a.at_ == b.at_;
  }
  friend bool operator!=(const TrackingIterator& a, const TrackingIterator& b) { return !(a == b); }

 private:
  const char* at_;
  const char** position_;
};

// Builds the value; refuses repeated keys and deep nesting.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t& /*text*/) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t& /*value*/) override { return false; }
  bool start_object(std::size_t /*size*/) override { return open(Json::object()); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t /*size*/) override { return open(Json::array()); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    auto [at, is_new] = open_.back()->get_ref<Json::object_t&>().emplace(name, nullptr);
    slot_ = &at->second;
    if (!is_new) error = "the key \"" + name + "\" is repeated";
    return is_new;
  }
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const Json::exception& cause) override {
    // "[json.exception...] parse error at line 1, column 2: what"
    std::string_view what = cause.what();
    constexpr std::string_view kAt = ": ";
    auto from = what.find(kAt, what.find("column"));
    error = from == std::string_view::npos ? what.substr(what.find(']') + 1)
                                           : what.substr(from + kAt.size());
    return false;
  }

  Json root;
  std::string error;

 private:
  Json* put(Json value) {
    if (open_.empty()) {
      root = std::move(value);
      return &root;
    }
    if (open_.back()->is_array()) {
      auto& array = open_.back()->get_ref<Json::array_t&>();
      return &array.emplace_back(std::move(value));
    }
    *slot_ = std::move(value);
    return slot_;
  }
  bool add(Json value) {
    put(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (open_.size() == kMaxJsonDepth) {
      error = "nested deeper than " + std::to_string(kMaxJsonDepth) + " levels";
      return false;
    }
    open_.push_back(put(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::vector<Json*> open_;  // parents do not move while a child is open
  Json* slot_ = nullptr;     // where the value of the last key goes
};

}  // namespace

Result<Json> parse_json(std::string_view text) {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* position = begin;
  Builder builder;
  bool ok = Json::sax_parse(TrackingIterator(begin, &position), TrackingIterator(end, &position),
                            &builder);
  if (ok) return std::move(builder.root);
  auto before = text.substr(0, static_cast<size_t>(position - begin));
  auto line = 1 + std::count(before.begin(), before.end(), '\n');
  auto line_start = before.rfind('\n');
  auto column = before.size() - (line_start == std::string_view::npos ? 0 : line_start + 1);
  return fail(Errc::kInvalid, "line {}, column {}: {}", line, std::max<size_t>(column, 1),
              builder.error);
}

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ebb::api
