// The file that says where the API is and who asks: the part of kubectl's kubeconfig
// that Ebb needs. `ebb up` writes one; `ebb` and `kubectl` read it. Blocking.
#pragma once

#include <string>

#include "base/result.h"

namespace ebb::cli {

inline constexpr const char* kDefaultDataDir = "/var/lib/ebb";

struct Kubeconfig {
  std::string server;  // "https://127.0.0.1:8081"
  std::string ca;      // PEM certificates that the server's may be signed by; empty: the machine's
  std::string token;   // bearer token; empty: none
  std::string ns = "default";
  friend bool operator==(const Kubeconfig&, const Kubeconfig&) = default;
};

// Where `ebb up` with this data folder keeps it.
[[nodiscard]] std::string kubeconfig_path(const std::string& data_dir);

// One cluster, user and context named "ebb". Mode 0600; replaces the file at once.
[[nodiscard]] Result<void> write_kubeconfig(const std::string& path, const Kubeconfig& config);

// What the file's current-context names. kNotFound if there is no such file,
// kPermission, or kInvalid with what is wrong in it.
[[nodiscard]] Result<Kubeconfig> read_kubeconfig(const std::string& path);

}  // namespace ebb::cli
