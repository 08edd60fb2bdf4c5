// Finds the API server and the token that `ebb` talks to it with. Blocking.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/options.h"

namespace ebb::cli {

struct Connection {
  std::string server;  // URL
  std::string ca;      // PEM: see Kubeconfig
  std::string token;   // empty: none
  std::string ns;
};

// The server: --server, else of a kubeconfig: --kubeconfig, else of --data, else
// $KUBECONFIG, else of the default data folder. The token: --token, else of that
// kubeconfig. Whose certificate the server must have: --certificate-authority, else of that
// kubeconfig, if it is read at all. The namespace: --namespace, else of the kubeconfig, else
// "default".
[[nodiscard]] Result<Connection> find_connection(const ConnectionOptions& options);

}  // namespace ebb::cli
