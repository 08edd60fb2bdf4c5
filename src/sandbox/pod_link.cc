#include "sandbox/pod_link.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox/netlink.h"

namespace {

using ebb::sandbox::netlink_open;
using ebb::sandbox::netlink_transact;
using ebb::sandbox::NetlinkBatch;

constexpr const char* kPodEnd = "eth0";
// The same on both ends of every pair: with IFF_NOARP a frame is addressed to the
// sender's own address, so the other end takes it.
constexpr uint8_t kHardwareAddress[6] = {0x02, 0xeb, 0xb0, 0x00, 0x00, 0x01};
constexpr uint8_t kNoAutomaticAddress = 1;  // IN6_ADDR_GEN_MODE_NONE

int index_of(const char* name) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  struct ifreq request = {};
  strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
  const int result = ioctl(fd, SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : -errno;
  close(fd);
  return result;
}

ifinfomsg link_header(int index, unsigned flags) {
  ifinfomsg header = {};
  header.ifi_index = index;
  header.ifi_flags = flags;
  header.ifi_change = flags;
  return header;
}

void put_end(NetlinkBatch& batch, const EbbPodLink& link, const char* name) {
  batch.attribute(IFLA_IFNAME, name);
  batch.attribute(IFLA_ADDRESS, kHardwareAddress, sizeof kHardwareAddress);
  batch.attribute(IFLA_MTU, link.mtu);
  batch.attribute(IFLA_NUM_TX_QUEUES, 1U);
  batch.attribute(IFLA_NUM_RX_QUEUES, 1U);
}

// Keeps the kernel from giving it a link-local IPv6 address. A kernel without IPv6
// refuses, and has nothing to give.
void put_no_ipv6(NetlinkBatch& batch, int index, const char* name) {
  batch.begin(RTM_SETLINK, 0, NetlinkBatch::Failure::kIgnored);
  batch.put(link_header(index, 0));
  if (index == 0) batch.attribute(IFLA_IFNAME, name);
  const size_t spec = batch.nest(IFLA_AF_SPEC);
  const size_t inet6 = batch.nest(AF_INET6);
  batch.attribute8(IFLA_INET6_ADDR_GEN_MODE, kNoAutomaticAddress);
  batch.end_nest(inet6);
  batch.end_nest(spec);
}

void put_route(NetlinkBatch& batch, uint32_t to, uint32_t gateway, int index, uint16_t flags) {
  batch.begin(RTM_NEWROUTE, static_cast<uint16_t>(NLM_F_CREATE | flags));
  rtmsg header = {};
  header.rtm_family = AF_INET;
  header.rtm_dst_len = to == 0 ? 0 : 32;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = gateway == 0 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  batch.put(header);
  if (to != 0) batch.attribute(RTA_DST, to);
  if (gateway != 0) batch.attribute(RTA_GATEWAY, gateway);
  batch.attribute(RTA_OIF, static_cast<uint32_t>(index));
}

int make_pair(int fd, const EbbPodLink& link, int pid) {
  NetlinkBatch batch;
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  batch.put(link_header(0, IFF_NOARP));
  put_end(batch, link, link.name);
  batch.attribute(IFLA_GROUP, link.group);
  const size_t info = batch.nest(IFLA_LINKINFO);
  batch.attribute(IFLA_INFO_KIND, "veth");
  const size_t data = batch.nest(IFLA_INFO_DATA);
  const size_t peer = batch.nest(VETH_INFO_PEER);
  batch.put(link_header(0, IFF_NOARP));
  put_end(batch, link, kPodEnd);
  batch.attribute(IFLA_NET_NS_PID, static_cast<uint32_t>(pid));
  batch.end_nest(peer);
  batch.end_nest(data);
  batch.end_nest(info);
  put_no_ipv6(batch, 0, link.name);
  batch.begin(RTM_NEWLINK, 0);
  batch.put(link_header(0, IFF_UP));
  batch.attribute(IFLA_IFNAME, link.name);
  return netlink_transact(fd, batch);
}

int make_link(int fd, const EbbPodLink& link, int pid) {
  if (const int error = make_pair(fd, link, pid); error != 0) return error;
  const int index = index_of(link.name);
  if (index < 0) return index;
  NetlinkBatch batch;
  // Replaces: the link of the slot's last pod may not have been cleaned up yet.
  put_route(batch, link.address, 0, index, NLM_F_REPLACE);
  return netlink_transact(fd, batch);
}

int take_link(int fd, const EbbPodLink& link) {
  const int index = index_of(kPodEnd);
  if (index < 0) return index;
  NetlinkBatch batch;
  put_no_ipv6(batch, index, kPodEnd);
  batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  ifaddrmsg address = {};
  address.ifa_family = AF_INET;
  address.ifa_prefixlen = 32;
  address.ifa_index = static_cast<uint32_t>(index);
  batch.put(address);
  batch.attribute(IFA_LOCAL, link.address);
  batch.attribute(IFA_ADDRESS, link.address);
  batch.begin(RTM_NEWLINK, 0);
  batch.put(link_header(index, IFF_UP));
  put_route(batch, link.node_address, 0, index, NLM_F_EXCL);
  put_route(batch, 0, link.node_address, index, NLM_F_EXCL);
  return netlink_transact(fd, batch);
}

int with_socket(const EbbPodLink& link, int pid) {
  const int fd = netlink_open(NETLINK_ROUTE);
  if (fd < 0) return fd;
  const int error = pid > 0 ? make_link(fd, link, pid) : take_link(fd, link);
  close(fd);
  return error;
}

}  // namespace

int ebb_make_link(const EbbPodLink* link, int pid) { return with_socket(*link, pid); }

int ebb_take_link(const EbbPodLink* link) { return with_socket(*link, 0); }
