// `ebb invoke`.
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "api/types.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/resource_kinds.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

using api::Json;

constexpr size_t kMaxBody = 256 << 20;  // what the gateway takes at most
constexpr int kFirstError = 400;        // status

Result<std::string> read_body(const std::string& wish) {
  if (wish.starts_with('@') && wish != "@-") return read_file(wish.substr(1), kMaxBody);
  if (wish != "-" && wish != "@-") return wish;  // @-: as of curl
  std::string text;
  std::string piece(64 << 10, '\0');
  while (std::cin) {
    std::cin.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    text.append(piece, 0, static_cast<size_t>(std::cin.gcount()));
    if (text.size() > kMaxBody) {
      return fail(Errc::kInvalid, "stdin: more than {} MiB", kMaxBody >> 20);
    }
  }
  return text;
}

// The host of the service, or of one of its tags.
Result<std::string> host_of(const InvokeOptions& options, const std::string& ns,
                            ApiClient& client) {
  const auto service =
      client.get(path_of(api::Service::kind(), ns, options.name), client.now() + kCallTimeout);
  if (!service) return fail(service.error());
  std::string url = text_at(*service, {"status", "url"});
  if (!options.tag.empty()) {
    url.clear();
    static const Json::json_pointer kTraffic("/status/traffic");
    if (service->contains(kTraffic) && service->at(kTraffic).is_array()) {
      for (const Json& target : service->at(kTraffic)) {
        if (text_at(target, {"tag"}) == options.tag) url = text_at(target, {"url"});
      }
    }
    if (url.empty()) {
      return fail(Errc::kNotFound, "service \"{}\" has no tag \"{}\": ebb describe service {}",
                  options.name, options.tag, options.name);
    }
  }
  if (url.empty()) {
    return fail(Errc::kUnavailable, "service \"{}\" has no URL yet: ebb describe service {}",
                options.name, options.name);
  }
  return host_of_url(url);
}

void show_head(const http::ResponseHead& head, Console& console) {
  const std::string_view reason =
      head.reason.empty() ? http::reason_phrase(head.status) : head.reason;
  console.out << "HTTP/1." << head.minor_version << " " << head.status << " " << reason << "\n";
  for (const http::Field& field : head.fields) {
    console.out << field.name << ": " << field.value << "\n";
  }
  console.out << "\n";
  flush_output(console);
}

}  // namespace

Result<void> invoke(const InvokeOptions& options, const std::string& ns, ApiClient& client,
                    Console& console) {
  GatewayRequest request;
  if (options.body) {
    auto body = read_body(*options.body);
    if (!body) return fail(body.error());
    request.body = std::move(*body);
    request.has_body = true;
  }
  auto host = host_of(options, ns, client);
  if (!host) return fail(host.error());
  const auto address = find_gateway(options.gateway, client);
  if (!address) return fail(address.error());
  request.host = std::move(*host);
  request.method = options.method;
  if (request.method.empty()) request.method = request.has_body ? "POST" : "GET";
  request.path = options.path;
  request.headers = options.headers;
  // Each piece at once, so that a stream is seen as it comes; ends when nobody reads.
  const GatewayReader reader{.on_head =
                                 [&](const http::ResponseHead& head) {
                                   if (options.include) show_head(head, console);
                                   return true;
                                 },
                             .on_body =
                                 [&console](std::string_view piece) {
                                   console.out << piece;
                                   return flush_output(console).has_value();
                                 }};
  GatewayClient gateway(*address);
  const auto answer = gateway.call(request, reader, gateway.now() + options.timeout);
  if (!answer) return fail(answer.error());
  if (options.fail && answer->status >= kFirstError) {
    return fail(Errc::kInternal, "{} answered {} {}", options.name, answer->status,
                http::reason_phrase(answer->status));
  }
  return {};
}

}  // namespace ebb::cli
