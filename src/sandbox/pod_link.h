// A pod's network: one veth pair, made by the zygote while the pod waits to be let
// go, and taken by the pod before it drops its rights.
//
// Point to point: both ends have the same hardware address and no ARP, the pod has a
// /32 address and its default route over the node's. Two pods share no link layer.
// No IPv6 beyond loopback.
//
// C-callable like enter.h: allocates nothing, throws nothing.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { kEbbLinkName = 16 };  // with its NUL (IFNAMSIZ)

struct EbbPodLink {
  uint32_t address;         // the pod's, in network order; 0: no network but loopback
  uint32_t node_address;    // gateway and resolver, in network order
  uint32_t mtu;             // bytes
  uint32_t group;           // marks all of a node's links, to sweep them at once
  char name[kEbbLinkName];  // of the node's end; the pod's is eth0
};

// In the zygote: makes the pair, with one end in the network namespace of `pid`, and
// the node's route to it. 0 or -errno; what was made goes away with the namespace.
int ebb_make_link(const struct EbbPodLink* link, int pid);

// In the pod: gives its end the address and the routes. 0 or -errno.
int ebb_take_link(const struct EbbPodLink* link);

#ifdef __cplusplus
}
#endif
