// A connection that a function has switched to another protocol, such as WebSocket.
#pragma once

#include "http/client_exchange.h"
#include "net/task.h"
#include "serving/forwarder.h"

namespace ebb::serving {

// Passes bytes both ways until both sides have ended. Neither the request's timeout nor the
// one for the first byte counts any more, only the idle one; the caller holds the slot all
// the while. When the pod drains, the connection may last for as long as a request might have.
// Notes in `record` how it went. True if the pod was the first to end it.
[[nodiscard]] net::Task<bool> pass_upgraded(http::TunnelEnd client, http::TunnelEnd pod_end,
                                            const QueueProxy& pod, const ForwardOptions& options,
                                            RequestRecord& record);

}  // namespace ebb::serving
