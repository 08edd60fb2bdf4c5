// What lies where in the data folder (`ebb up --data DIR`). docs/architecture.md
// has the same list.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"

namespace ebb::node {

struct DataFolder {
  std::string root;  // absolute

  [[nodiscard]] std::string store() const { return root + "/store"; }        // SQLite
  [[nodiscard]] std::string blobs() const { return root + "/blobs"; }        // code packages
  [[nodiscard]] std::string code() const { return root + "/code"; }          // unpacked, by hash
  [[nodiscard]] std::string logs() const { return root + "/logs"; }          // UID.log of revisions
  [[nodiscard]] std::string policies() const { return root + "/policies"; }  // NAME.lua
  [[nodiscard]] std::string run() const { return root + "/run"; }            // sockets
  [[nodiscard]] std::string pods() const { return root + "/run/pods"; }      // POD.sock
  [[nodiscard]] std::string controller_socket() const { return root + "/run/node.sock"; }
  // Locked by the Local Controller for as long as it lives; its pid is the content.
  [[nodiscard]] std::string controller_lock() const { return root + "/run/lock"; }
  [[nodiscard]] std::string kubeconfig() const { return root + "/kubeconfig"; }

  // Makes the folders; store, blobs, code and logs belong to `front`. As root.
  [[nodiscard]] Result<void> prepare(uid_t front) const;
  // A short name for this folder: the same path gives the same one. Names cgroups.
  [[nodiscard]] std::string id() const;
};

}  // namespace ebb::node
