#include "cli/up_settings.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "api/duration.h"
#include "api/json_fields.h"
#include "api/quantity.h"
#include "api/yaml.h"
#include "base/file.h"
#include "base/quote.h"
#include "cli/kubeconfig.h"
#include "cli/up_autoscaling.h"

namespace ebb::cli {
namespace {

using Errors = std::vector<api::FieldError>;

void wrong(Errors& errors, std::string field, std::string message) {
  errors.push_back({.path = std::move(field), .message = std::move(message)});
}

void read_address(api::FieldReader& fields, const char* key, net::Address& out, Errors& errors) {
  std::string text;
  fields.read(key, text);
  if (text.empty()) return;
  if (auto parsed = net::Address::parse(text)) {
    out = *parsed;
  } else {
    wrong(errors, key, parsed.error().message);
  }
}

// Unset by an empty text.
void read_address(api::FieldReader& fields, const char* key, std::optional<net::Address>& out,
                  Errors& errors) {
  std::string text;
  fields.read(key, text);
  if (text.empty()) return;
  read_address(fields, key, out.emplace(), errors);
}

void read_duration(api::FieldReader& fields, const char* key, const std::string& path,
                   std::optional<Duration>& out, Errors& errors) {
  std::string text;
  fields.read(key, text);
  if (text.empty()) return;
  if (text == "disabled") {
    out.reset();
  } else if (auto parsed = api::parse_duration(text)) {
    out = *parsed;
  } else {
    wrong(errors, path, parsed.error().message);
  }
}

void read_interval(api::FieldReader& fields, Duration& out, Errors& errors) {
  constexpr const char* kKey = "metricsInterval";
  std::string text;
  fields.read(kKey, text);
  if (text.empty()) return;
  const auto parsed = api::parse_duration(text);
  if (!parsed) {
    wrong(errors, kKey, parsed.error().message);
  } else if (*parsed < kMinMetricsInterval || *parsed > kMaxMetricsInterval) {
    wrong(errors, kKey, "\"" + text + "\" is not within 1s and 10m");
  } else {
    out = *parsed;
  }
}

void read_log_level(api::FieldReader& fields, log::Level& out, Errors& errors) {
  static const std::map<std::string, log::Level> kLevels = {{"debug", log::Level::kDebug},
                                                            {"info", log::Level::kInfo},
                                                            {"warn", log::Level::kWarn},
                                                            {"error", log::Level::kError}};
  std::string text;
  fields.read("logLevel", text);
  if (text.empty()) return;
  const auto found = kLevels.find(text);
  if (found == kLevels.end()) {
    wrong(errors, "logLevel", "\"" + text + "\" is none of debug, info, warn, error");
  } else {
    out = found->second;
  }
}

void read_log_format(api::FieldReader& fields, log::Format& out, Errors& errors) {
  std::string text;
  fields.read("logFormat", text);
  if (text.empty() || text == "text") return;
  if (text != "json")
    return wrong(errors, "logFormat", "\"" + text + "\" is neither text nor json");
  out = log::Format::kJson;
}

// RFC 1123: labels of at most 63 characters, 253 in all.
bool is_domain(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  size_t label = 0;
  char before = '.';
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!letter && c != '-' && c != '.') return false;
    if (c != '.' && ++label > 63) return false;
    if (c == '-' && before == '.') return false;
    if (c == '.' && (before == '.' || before == '-')) return false;
    if (c == '.') label = 0;
    before = c;
  }
  return before != '.' && before != '-';
}

void read_domain(api::FieldReader& fields, std::string& out, Errors& errors) {
  fields.read("domain", out);
  if (!is_domain(out)) {
    wrong(errors, "domain",
          fmt::format("{} is no domain: use labels of a-z, 0-9 and -, with dots between them",
                      in_quotes(out)));
  }
}

void read_requests(api::FieldReader& fields, serving::GatewaySettings& out, Errors& errors) {
  using serving::ServerTiming;
  static const std::map<std::string, ServerTiming> kTimings = {
      {"off", ServerTiming::kOff}, {"cold", ServerTiming::kCold}, {"all", ServerTiming::kAll}};
  std::string size;
  fields.read("maxBody", size);
  if (!size.empty()) {
    if (const auto bytes = api::parse_bytes(size)) {
      out.max_body = static_cast<uint64_t>(*bytes);
    } else {
      wrong(errors, "maxBody", bytes.error().message);
    }
  }
  std::string timing;
  fields.read("serverTiming", timing);
  if (timing.empty()) return;
  const auto found = kTimings.find(timing);
  if (found == kTimings.end()) {
    wrong(errors, "serverTiming", "\"" + timing + "\" is none of off, cold, all");
  } else {
    out.server_timing = found->second;
  }
}

void read_pool(std::string_view text, const std::string& path, scheduling::PoolSize& out,
               Errors& errors) {
  if (const auto size = scheduling::PoolSize::parse(text)) {
    out = *size;
  } else {
    wrong(errors, path, size.error().message);
  }
}

void read_pools(api::FieldReader& fields, Settings& settings, Errors& errors) {
  std::optional<std::string> pool;
  fields.read_quantity("pool", pool);
  if (pool) {
    settings.pool = scheduling::PoolSize();
    read_pool(*pool, "pool", *settings.pool, errors);
  }
  std::map<std::string, std::string> pools;
  fields.read_quantities("pools", pools);
  for (const auto& [runtime, text] : pools) {
    read_pool(text, "pools." + runtime, settings.pools[runtime], errors);
  }
}

void refuse_rest(const api::FieldReader& fields, const std::string& prefix, Errors& errors) {
  const std::string rest = fields.rest();
  if (rest.empty()) return;
  const auto unknown = api::Json::parse(rest, nullptr, false);
  for (const auto& [key, value] : unknown.items()) wrong(errors, prefix + key, "unknown key");
}

void read_certificates(api::FieldReader& fields, std::vector<CertificateFiles>& out,
                       Errors& errors) {
  fields.read_array("certificates", out, [&](api::FieldReader& entry, CertificateFiles& files) {
    const std::string path = fmt::format("certificates[{}].", out.size() - 1);
    entry.read("certificate", files.certificate);
    entry.read("key", files.key);
    if (files.certificate.empty()) wrong(errors, path + "certificate", "name a PEM file");
    if (files.key.empty()) wrong(errors, path + "key", "name a PEM file");
    refuse_rest(entry, path, errors);
  });
}

void read_gc(api::FieldReader& fields, control::RevisionGcSettings& gc, Errors& errors) {
  const auto read_count = [&](const char* key, std::optional<int>& out) {
    std::optional<int64_t> value;
    fields.read(key, value);
    if (!value) return;
    if (*value < 0 || *value > 1'000'000) {
      wrong(errors, std::string("gc.") + key, "is not within 0 and 1000000");
      return;
    }
    out = static_cast<int>(*value);
  };
  read_duration(fields, "retain-since-create-time", "gc.retain-since-create-time",
                gc.retain_since_create_time, errors);
  read_duration(fields, "retain-since-last-active-time", "gc.retain-since-last-active-time",
                gc.retain_since_last_active_time, errors);
  std::optional<int> least = gc.min_non_active_revisions;
  read_count("min-non-active-revisions", least);
  gc.min_non_active_revisions = *least;
  read_count("max-non-active-revisions", gc.max_non_active_revisions);
  if (gc.max_non_active_revisions && *gc.max_non_active_revisions < gc.min_non_active_revisions) {
    wrong(errors, "gc.max-non-active-revisions", "is below gc.min-non-active-revisions");
  }
  refuse_rest(fields, "gc.", errors);
}

// Key by key: whether they fit together is seen when flags are in.
Result<UpOptions> read_options(const api::Json& document) {
  Errors errors;
  UpOptions up;
  up.data = kDefaultDataDir;
  {
    api::FieldReader fields(document, "", errors);
    fields.read("data", up.data);
    read_address(fields, "gateway", up.gateway, errors);
    read_address(fields, "api", up.api, errors);
    read_address(fields, "metrics", up.metrics, errors);
    read_address(fields, "https", up.https, errors);
    read_certificates(fields, up.certificates, errors);
    fields.read("httpsRedirect", up.https_redirect);
    read_domain(fields, up.domain, errors);
    fields.read("runtimes", up.runtimes);
    fields.read("policies", up.policies);
    fields.read("accessLog", up.access_log);
    std::string isolation;
    fields.read("isolation", isolation);
    if (!isolation.empty() && isolation != "full" && isolation != "none") {
      wrong(errors, "isolation", "\"" + isolation + "\" is neither full nor none");
    }
    up.isolation = isolation != "none";
    fields.read("podNetwork", up.pod_network);
    fields.read("scaleToZero", up.scale_to_zero);
    std::string preload;
    fields.read("preload", preload);
    if (!preload.empty() && preload != "off" && preload != "auto") {
      wrong(errors, "preload", "\"" + preload + "\" is neither off nor auto");
    }
    up.preload = preload == "auto";
    read_interval(fields, up.metrics_interval, errors);
    read_log_level(fields, up.settings.log_level, errors);
    read_log_format(fields, up.log_format, errors);
    read_pools(fields, up.settings, errors);
    read_requests(fields, up.requests, errors);
    read_autoscaling(fields, up, errors);
    fields.read_object("gc", up.gc,
                       [&](api::FieldReader& gc, auto& out) { read_gc(gc, out, errors); });
    refuse_rest(fields, "", errors);
  }
  if (!errors.empty()) return fail(api::to_error(errors));
  return up;
}

}  // namespace

Result<api::Json> read_settings(const std::string& path, const api::Json& flags) {
  api::Json document = api::Json::object();
  if (!path.empty()) {
    const auto text = read_file(path, kMaxSettings);
    if (!text) return fail(text.error());
    auto documents = api::parse_yaml(*text);
    if (!documents) return fail(Errc::kInvalid, "{}: {}", path, documents.error().message);
    if (documents->size() > 1 || (documents->size() == 1 && !documents->front().is_object())) {
      return fail(Errc::kInvalid, "{}: must be one YAML document with keys and values", path);
    }
    if (!documents->empty()) document = std::move(documents->front());
    // Told with the file's name, before flags hide where a value came from.
    if (auto checked = read_options(document); !checked) {
      return fail(Errc::kInvalid, "{}: {}", path, checked.error().message);
    }
  }
  document.update(flags);
  return document;
}

Result<UpOptions> up_options(const api::Json& document) {
  auto up = read_options(document);
  if (!up) return up;
  Errors errors;
  if (up->https && up->certificates.empty()) {
    wrong(errors, "certificates",
          "https needs one: {certificate: FILE, key: FILE} in the file of --config");
  }
  if (up->https_redirect && !up->https) {
    wrong(errors, "httpsRedirect", "there is no https to send requests to");
  }
  if (!errors.empty()) return fail(api::to_error(errors));
  return up;
}

std::string needs_restart(const UpOptions& running, const UpOptions& wanted) {
  std::string keys;
  const auto compare = [&](bool same, const char* key) {
    if (!same) keys += std::string(keys.empty() ? "" : ", ") + key;
  };
  compare(running.data == wanted.data, "data");
  compare(running.gateway == wanted.gateway, "gateway");
  compare(running.api == wanted.api, "api");
  compare(running.metrics == wanted.metrics, "metrics");
  compare(running.https == wanted.https, "https");
  compare(running.https_redirect == wanted.https_redirect, "httpsRedirect");
  compare(running.domain == wanted.domain, "domain");
  compare(running.log_format == wanted.log_format, "logFormat");
  compare(running.runtimes == wanted.runtimes, "runtimes");
  compare(running.policies == wanted.policies, "policies");
  compare(running.access_log == wanted.access_log, "accessLog");
  compare(running.isolation == wanted.isolation, "isolation");
  compare(running.pod_network == wanted.pod_network, "podNetwork");
  compare(running.metrics_interval == wanted.metrics_interval, "metricsInterval");
  compare(running.scale_to_zero == wanted.scale_to_zero, "scaleToZero");
  compare(running.preload == wanted.preload, "preload");
  compare(running.requests.max_body == wanted.requests.max_body, "maxBody");
  compare(running.requests.server_timing == wanted.requests.server_timing, "serverTiming");
  return keys;
}

void take_over(UpOptions& running, const UpOptions& wanted) {
  running.certificates = wanted.certificates;
  running.settings = wanted.settings;
  running.autoscaling = wanted.autoscaling;
  running.limits = wanted.limits;
  running.gc = wanted.gc;
}

}  // namespace ebb::cli
