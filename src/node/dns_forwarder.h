// The pods' resolver: names of functions are the gateway's address, all others are
// asked of the machine's resolvers.
//
// Control executor only. Trusts neither side: bounded per pod and in all, a deadline on
// every question, each asked from a port of its own with a random id, and only the
// resolver's reply to that very question is taken. UDP, and TCP for what does not fit.
//
//   auto dns = DnsForwarder::open(executor, {.listen = "10.203.4.1", .domain = "localhost"});
//   ... (*dns)->port() ...
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/address.h"
#include "net/executor.h"

namespace ebb::node {

struct DnsOptions {
  std::string listen;  // IPv4 address; also what functions' names resolve to
  std::string domain;  // of functions: every name under it is one
  // Where the machine's resolvers are named; read again when it has changed.
  std::string resolv_conf = "/etc/resolv.conf";
  Duration try_timeout = std::chrono::milliseconds(1500);  // for each of 3 tries
  uint16_t resolver_port = 53;                             // another one for tests
};

class DnsForwarder final {
 public:
  // Listens on a free port, the same for UDP and TCP.
  [[nodiscard]] static Result<std::unique_ptr<DnsForwarder>> open(net::Executor& executor,
                                                                  DnsOptions options);
  ~DnsForwarder();  // when the executor has stopped
  DnsForwarder(const DnsForwarder&) = delete;
  DnsForwarder& operator=(const DnsForwarder&) = delete;

  [[nodiscard]] uint16_t port() const;
  [[nodiscard]] size_t in_flight() const;  // questions that wait for a resolver (UDP)

 private:
  struct State;  // shared with the TCP connections' coroutines
  explicit DnsForwarder(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

// The addresses in a resolv.conf, 3 at most, as the C library takes them.
[[nodiscard]] std::vector<std::string> parse_resolv_conf(std::string_view text);

}  // namespace ebb::node
