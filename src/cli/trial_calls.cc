#include "cli/trial_calls.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/types.h"
#include "cli/gateway.h"
#include "cli/resource_kinds.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

using api::Json;

constexpr int64_t kAll = 100;  // percent

bool has_pods(const std::string& revision, const std::string& ns, ApiClient& client) {
  const std::string selector = fmt::format("{}={}", api::kRevisionLabel, revision);
  const auto pods =
      client.get(path_of(api::Pod::kind(), ns, "") + "?labelSelector=" + escaped(selector),
                 client.now() + kCallTimeout);
  if (!pods || !pods->contains("items")) return false;
  const Json& items = (*pods)["items"];
  return std::any_of(items.begin(), items.end(), [](const Json& pod) {
    return text_at(pod, {"metadata", "labels", std::string(api::kStateLabel)}) == "Warm";
  });
}

// From the begin of the connection to the first byte of the answer.
void show_calls(const std::string& revision, const std::string& ns, const std::string& host,
                const net::Address& address, ApiClient& client, Console& console) {
  const bool warm = has_pods(revision, ns, client);
  GatewayClient gateway(address);
  GatewayRequest request;
  request.host = host;
  for (const bool first : {true, false}) {
    const auto answer = gateway.call(request, {}, gateway.now() + kCallTimeout);
    if (!answer) {
      console.err << "The service was not reached: " << answer.error().message << "\n";
      return;
    }
    const char* which = first ? (warm ? "first call (warm)" : "first call (cold)") : "second call";
    console.out << fmt::format("{:<18} {} in {}\n", which, answer->status,
                               format_took(answer->first_byte));
  }
}

void say_where_traffic_goes(const std::string& name, const std::string& revision,
                            const Reach& reach, Console& console) {
  if (reach.percent == 0) {
    console.err << fmt::format(
        "The new revision {} gets no traffic: it goes to {}. To change that: ebb traffic {} "
        "--revision @latest=100\n",
        revision, reach.elsewhere, name);
  } else if (reach.percent < kAll) {
    console.err << fmt::format("The new revision {} gets {}% of the traffic; the rest goes to {}\n",
                               revision, reach.percent, reach.elsewhere);
  }
}

// These call `host` at the gateway, whether its name resolves or not.
std::string curl_by_http(const std::string& host, const net::Address& gateway) {
  return fmt::format("curl -H 'Host: {}' http://{}/\n", host, gateway.to_string());
}

std::string curl_by_https(const std::string& host, const net::Address& gateway) {
  constexpr uint16_t kHttps = 443;
  const bool v6 = gateway.host.find(':') != std::string::npos;
  const std::string address = v6 ? fmt::format("[{}]", gateway.host) : gateway.host;
  const std::string port = gateway.port == kHttps ? "" : fmt::format(":{}", gateway.port);
  return fmt::format("curl --resolve {}:{}:{} https://{}{}/\n", host, gateway.port, address, host,
                     port);
}

}  // namespace

Reach reach_of(const std::string& revision, const Json& service) {
  static const Json::json_pointer kPath("/status/traffic");
  Reach out;
  std::string tagged;
  if (service.contains(kPath) && service.at(kPath).is_array()) {
    for (const Json& target : service.at(kPath)) {
      const std::string name = text_at(target, {"revisionName"});
      const int64_t percent = std::strtoll(text_at(target, {"percent"}).c_str(), nullptr, 10);
      if (name == revision) {
        out.percent += percent;
        if (!text_at(target, {"tag"}).empty()) tagged = host_of_url(text_at(target, {"url"}));
      } else if (percent > 0) {
        out.elsewhere +=
            fmt::format("{}{} ({}%)", out.elsewhere.empty() ? "" : ", ", name, percent);
      }
    }
  }
  out.host = out.percent == kAll ? host_of_url(text_at(service, {"status", "url"})) : tagged;
  return out;
}

void show_use(const Json& service, const std::string& ns, bool call, ApiClient& client,
              Console& console) {
  const std::string name = text_at(service, {"metadata", "name"});
  const std::string revision = text_at(service, {"status", "latestReadyRevisionName"});
  const Reach reach = reach_of(revision, service);
  say_where_traffic_goes(name, revision, reach, console);
  const auto gateway = find_gateway({}, client);
  if (!gateway) return;
  const auto https = find_https(client);
  const std::string url = text_at(service, {"status", "url"});
  const std::string host = host_of_url(url);
  const auto say_curl = [&](const std::string& to) {
    console.out << (https && url.starts_with("https://") ? curl_by_https(to, *https)
                                                         : curl_by_http(to, *gateway));
  };
  say_curl(host);
  if (!reach.host.empty() && reach.host != host) say_curl(reach.host);
  if (!call) return;
  if (!reach.host.empty()) {
    show_calls(revision, ns, reach.host, *gateway, client, console);
  } else {
    console.err << fmt::format(
        "It was not called, since it has no host of its own; a tag gives it one: ebb traffic {} "
        "--tag try={}\n",
        name, revision);
  }
}

}  // namespace ebb::cli
