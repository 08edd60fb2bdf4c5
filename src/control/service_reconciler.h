// Service -> a Configuration and a Route of the same name, kept equal to its spec; and
// what became of them, back into the Service's status.
//
// Control executor only.
#pragma once

#include "api/types.h"
#include "base/clock.h"
#include "net/task.h"
#include "resources/informer.h"
#include "resources/resource_client.h"

namespace ebb::control {

class ServiceReconciler final {
 public:
  ServiceReconciler(resources::ResourceClient& client, const Clock& clock,
                    const resources::Informer<api::Service>& services,
                    const resources::Informer<api::Configuration>& configurations,
                    const resources::Informer<api::Route>& routes)
      : client_(client),
        clock_(clock),
        services_(services),
        configurations_(configurations),
        routes_(routes) {}

  [[nodiscard]] net::Task<Result<void>> reconcile(resources::ObjectKey key);

 private:
  // What became of one child. `reason` is set if it belongs to somebody else.
  template <class T>
  struct Child {
    T object;
    std::string not_owned;
  };
  template <class T>
  [[nodiscard]] net::Task<Result<Child<T>>> keep_equal(T wanted,
                                                       const resources::Informer<T>& informer);
  void set_status(api::Service& service, const Child<api::Configuration>& configuration,
                  const Child<api::Route>& route) const;

  resources::ResourceClient& client_;
  const Clock& clock_;
  const resources::Informer<api::Service>& services_;
  const resources::Informer<api::Configuration>& configurations_;
  const resources::Informer<api::Route>& routes_;
};

// Pure: what a Service asks for.
[[nodiscard]] api::Configuration configuration_of(const api::Service& service);
[[nodiscard]] api::Route route_of(const api::Service& service);

}  // namespace ebb::control
