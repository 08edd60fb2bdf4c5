#include "serving/gateway.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/quote.h"
#include "base/random.h"
#include "http/head_writer.h"
#include "http/uri.h"
#include "serving/error_answer.h"

namespace ebb::serving {
namespace {

// How many pods are tried that cannot even be connected to.
constexpr int kUnreachedPods = 3;
constexpr size_t kMaxRequestId = 128;
constexpr uint64_t kFirstId = 0x10000000;  // so that ids are of one length for long

bool is_address(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const std::string text(host);
  in6_addr any{};
  return ::inet_pton(AF_INET, text.c_str(), &any) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), &any) == 1;
}

// As load balancers ask: by an address. A name may be that of a function that has gone.
bool is_health_check(const http::RequestHead& request, std::string_view host) {
  return (request.method == "GET" || request.method == "HEAD") &&
         (request.target == "/healthz" || request.target == "/readyz") &&
         (host.empty() || host == "localhost" || is_address(host));
}

// Both sides of an upgraded connection may have had nothing to say.
bool was_cut_by_function(const RequestRecord& record) {
  return record.cut && is_failure(*record.cut) &&
         !(record.upgraded && *record.cut == Cut::kIdleTimeout);
}

// What may go into logs and headers of others as it is.
bool is_sane_id(std::string_view id) {
  if (id.empty() || id.size() > kMaxRequestId) return false;
  return std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("-_.:/+=@").find(c) != std::string_view::npos;
  });
}

}  // namespace

http::ServerOptions server_options(const GatewaySettings& settings, GatewayCounters& counters,
                                   const net::TlsContexts* tls) {
  http::ServerOptions options;
  options.max_body = settings.max_body;
  options.connection_gauge = &counters.connections;
  options.http2 = true;
  options.tls = tls;
  options.tls_failures = &counters.tls_failures;
  return options;
}

Gateway::Gateway(net::Executor& executor, GatewayParts parts, GatewaySettings settings)
    : executor_(executor),
      parts_(parts),
      settings_(settings),
      connections_(executor),
      watch_(executor),
      failures_(executor),
      id_prefix_(random_hex(6)) {}

const RoutingTable& Gateway::table() {
  if (const uint64_t now = parts_.routes.version(); now != version_) {
    table_ = parts_.routes.table();
    version_ = now;
  }
  return *table_;
}

// The client's own, if it is fit to be passed on, else a new one.
net::RecycledString Gateway::request_id(const http::RequestHead& head) {
  const auto given = head.fields.get("x-request-id");
  if (given && is_sane_id(*given)) return net::RecycledString(*given);
  fresh_id_.assign(id_prefix_);
  http::append_hex(fresh_id_, kFirstId + ids_++);
  return net::RecycledString(fresh_id_);
}

// Nullptr if the route is not ready.
const Backend* Gateway::choose(const http::RequestHead& head, const Route& route) const {
  if (const auto tag = head.fields.get("knative-serving-tag")) {
    if (const Backend* tagged = route.tagged(*tag)) return tagged;
  }
  return route.targets.empty() ? nullptr : &route.choose();
}

net::Task<void> Gateway::serve(http::Exchange& exchange) { return answer(exchange, false); }

net::Task<void> Gateway::answer(http::Exchange& exchange, bool inside) {
  RequestRecord record;
  record.received_at = exchange.received_at();
  record.id = request_id(exchange.request());
  record.secure = exchange.secure();
  co_await route(exchange, record, inside);
  report(exchange.request(), exchange.client(), record);
}

std::string Gateway::refused(const http::RefusedHead& request) {
  RequestRecord record;
  record.received_at = request.received_at;
  record.id = request_id(request.head);
  record.secure = request.secure;
  record.status = request.status;
  record.refused = Refusal::kBadRequest;
  if (!request.head.authority.empty()) {
    record.route = table().find(http::host_of(request.head.authority));
  }
  report(request.head, request.client, record);
  return std::string(record.id);
}

net::Task<void> Gateway::route(http::Exchange& exchange, RequestRecord& record, bool inside) {
  std::string& host = host_;  // used before the first wait
  http::host_of(exchange.request().authority, host);
  record.route = table().find(host);
  if (!record.route && is_health_check(exchange.request(), host))
    return answer_health(exchange, record);
  if (!record.route) {
    return refuse(exchange, record,
                  {.why = Refusal::kNoRoute,
                   .status = 404,
                   .text = fmt::format("no function answers for the host {}: deploy one, or see "
                                       "`ebb get services` for those that there are",
                                       in_quotes(host))});
  }
  if (record.route->only_inside && !inside) {
    return refuse(exchange, record,
                  {.why = Refusal::kNoRoute,
                   .status = 404,
                   .text = fmt::format("function {} answers other functions only (its label "
                                       "networking.knative.dev/visibility is cluster-local)",
                                       record.route->name)});
  }
  if (!inside && redirects(exchange)) return redirect(exchange, record, host);
  record.backend = choose(exchange.request(), *record.route);
  if (record.backend == nullptr) {
    return refuse(exchange, record,
                  {.why = Refusal::kNotReady,
                   .status = 503,
                   .text = fmt::format("function {} is not ready: {}", record.route->name,
                                       record.route->not_ready),
                   .retry_after_s = 1});
  }
  return pass_on(exchange, record);
}

net::Task<void> Gateway::answer_health(http::Exchange& exchange, RequestRecord& record) {
  record.status = 200;
  const auto sent = co_await exchange.respond(200, "text/plain", "ok\n");
  if (!sent) record.cut = Cut::kClientLeft;
}

// Not where somebody before us has ended TLS: the client would come back the same way.
bool Gateway::redirects(const http::Exchange& exchange) const {
  if (!settings_.https_port || exchange.secure()) return false;
  const auto before = exchange.request().fields.get("x-forwarded-proto");
  return !before || !http::list_has_token(*before, "https");
}

net::Task<void> Gateway::redirect(http::Exchange& exchange, RequestRecord& record,
                                  const std::string& host) {
  constexpr uint16_t kDefaultPort = 443;
  std::string url = "https://" + host;
  if (*settings_.https_port != kDefaultPort) url += fmt::format(":{}", *settings_.https_port);
  const std::string target = http::origin_form(exchange.request().target);
  if (target.starts_with('/')) url += target;  // "*" is none
  return refuse(exchange, record,
                {.why = Refusal::kHttpsRedirect,
                 .status = 308,
                 .text = "this function is reached by https://",
                 .location = std::move(url)});
}

net::Task<void> Gateway::pass_on(http::Exchange& exchange, RequestRecord& record) {
  const Backend& backend = *record.backend;
  ForwardOptions options{.function = record.route->name,
                         .deadline = record.received_at + backend.timeout,
                         .timeout = backend.timeout,
                         .response_start = backend.response_start,
                         .idle = backend.idle,
                         .max_body = settings_.max_body,
                         .tunnel_grace = backend.timeout,
                         .timing = settings_.server_timing,
                         .counters = &parts_.counters};
  OutgoingRequest request(exchange, record);
  int unreached = 0;
  while (unreached < kUnreachedPods) {
    Admission how;
    auto grant =
        co_await admit(exchange, backend.throttler, parts_.waker, watch_, options.deadline, how);
    record.asked_at = how.asked;
    record.no_pods = how.no_pods;
    record.cold = record.cold || how.no_pods;
    if (how.asked != TimePoint{}) record.waited += executor_.now() - how.asked;
    if (!grant) {
      co_await answer_refusal(exchange, record, std::move(grant.error()));
      co_return;
    }
    record.granted_at = executor_.now();
    record.pod = grant->shared_pod();
    record.cold = record.cold || record.pod->starting();
    const auto outcome =
        co_await forward(request, connections_, backend.throttler, std::move(*grant), options);
    if (outcome == Forwarded::kAnswered) co_return;
    if (outcome == Forwarded::kUnreached) ++unreached;
    if (outcome == Forwarded::kReplay) options.may_replay = false;
  }
  ErrorAnswer unreachable{
      .why = Refusal::kPodUnreachable,
      .status = 502,
      .text = fmt::format("the pods of function {} cannot be reached", record.route->name),
      .retry_after_s = 1};
  co_await refuse(exchange, record, std::move(unreachable));
}

net::Task<void> Gateway::answer_refusal(http::Exchange& exchange, RequestRecord& record,
                                        Refused refused) {
  if (refused.why == Refusal::kClientLeft) {
    note_client_left(exchange, record);
    return net::Task<void>::ready();
  }
  ErrorAnswer answer{
      .why = refused.why, .status = 503, .text = {}, .retry_after_s = refused.retry_after_s};
  const char* verdict = "is overloaded";
  if (refused.why == Refusal::kStartFailed) verdict = "failed to start";
  if (refused.why == Refusal::kQueueTimeout) {
    answer.status = 504;
    verdict = "was too busy";
  }
  answer.text = fmt::format("function {} {}: {}", record.route->name, verdict, refused.message);
  if (refused.why == Refusal::kDeleted) {
    answer.status = 404;
    answer.text = fmt::format("function {} has been deleted", record.route->name);
  }
  if (refused.why == Refusal::kShutdown) answer.text = std::move(refused.message);
  return refuse(exchange, record, std::move(answer));
}

void Gateway::report(const http::RequestHead& head, const net::Address& client,
                     RequestRecord& record) {
  const TimePoint now = executor_.now();
  if (record.ended_at == TimePoint{}) record.ended_at = now;
  parts_.counters.count(record);
  const bool failed = (record.refused && record.status >= 500) || was_cut_by_function(record);
  if (failed && record.route) failures_.write(head, record);
  if (parts_.access_log == nullptr) return;
  const std::string line = access_line(record, head, client, now, parts_.clock.wall());
  parts_.access_log->write(line);
}

}  // namespace ebb::serving
