#include "control/outside_value.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "api/json.h"
#include "base/quote.h"
#include "http/uri.h"

namespace ebb::control {
namespace {

using api::Json;

constexpr size_t kMaxUrl = 8 * 1024;   // bytes
constexpr size_t kMaxShownText = 200;  // of a server's error, in ours

// What a user wrote, or Prometheus' error. Of other answers nothing is told on: whoever may
// declare a metric could read with it what only this machine may.
std::string shown(std::string_view text) {
  std::string out;
  append_escaped(out, text.substr(0, kMaxShownText));
  if (kMaxShownText < text.size()) out.append("...");
  return out;
}

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<double> finite(double value) {
  if (std::isfinite(value)) return value;
  return fail(Errc::kInvalid, "the value is {}", value);
}

Result<double> number_in(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // Prometheus writes "+Inf".
  if (text == "+Inf") return fail(Errc::kInvalid, "the value is +Inf");
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return fail(Errc::kInvalid, "the value is a text of {} bytes that is not a number",
                text.size());
  }
  return finite(value);
}

const char* known_type(const std::string& type) {
  if (type == "matrix") return "matrix";
  if (type == "string") return "string";
  return "result of an unknown type";
}

// Of a pair [time, "value"].
Result<double> sample(const Json& pair) {
  if (!pair.is_array() || pair.size() != 2 || !pair[1].is_string()) {
    return fail(Errc::kInvalid, "a sample of Prometheus is [time, \"value\"]");
  }
  return number_in(pair[1].get_ref<const std::string&>());
}

// The next part of a pointer, its escapes undone, and the rest.
std::string take_token(std::string_view& pointer) {
  pointer.remove_prefix(1);
  const auto end = std::min(pointer.find('/'), pointer.size());
  std::string token;
  for (size_t i = 0; i < end; ++i) {
    if (pointer[i] == '~' && i + 1 < end) {
      token += pointer[++i] == '1' ? '/' : '~';
    } else {
      token += pointer[i];
    }
  }
  pointer.remove_prefix(end);
  return token;
}

// RFC 6901: digits without a leading zero.
std::optional<size_t> index_of(const std::string& token) {
  if (token.empty() || (token.size() > 1 && token[0] == '0')) return std::nullopt;
  size_t index = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  if (error != std::errc() || end != token.data() + token.size()) return std::nullopt;
  return index;
}

const Json* child(const Json& value, const std::string& token) {
  if (value.is_object()) {
    const auto found = value.find(token);
    return found == value.end() ? nullptr : &*found;
  }
  if (!value.is_array()) return nullptr;
  const auto index = index_of(token);
  return index && *index < value.size() ? &value[*index] : nullptr;
}

// For a query string.
std::string escaped(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += static_cast<char>(c);
    } else {
      out += fmt::format("%{:02X}", c);
    }
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  const auto last = text.find_last_not_of(kBlank);
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

std::string_view take_word(std::string_view& text) {
  const auto end = std::min(text.find_first_of(" \t\r\n"), text.size());
  const auto word = text.substr(0, end);
  text = trimmed(text.substr(end));
  return word;
}

}  // namespace

Result<double> prometheus_value(std::string_view body) {
  const auto answer = api::parse_json(body);
  if (!answer || !answer->is_object()) {
    return fail(Errc::kInvalid, "the answer, of {} bytes, is not Prometheus' JSON", body.size());
  }
  if (text_at(*answer, "status") != "success") {
    const std::string error = text_at(*answer, "error");
    return fail(Errc::kInvalid, "Prometheus says: {}",
                error.empty() ? "no success, and no reason" : shown(error));
  }
  const auto data = answer->find("data");
  const auto result =
      data != answer->end() && data->is_object() ? data->find("result") : Json::const_iterator();
  if (data == answer->end() || !data->is_object() || result == data->end()) {
    return fail(Errc::kInvalid, "the answer has no data.result");
  }
  const std::string type = text_at(*data, "resultType");
  if (type == "scalar") return sample(*result);
  if (type != "vector" || !result->is_array()) {
    return fail(Errc::kInvalid, "the query gives a {}; it must give a scalar or a vector",
                known_type(type));
  }
  if (result->empty()) return fail(Errc::kNotFound, "the query finds no series");
  if (result->size() > 1) {
    return fail(Errc::kInvalid, "the query finds {} series; it must give one, as sum() does",
                result->size());
  }
  const Json& series = result->front();
  const auto value = series.is_object() ? series.find("value") : Json::const_iterator();
  if (!series.is_object() || value == series.end()) {
    return fail(Errc::kInvalid, "the series has no value");
  }
  return sample(*value);
}

bool is_json_pointer(std::string_view text) {
  if (text.empty()) return true;
  if (text.front() != '/') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '~') continue;
    if (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1')) return false;
  }
  return true;
}

Result<double> json_value(std::string_view body, std::string_view pointer) {
  if (!is_json_pointer(pointer)) {
    return fail(Errc::kInvalid, "\"{}\" is not a JSON pointer such as /queue/length",
                shown(pointer));
  }
  const auto document = api::parse_json(body);
  if (!document) {
    return fail(Errc::kInvalid, "the answer, of {} bytes, is not JSON", body.size());
  }
  const Json* value = &*document;
  for (std::string_view rest = pointer; !rest.empty();) {
    value = child(*value, take_token(rest));
    if (value == nullptr) {
      return fail(Errc::kNotFound, "the answer has nothing at {}", shown(pointer));
    }
  }
  if (value->is_number()) return finite(value->get<double>());
  if (value->is_string()) return number_in(value->get_ref<const std::string&>());
  return fail(Errc::kInvalid, "what is at \"{}\" is no number but of type {}", shown(pointer),
              value->type_name());
}

Result<HttpUrl> parse_http_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  const auto bad = [&](std::string_view why) {
    return fail(Errc::kInvalid, "\"{}\" is not a URL such as http://HOST:PORT/PATH: {}", shown(url),
                why);
  };
  if (!url.starts_with(kScheme)) return bad("it must begin with http://");
  if (url.size() > kMaxUrl) return bad("it is too long");
  const auto parts = http::split_target(url);
  if (!parts || parts->authority.empty()) return bad("it cannot be read");
  HttpUrl out;
  out.authority = std::string(parts->authority);
  out.host = http::host_of(parts->authority);
  out.target = fmt::format("{}{}{}", parts->path, parts->query.empty() ? "" : "?", parts->query);
  const auto colon = parts->authority.rfind(':');
  const auto bracket = parts->authority.rfind(']');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  if (has_port) {
    const auto digits = parts->authority.substr(colon + 1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
    if (error != std::errc() || end != digits.data() + digits.size() || out.port == 0) {
      return bad("its port must be a number from 1 to 65535");
    }
  }
  if (out.host.empty()) return bad("it has no host");
  return out;
}

Result<OutsideMetricSpec> parse_outside_metric(std::string_view text) {
  std::string_view rest = trimmed(text);
  const auto kind = take_word(rest);
  const auto url = take_word(rest);
  OutsideMetricSpec spec;
  if (kind == "prometheus") {
    spec.kind = OutsideMetricSpec::Kind::kPrometheus;
  } else if (kind != "json") {
    return fail(Errc::kInvalid,
                "\"{}\" is neither \"prometheus URL QUERY\" nor \"json URL POINTER\"", shown(text));
  }
  spec.url = std::string(url);
  spec.query = std::string(rest);
  if (spec.kind == OutsideMetricSpec::Kind::kPrometheus) {
    if (spec.query.empty()) return fail(Errc::kInvalid, "\"{}\" has no query", shown(text));
    if (spec.url.find('?') != std::string::npos) {
      return fail(Errc::kInvalid, "\"{}\": write the address of Prometheus without a query",
                  shown(url));
    }
  } else if (!is_json_pointer(spec.query)) {
    return fail(Errc::kInvalid, "\"{}\" is not a JSON pointer such as /queue/length",
                shown(spec.query));
  }
  if (auto parsed = parse_http_url(url_of(spec)); !parsed) return fail(parsed.error());
  return spec;
}

std::string url_of(const OutsideMetricSpec& spec) {
  if (spec.kind == OutsideMetricSpec::Kind::kJson) return spec.url;
  std::string_view base = spec.url;
  while (base.ends_with('/')) base.remove_suffix(1);
  return fmt::format("{}/api/v1/query?query={}", base, escaped(spec.query));
}

Result<double> value_of(const OutsideMetricSpec& spec, std::string_view body) {
  return spec.kind == OutsideMetricSpec::Kind::kPrometheus ? prometheus_value(body)
                                                           : json_value(body, spec.query);
}

}  // namespace ebb::control
