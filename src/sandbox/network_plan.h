// What a node's pod network is: its addresses, names and packet filter. Pure; network.h
// puts it into the kernel.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ebb::sandbox {

// An IPv4 range, host byte order. A value.
struct Ipv4Range {
  uint32_t first = 0;
  int prefix = 32;  // bits

  // "10.203.0.0/16"; kInvalid for anything else, also for set bits behind the prefix.
  [[nodiscard]] static Result<Ipv4Range> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] uint32_t last() const;
  [[nodiscard]] bool overlaps(const Ipv4Range& other) const;
  friend bool operator==(const Ipv4Range&, const Ipv4Range&) = default;
};

[[nodiscard]] std::string ipv4_to_string(uint32_t address);  // host byte order

// The smallest range that holds `slots` pods and the node's address, taken from
// `pools` (in order) so that it overlaps nothing in `taken`. `seed` decides where the
// search begins: the same one finds the same range again. kExhausted if none is free.
[[nodiscard]] Result<Ipv4Range> choose_range(const std::vector<Ipv4Range>& pools, uint32_t slots,
                                             uint32_t seed, const std::vector<Ipv4Range>& taken);

// Where pods reach what the node serves for them. 0: nothing there.
struct PodServices {
  uint16_t gateway = 0;         // the gateway's TCP port on the node's address
  uint16_t public_gateway = 0;  // the port that users know; 80 leads there too
  uint16_t dns = 0;             // UDP and TCP port of the resolver; pods know it as 53
  friend bool operator==(const PodServices&, const PodServices&) = default;
};

// All names that a node's network has in the kernel come from its data folder's id.
struct NetworkNames {
  explicit NetworkNames(std::string_view data_id);  // 12 hex digits

  std::string table;    // nftables, family inet
  std::string links;    // what its interfaces' names begin with
  uint32_t number = 0;  // 24 bits: metric of its route, search's seed
  uint32_t group = 0;   // of its interfaces
};
// What the interfaces of every Ebb on the machine begin with.
inline constexpr std::string_view kAllLinks = "ebb";

// The whole packet filter as nft's language: replaces the table. `only_pods` drops
// what is forwarded for anybody else, for a machine that did not forward before.
// `closed` are the addresses of pods without network.
[[nodiscard]] std::string ruleset(const NetworkNames& names, const Ipv4Range& range, bool only_pods,
                                  const std::set<uint32_t>& closed);
// Fills the part that depends on the services, in one transaction.
[[nodiscard]] std::string services_ruleset(const NetworkNames& names, const Ipv4Range& range,
                                           const PodServices& services);
[[nodiscard]] std::string removal_ruleset(const NetworkNames& names);

// The set of pods without network, in the table.
inline constexpr const char* kClosedSet = "closed";

}  // namespace ebb::sandbox
