// Reads and writes of resources: get, list, create, update, patch, apply, delete, also
// as dry runs. Bodies are JSON or YAML. Control executor only.
//
// fieldValidation says what happens to fields that nobody knows: Strict refuses them (as
// does the default inside of a spec), Warn and Ignore drop them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "apiserver/admission.h"
#include "apiserver/request.h"
#include "apiserver/status.h"
#include "base/clock.h"
#include "net/task.h"
#include "resources/resource_client.h"

namespace ebb::apiserver {

// The parts of a request that an endpoint needs. Views outlive the call.
struct Call {
  const ApiRequest& request;
  std::string_view method;
  std::string_view content_type;
  std::string_view body;
};

class ObjectEndpoint final {
 public:
  // Both must outlive it. `runtimes`: the names of those there are; empty: not known.
  ObjectEndpoint(resources::ResourceClient& client, const Clock& clock,
                 std::function<RuntimeNames()> runtimes = {})
      : client_(client), clock_(clock), runtimes_(std::move(runtimes)) {}

  // For kObjects, kObject and kStatus. Lists are Kubernetes lists ("ServiceList").
  [[nodiscard]] net::Task<Response> handle(Call call);

 private:
  [[nodiscard]] net::Task<Response> get(Call call);
  [[nodiscard]] net::Task<Response> list(Call call);
  [[nodiscard]] net::Task<Response> create(Call call);
  [[nodiscard]] net::Task<Response> update(Call call);
  [[nodiscard]] net::Task<Response> patch(Call call);
  [[nodiscard]] net::Task<Response> apply(Call call);
  [[nodiscard]] net::Task<Response> apply_new(Call call, api::Json config, std::string manager,
                                              Errc* error);
  [[nodiscard]] net::Task<Response> apply_over(Call call, const api::Json& before,
                                               const api::Json& config, std::string manager,
                                               Errc* error);
  [[nodiscard]] net::Task<Response> remove(Call call);
  // Admits and stores what `before` is to become. `error` is set if that failed.
  [[nodiscard]] net::Task<Response> store(Call call, const api::Json& before, api::Json after,
                                          Errc* error);

  [[nodiscard]] RuntimeNames runtimes() const { return runtimes_ ? runtimes_() : RuntimeNames(); }

  resources::ResourceClient& client_;
  const Clock& clock_;
  std::function<RuntimeNames()> runtimes_;
};

}  // namespace ebb::apiserver
