#include "apiserver/status.h"

#include <fmt/format.h>

namespace ebb::apiserver {
namespace {

using api::Json;

Json status_object(int code, std::string_view reason, std::string message) {
  Json status;
  status["kind"] = "Status";
  status["apiVersion"] = "v1";
  status["metadata"] = Json::object();
  status["status"] = "Failure";
  status["message"] = std::move(message);
  status["reason"] = reason;
  status["code"] = code;
  return status;
}

Json details_of(const api::Kind& kind, const std::string& name, std::string_view what) {
  Json details;
  details["name"] = name;
  if (!kind.group.empty()) details["group"] = kind.group;
  details["kind"] = what;
  return details;
}

std::string_view cause_of(std::string_view message) {
  if (message.starts_with("Required value")) return "FieldValueRequired";
  if (message.starts_with("Duplicate value")) return "FieldValueDuplicate";
  if (message.starts_with("Forbidden")) return "FieldValueForbidden";
  if (message.starts_with("Too many")) return "FieldValueTooMany";
  return "FieldValueInvalid";
}

constexpr int kRetryAfterSeconds = 1;

}  // namespace

std::string_view reason_of(int code) {
  switch (code) {
    case 400:
      return "BadRequest";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "NotFound";
    case 405:
      return "MethodNotAllowed";
    case 409:
      return "Conflict";
    case 410:
      return "Expired";
    case 413:
      return "RequestEntityTooLarge";
    case 415:
      return "UnsupportedMediaType";
    case 422:
      return "Invalid";
    case 429:
      return "TooManyRequests";
    case 503:
      return "ServiceUnavailable";
    case 504:
      return "Timeout";
    default:
      return "InternalError";
  }
}

int http_code_of(Errc code) {
  switch (code) {
    case Errc::kInvalid:
      return 400;
    case Errc::kNotFound:
      return 404;
    case Errc::kAlreadyExists:
    case Errc::kConflict:
      return 409;
    case Errc::kPermission:
      return 403;
    case Errc::kTimeout:
      return 504;
    case Errc::kUnavailable:
    case Errc::kExhausted:
    case Errc::kCanceled:
      return 503;
    case Errc::kGone:
      return 410;
    case Errc::kInternal:
      break;
  }
  return 500;
}

Response failure(int code, std::string message) {
  Response response{code, status_object(code, reason_of(code), std::move(message)), 0};
  if (code == 429 || code == 503) {
    response.retry_after = kRetryAfterSeconds;
    response.body["details"]["retryAfterSeconds"] = kRetryAfterSeconds;
  }
  return response;
}

Response failure(const Error& error, const api::Kind& kind, const std::string& name) {
  Response response = failure(http_code_of(error.code), error.message);
  if (error.code == Errc::kAlreadyExists) response.body["reason"] = "AlreadyExists";
  Json details = details_of(kind, name, kind.plural);
  if (response.retry_after != 0) details["retryAfterSeconds"] = response.retry_after;
  response.body["details"] = std::move(details);
  return response;
}

Response invalid(const api::Kind& kind, const std::string& name,
                 const std::vector<api::FieldError>& errors) {
  std::string described =
      kind.group.empty() ? std::string(kind.kind) : fmt::format("{}.{}", kind.kind, kind.group);
  std::string message =
      fmt::format("{} \"{}\" is invalid: {}", described, name, api::to_error(errors).message);
  Json details = details_of(kind, name, kind.kind);
  for (const auto& error : errors) {
    Json cause;
    cause["reason"] = cause_of(error.message);
    cause["message"] = error.message;
    cause["field"] = error.path;
    details["causes"].push_back(std::move(cause));
  }
  Response response = failure(422, std::move(message));
  response.body["details"] = std::move(details);
  return response;
}

Response deleted(const api::Kind& kind, const std::string& name, const std::string& uid) {
  Json status;
  status["kind"] = "Status";
  status["apiVersion"] = "v1";
  status["metadata"] = Json::object();
  status["status"] = "Success";
  status["details"] = details_of(kind, name, kind.plural);
  status["details"]["uid"] = uid;
  return {200, std::move(status), 0};
}

}  // namespace ebb::apiserver
