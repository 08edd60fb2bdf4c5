// A part of the front, for its sources only.
#pragma once

#include <sys/prctl.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "front.h"
#include "net/one_shot.h"

namespace ebb {

// One core's share of the gateway.
struct Front::Worker {
  Worker(UniqueFd listening, const serving::GatewayParts& parts,
         const serving::GatewaySettings& settings)
      : executor("data-" + std::to_string(parts.counters.index)),
        max_body(settings.max_body),
        gateway(executor, parts, settings),
        server(executor, std::move(listening), gateway,
               serving::server_options(settings, parts.counters)) {}
  ~Worker() { executor.end_tasks(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before start(): the same by TLS.
  void add_https(UniqueFd listening, const serving::GatewayParts& parts,
                 const serving::GatewaySettings& settings, const net::TlsContexts& tls) {
    https = std::make_unique<http::Server>(executor, std::move(listening), gateway,
                                           serving::server_options(settings, parts.counters, &tls));
  }
  void start() {
    executor.post([this] {
      server.start();
      if (https) https->start();
    });
    thread = std::thread([this] {
      ::prctl(PR_SET_NAME, executor.name().c_str());
      executor.run();
    });
  }
  // Serves pods too, on a socket in their network.
  void serve_pods(const std::shared_ptr<UniqueFd>& listening) {  // shared: to fit into a function
    executor.post([this, listening] {
      http::ServerOptions options;
      options.http2 = true;
      options.max_body = max_body;
      pods = std::make_unique<http::Server>(executor, std::move(*listening), gateway.inside(),
                                            options);
      pods->start();
    });
  }
  // Accepts no more, from outside or of functions: another front does. `done` runs on its thread.
  void leave(bool inside, std::function<void()> done) {
    executor.post([this, inside, done = std::move(done)] {
      if (!inside) server.leave();
      if (!inside && https) https->leave();
      if (inside && pods) pods->leave();
      done();
    });
  }
  // Ends it when its requests are answered; `done` runs on its thread.
  void drain(TimePoint deadline, Duration tunnel_grace, std::function<void(size_t cut)> done) {
    executor.post([this, deadline, tunnel_grace, done = std::move(done)] {
      executor.spawn(drain_task(deadline, tunnel_grace, done));
    });
  }

  net::Executor executor;
  const uint64_t max_body;
  serving::Gateway gateway;
  http::Server server;
  std::unique_ptr<http::Server> https;  // the same gateway, by TLS
  std::unique_ptr<http::Server> pods;   // likewise, for functions
  std::thread thread;

 private:
  net::Task<void> drain_task(TimePoint deadline, Duration tunnel_grace,
                             std::function<void(size_t)> done) {
    // Neither accepts any more while the other one drains.
    auto shot = net::OneShot<size_t>::make(executor);
    if (https) executor.spawn(drain_https(deadline, tunnel_grace, shot.sender));
    size_t cut = co_await server.drain(deadline, tunnel_grace);
    if (https) {
      auto waiting = shot.receiver.wait(kNever);
      const auto more = co_await waiting;
      cut += more.value_or(0);
    }
    if (pods) {
      const size_t more = co_await pods->drain(deadline, tunnel_grace);
      cut += more;
    }
    done(cut);
  }
  net::Task<void> drain_https(TimePoint deadline, Duration tunnel_grace,
                              net::OneShot<size_t>::Sender sender) {
    const size_t cut = co_await https->drain(deadline, tunnel_grace);
    sender.set(size_t{cut});
  }
};

}  // namespace ebb
