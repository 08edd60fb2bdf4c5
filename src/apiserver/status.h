// Kubernetes Status objects: how the API says what went wrong.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "api/object.h"
#include "base/result.h"

namespace ebb::apiserver {

// A whole answer of the API.
struct Response {
  int code = 200;
  api::Json body;
  int retry_after = 0;                     // seconds; 0: not said
  std::vector<std::string> warnings = {};  // for the user, beside the answer
};

// "NotFound" for 404 and so on, as Kubernetes names them.
[[nodiscard]] std::string_view reason_of(int code);
[[nodiscard]] int http_code_of(Errc code);

[[nodiscard]] Response failure(int code, std::string message);
// With details of the object that it is about, and 409 told apart: AlreadyExists.
[[nodiscard]] Response failure(const Error& error, const api::Kind& kind, const std::string& name);
// 422, "Service.serving.knative.dev \"x\" is invalid: ...", one cause per field.
[[nodiscard]] Response invalid(const api::Kind& kind, const std::string& name,
                               const std::vector<api::FieldError>& errors);
// What a DELETE answers.
[[nodiscard]] Response deleted(const api::Kind& kind, const std::string& name,
                               const std::string& uid);

}  // namespace ebb::apiserver
