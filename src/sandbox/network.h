// The pods' network of one node: a range of addresses, the packet filter, NAT.
//
// The node has the range's second address (on "lo"); a pod gets the next ones by its
// slot. A pod reaches the outside and what the node serves for pods (PodServices),
// nothing else: docs/security.md lists what is refused. All of it is named after the
// data folder, removed at the end, and swept at the next start.
//
// Belongs to the Local Controller's only thread. As root.
//
//   auto network = Network::open({.data_id = data.id(), .slots = 1000});
//   const EbbPodLink link = (*network)->link_for(slot);      // for the zygote
//   auto closed = (*network)->close(slot);                   // a pod without network
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/network_plan.h"
#include "sandbox/pod_link.h"

namespace ebb::sandbox {

struct NetworkOptions {
  std::string data_id;  // 12 hex digits
  uint32_t slots = 0;
  // Where the range is taken from. 10.203.0.0/16 and others that are rarely used.
  std::vector<Ipv4Range> pools = default_pools();
  // Folder of the note about what the kernel's forwarding was before; it must not
  // outlive a boot.
  std::string run_folder = "/run";

  static std::vector<Ipv4Range> default_pools();
};

class Network final {
 public:
  // Sweeps what an earlier run left and sets everything up, with links that can be
  // made at once. kPermission or kUnavailable with what is missing and how to get it;
  // nothing is left then.
  [[nodiscard]] static Result<std::unique_ptr<Network>> open(NetworkOptions options);
  // Sweeps what an earlier run left, for one that wants no network.
  static void clear(NetworkOptions options);
  ~Network();  // takes it all away
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // What a zygote needs to connect the pod of `slot`. A new name each time: the
  // kernel takes a while to remove the one before.
  [[nodiscard]] EbbPodLink link_for(uint32_t slot);

  // A pod that reaches nothing, for as long as this lives.
  class Closed final {
   public:
    Closed(Network& network, uint32_t address) : network_(&network), address_(address) {}
    Closed(Closed&& other) noexcept : network_(other.network_), address_(other.address_) {
      other.network_ = nullptr;
    }
    Closed& operator=(Closed&&) = delete;
    ~Closed();

   private:
    Network* network_;
    uint32_t address_;
  };
  // One transaction of the packet filter, about 50 us.
  [[nodiscard]] Result<Closed> close(uint32_t slot);

  // Lets pods reach these from now on, instead of those before.
  [[nodiscard]] Result<void> serve(const PodServices& services);

  // Readable when a packet filter of this machine has changed: then call put_back().
  [[nodiscard]] int watch_fd() const { return changes_.get(); }
  // Puts our table back if somebody has flushed all of them (a restart of the machine's
  // firewall does). True if it had gone.
  bool put_back();

  [[nodiscard]] std::string node_address() const;
  [[nodiscard]] const Ipv4Range& range() const { return range_; }

 private:
  explicit Network(NetworkOptions options);
  Result<void> set_up();
  Result<void> claim_range();
  Result<void> forward();
  Result<void> try_link();
  void sweep();
  void restore_forwarding();
  int change_closed(uint32_t address, bool closed);
  Result<void> filter_packets();
  [[nodiscard]] bool table_is_there();
  [[nodiscard]] std::string forwarding_note() const;

  NetworkOptions options_;
  NetworkNames names_;
  UniqueFd route_;  // netlink sockets
  UniqueFd filter_;
  UniqueFd changes_;
  Ipv4Range range_;
  uint32_t mtu_ = 1500;
  uint32_t next_name_ = 0;
  bool only_pods_ = false;  // the machine did not forward before
  PodServices services_;
  std::set<uint32_t> closed_;  // addresses in host byte order
};

}  // namespace ebb::sandbox
