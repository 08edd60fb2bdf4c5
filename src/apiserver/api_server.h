// The REST API with the conventions of Kubernetes: what kubectl, kn and `ebb` speak.
//
// An http::Handler for a server on the control executor. Every path but /healthz,
// /livez and /readyz needs the token, and a Host that is this machine (access.h).
// Objects are at most 1 MiB; code packages 100 MiB.
//
//   apiserver::ApiServer api(control, {client, blobs, live, clock}, {.token = token, ...});
//   http::Server server(control, std::move(fd), api, {});
//   ...
//   api.end_watches();
//   co_await server.drain(deadline);
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "apiserver/access.h"
#include "apiserver/backup_endpoint.h"
#include "apiserver/blob_endpoint.h"
#include "apiserver/live_client.h"
#include "apiserver/log_endpoint.h"
#include "apiserver/object_endpoint.h"
#include "apiserver/request.h"
#include "apiserver/watch_endpoint.h"
#include "http/server.h"
#include "net/executor.h"
#include "node/runtime.h"

namespace ebb::apiserver {

struct ApiServerOptions {
  std::string token;               // not empty
  net::Address listen;             // where the API listens
  std::vector<std::string> hosts;  // further names that clients may call it by
  std::string version;             // of ebb
  std::string gateway;             // where functions are called, for the user: "127.0.0.1:8080"
  std::string https = {};          // likewise by TLS; empty: not
  std::function<bool()> ready;     // for /readyz; empty: always
  std::function<std::string()> metrics;  // Prometheus' text, for /metrics; empty: none
  std::string state = {};                // file of the SQLite store, for backups; empty: none
  std::string logs = {};                 // the folder with the revisions' logs
  // Those that pods can be had of, looked up for each call; empty, or of none: not known.
  std::function<std::vector<node::ListedRuntime>()> runtimes = {};
};

// What it serves; all of it must outlive it.
struct ApiServerParts {
  resources::ResourceClient& client;
  store::BlobStore& blobs;
  LiveObjects& live;
  const Clock& clock;
};

class ApiServer final : public http::Handler {
 public:
  static constexpr size_t kMaxObjectBytes = 1 << 20;  // over it: 413
  static constexpr int kMaxCalls = 256;               // at the same time; over it: 429

  ApiServer(net::Executor& executor, ApiServerParts parts, ApiServerOptions options);

  net::Task<void> serve(http::Exchange& exchange) override;
  // Ends all watches and followed logs within their kPatience, so that a drain need not cut them.
  void end_watches() {
    watches_.end();
    logs_.end();
  }

 private:
  [[nodiscard]] net::Task<void> serve_objects(http::Exchange& exchange, const ApiRequest& request);
  // The namespaces that objects are in, or the one with that name.
  [[nodiscard]] net::Task<Response> namespaces(std::string only);
  // The endpoints that need neither waiting nor a body.
  [[nodiscard]] Response describe(const ApiRequest& request) const;
  [[nodiscard]] Response info() const;
  [[nodiscard]] RuntimeNames runtime_names() const;
  [[nodiscard]] resources::ResourceClient& client_of(const api::Kind& kind);

  ApiServerParts parts_;
  ApiServerOptions options_;
  Access access_;
  std::string started_;  // RFC 3339
  LiveClient live_;
  ObjectEndpoint stored_objects_;
  ObjectEndpoint live_objects_;
  WatchEndpoint watches_;
  BlobEndpoint blobs_;
  LogEndpoint logs_;
  BackupEndpoint backup_;
  int calls_ = 0;
};

}  // namespace ebb::apiserver
