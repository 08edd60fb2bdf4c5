// Finds the addresses of a host by its name, as the system's resolver does.
//
// The resolver blocks, so it runs on a thread of its own; at the deadline the caller goes
// on without it. For rare look-ups: one thread each. The executor must outlive the
// threads' answers, as with every OneShot.
//
//   auto found = co_await net::resolve(executor, "prometheus.example.com", 9090, deadline);
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/address.h"
#include "net/executor.h"
#include "net/task.h"

namespace ebb::net {

// In the order in which they should be tried, never none. What is an address already is
// not looked up. kNotFound with the resolver's reason, kTimeout.
[[nodiscard]] Task<Result<std::vector<Address>>> resolve(Executor& executor, std::string host,
                                                         uint16_t port, TimePoint deadline);

}  // namespace ebb::net
