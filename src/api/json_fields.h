// Reads the fields of a JSON object into members and back, for the types: notes what
// has the wrong type, and keeps what nobody asked for. Private to api/.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"

namespace ebb::api {

// One object under `path`. A field that is missing or null leaves the member as it
// is; each one that is asked for is taken out of what rest() returns.
class FieldReader final {
 public:
  FieldReader(const Json& json, std::string path, std::vector<FieldError>& errors);

  void read(const char* key, std::string& out);
  void read(const char* key, bool& out);
  void read(const char* key, int64_t& out);
  void read(const char* key, std::vector<std::string>& out);
  void read(const char* key, std::map<std::string, std::string>& out);
  template <class T>
  void read(const char* key, std::optional<T>& out) {
    if (!find(key)) return;
    read(key, out.emplace());
  }
  // Like a string, but takes a number too, as its text: a quantity.
  void read_quantity(const char* key, std::optional<std::string>& out);
  // Like a map of strings, but takes numbers too, as their text: quantities.
  void read_quantities(const char* key, std::map<std::string, std::string>& out);
  // Takes truth values, too.
  void read_scalars(const char* key, std::map<std::string, std::string>& out);
  // One of them.
  void read_quantity(const char* key, std::string& out);
  // An object as its text.
  void read_text(const char* key, std::string& out);
  // Reads an object with `convert(FieldReader&, out)`.
  template <class T, class Convert>
  void read_object(const char* key, T& out, Convert convert) {
    const Json* value = take(key);
    if (!value) return;
    FieldReader fields(*value, path_of(key), errors_);
    convert(fields, out);
  }
  // False if there is none.
  template <class T, class Convert>
  bool read_array(const char* key, std::vector<T>& out, Convert convert) {
    const Json* value = take(key);
    if (!value || !expect(value->is_array(), *value, path_of(key), "array")) return false;
    for (size_t i = 0; i < value->size(); ++i) {
      FieldReader fields((*value)[i], path_of(key) + "[" + std::to_string(i) + "]", errors_);
      convert(fields, out.emplace_back());
    }
    return true;
  }

  // The fields that were not asked for as the text of an object; empty if none.
  [[nodiscard]] std::string rest() const;

 private:
  [[nodiscard]] const Json* find(const char* key) const;
  [[nodiscard]] const Json* take(const char* key);
  [[nodiscard]] std::string path_of(const char* key) const;
  bool expect(bool right, const Json& value, const std::string& path, const char* wanted);
  void read_texts(const char* key, bool booleans, std::map<std::string, std::string>& out);

  const Json* object_;  // nullptr if it is not an object
  std::string path_;
  std::vector<std::string_view> taken_;
  std::vector<FieldError>& errors_;
};

// An object that starts with the fields in `extra`; bad text is dropped.
[[nodiscard]] Json object_with(const std::string& extra);

// Adds a field if the value is not empty.
void write(Json& to, const char* key, const std::string& value);
void write(Json& to, const char* key, const std::vector<std::string>& value);
void write(Json& to, const char* key, const std::map<std::string, std::string>& value);
template <class T>
void write(Json& to, const char* key, const std::optional<T>& value) {
  if (value) to[key] = *value;
}
inline void write(Json& to, const char* key, Json value) {
  if (!value.empty()) to[key] = std::move(value);
}

// apiVersion and kind, which may be missing, and must be right.
void read_type(FieldReader& fields, const Kind& kind, std::vector<FieldError>& errors);
void read_meta(FieldReader& fields, ObjectMeta& meta);
[[nodiscard]] Json write_meta(const ObjectMeta& meta);
void read_condition(FieldReader& fields, Condition& condition);
[[nodiscard]] Json write_conditions(const std::vector<Condition>& conditions);

}  // namespace ebb::api
