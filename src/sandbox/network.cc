#include "sandbox/network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "sandbox/netlink.h"

namespace ebb::sandbox {
namespace {

constexpr const char* kForwarding = "/proc/sys/net/ipv4/ip_forward";
// Marks Ebb's routes among all others (/etc/iproute2/rt_protos leaves it free).
constexpr uint8_t kProtocol = 235;
constexpr uint32_t kNameMask = 0xfffff;  // 5 digits behind "ebbXXXXXX-", within IFNAMSIZ
constexpr int kLockTries = 100;          // 20 ms apart
constexpr unsigned kRulesSeconds = 10;   // for a ruleset to be in place
constexpr size_t kChangeBytes = 256;     // of a change's message, which are not read
constexpr int kChangesAtOnce = 64;
constexpr uint32_t kSmallestMtu = 1280;

struct Route {
  Ipv4Range to;
  uint32_t metric = 0;
  uint32_t out = 0;  // interface
  uint8_t type = 0;
  uint8_t protocol = 0;
};

struct Listing {
  std::vector<Route> routes;
  std::vector<Ipv4Range> addresses;
};

uint32_t word_at(const char* data, size_t bytes) {
  uint32_t value = 0;
  if (bytes == sizeof value) std::memcpy(&value, data, sizeof value);
  return value;
}

void add_route(void* context, const nlmsghdr& message) {
  if (message.nlmsg_type != RTM_NEWROUTE || message.nlmsg_len < NLMSG_LENGTH(sizeof(rtmsg))) return;
  rtmsg header;
  std::memcpy(&header, NLMSG_DATA(&message), sizeof header);
  Route route{.to = {.first = 0, .prefix = header.rtm_dst_len},
              .type = header.rtm_type,
              .protocol = header.rtm_protocol};
  const char* data = reinterpret_cast<const char*>(&message) + NLMSG_SPACE(sizeof(rtmsg));
  for_each_attribute(data, message.nlmsg_len - NLMSG_SPACE(sizeof(rtmsg)),
                     [&](uint16_t type, const char* value, size_t bytes) {
                       if (type == RTA_DST) route.to.first = ntohl(word_at(value, bytes));
                       if (type == RTA_PRIORITY) route.metric = word_at(value, bytes);
                       if (type == RTA_OIF) route.out = word_at(value, bytes);
                     });
  static_cast<Listing*>(context)->routes.push_back(route);
}

void add_address(void* context, const nlmsghdr& message) {
  if (message.nlmsg_type != RTM_NEWADDR || message.nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg))) {
    return;
  }
  ifaddrmsg header;
  std::memcpy(&header, NLMSG_DATA(&message), sizeof header);
  const char* data = reinterpret_cast<const char*>(&message) + NLMSG_SPACE(sizeof(ifaddrmsg));
  for_each_attribute(data, message.nlmsg_len - NLMSG_SPACE(sizeof(ifaddrmsg)),
                     [&](uint16_t type, const char* value, size_t bytes) {
                       if (type != IFA_LOCAL && type != IFA_ADDRESS) return;
                       static_cast<Listing*>(context)->addresses.push_back(
                           {.first = ntohl(word_at(value, bytes)), .prefix = 32});
                     });
}

Result<Listing> list(int fd) {
  Listing listing;
  int error = netlink_dump(fd, RTM_GETROUTE, AF_INET, add_route, &listing);
  if (error == 0) error = netlink_dump(fd, RTM_GETADDR, AF_INET, add_address, &listing);
  if (error != 0) return fail_errno(-error, "cannot read this machine's routes");
  return listing;
}

// The route that says that a range is an Ebb's: what no pod has goes nowhere.
int change_claim(int fd, const Ipv4Range& range, uint32_t metric, bool add) {
  NetlinkBatch batch;
  batch.begin(add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
  rtmsg header = {};
  header.rtm_family = AF_INET;
  header.rtm_dst_len = static_cast<uint8_t>(range.prefix);
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = kProtocol;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_BLACKHOLE;
  batch.put(header);
  batch.attribute(RTA_DST, htonl(range.first));
  batch.attribute(RTA_PRIORITY, metric);
  return netlink_transact(fd, batch);
}

// The node's address, on the loopback interface: no other interface has to be made.
int change_node_address(int fd, uint32_t address, bool add) {
  NetlinkBatch batch;
  batch.begin(add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_REPLACE : 0);
  ifaddrmsg header = {};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 32;
  header.ifa_scope = RT_SCOPE_HOST;
  header.ifa_index = ::if_nametoindex("lo");
  batch.put(header);
  batch.attribute(IFA_LOCAL, htonl(address));
  batch.attribute(IFA_ADDRESS, htonl(address));
  return netlink_transact(fd, batch);
}

int delete_group(int fd, uint32_t group) {
  NetlinkBatch batch;
  batch.begin(RTM_DELLINK, 0);
  batch.put(ifinfomsg{});
  batch.attribute(IFLA_GROUP, group);
  return netlink_transact(fd, batch);
}

// 0: cannot tell.
uint32_t mtu_of(uint32_t interface) {
  char name[IF_NAMESIZE] = {};
  if (interface == 0 || ::if_indextoname(interface, name) == nullptr) return 0;
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  std::memcpy(request.ifr_name, name, sizeof name);
  return ::ioctl(fd.get(), SIOCGIFMTU, &request) == 0 ? static_cast<uint32_t>(request.ifr_mtu) : 0;
}

// In a child of its own: runs nft's language and writes what is wrong to `out`.
[[noreturn]] void become_nft(const std::string& text, int out) {
  ::alarm(kRulesSeconds);
  const auto say = [out](std::string_view why) {
    static_cast<void>(!::write(out, why.data(), why.size()));
  };
  nft_ctx* context = nft_ctx_new(NFT_CTX_DEFAULT);
  nft_ctx_buffer_error(context);
  nft_ctx_buffer_output(context);
  const int result = nft_run_cmd_from_buffer(context, text.c_str());
  if (result != 0) say(nft_ctx_get_error_buffer(context));
  ::_exit(result == 0 ? 0 : 1);
}

// The library ends its process where the kernel refuses to talk, and takes memory that
// every zygote's fork would copy: it gets a process.
Result<void> run_rules(const std::string& text) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno(errno, "cannot make a pipe");
  const UniqueFd out(fds[0]);
  UniqueFd out_end(fds[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "cannot fork");
  if (pid == 0) become_nft(text, out_end.get());
  out_end.reset();
  std::string why;
  char buffer[512];
  for (ssize_t n = 0;
       why.size() < sizeof buffer && (n = ::read(out.get(), buffer, sizeof buffer)) > 0;) {
    why.append(buffer, static_cast<size_t>(n));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (const auto line = why.find('\n'); line != std::string::npos) why.resize(line);
  return fail(Errc::kUnavailable, "the kernel refuses the packet filter ({})",
              why.empty() ? "no word why" : why);
}

}  // namespace

std::vector<Ipv4Range> NetworkOptions::default_pools() {
  return {{.first = 0x0acb0000, .prefix = 16},   // 10.203.0.0
          {.first = 0xac1d0000, .prefix = 16},   // 172.29.0.0
          {.first = 0x64700000, .prefix = 12}};  // 100.112.0.0
}

Network::Network(NetworkOptions options) : options_(std::move(options)), names_(options_.data_id) {
  next_name_ = static_cast<uint32_t>(std::strtoul(random_hex(3).c_str(), nullptr, 16));
}

Result<std::unique_ptr<Network>> Network::open(NetworkOptions options) {
  std::unique_ptr<Network> network(new Network(std::move(options)));
  if (auto ready = network->set_up(); !ready) return fail(ready.error());
  return network;
}

void Network::clear(NetworkOptions options) {
  Network network(std::move(options));
  const int route = netlink_open(NETLINK_ROUTE);
  if (route >= 0) network.route_.reset(route);
}

Network::~Network() {
  if (route_) sweep();
}

Result<void> Network::set_up() {
  const auto denied = [](int error, const char* what) {
    return fail(Errc::kPermission,
                "{} ({}). Pods need CAP_NET_ADMIN in the machine's network namespace: run ebb as "
                "root, in a container with --cap-add NET_ADMIN (or --privileged)",
                what, std::strerror(error));
  };
  const int route = netlink_open(NETLINK_ROUTE);
  if (route < 0) return fail_errno(-route, "cannot open a netlink socket");
  route_.reset(route);
  const int filter = netlink_open(NETLINK_NETFILTER);
  if (filter < 0) {
    return fail(Errc::kUnavailable,
                "this kernel has no nf_tables ({}): load the module with modprobe nf_tables",
                std::strerror(-filter));
  }
  filter_.reset(filter);
  sweep();
  // One after the other: two that start at once must not choose the same range.
  const UniqueFd lock(::open((options_.run_folder + "/ebb-network.lock").c_str(),
                             O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  for (int i = 0; i < kLockTries && lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (auto claimed = claim_range(); !claimed) return claimed;
  const uint32_t node = range_.first + 1;
  if (const int error = change_node_address(route_.get(), node, true); error != 0) {
    return denied(-error, "cannot set an address of the pods' network");
  }
  if (auto forwarding = forward(); !forwarding) return forwarding;
  if (auto filtered = filter_packets(); !filtered) {
    return fail(Errc::kUnavailable,
                "{}. Ebb needs a kernel with nf_tables, NAT, fib, reject and connection limits "
                "(Debian's has them: modprobe nf_tables nft_chain_nat nft_fib_inet nft_reject_inet "
                "nft_connlimit)",
                filtered.error().message);
  }
  const int changes = netlink_open(NETLINK_NETFILTER);
  if (changes < 0) return fail_errno(-changes, "cannot watch the packet filter");
  changes_.reset(changes);
  const int group = NFNLGRP_NFTABLES;
  if (::fcntl(changes, F_SETFL, O_NONBLOCK) != 0 ||
      ::setsockopt(changes, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
    return fail_errno(errno, "cannot watch the packet filter");
  }
  return try_link();
}

Result<void> Network::filter_packets() {
  return run_rules(ruleset(names_, range_, only_pods_, closed_) +
                   services_ruleset(names_, range_, services_));
}

bool Network::table_is_there() {
  NetlinkBatch batch;
  batch.begin(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE), 0);
  batch.put(nfgenmsg{.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0, .res_id = 0});
  batch.attribute(NFTA_TABLE_NAME, names_.table.c_str());
  return netlink_transact(filter_.get(), batch) != -ENOENT;
}

bool Network::put_back() {
  // Whatever the changes were: only whether the table has gone matters.
  char buffer[kChangeBytes];
  for (int i = 0; i < kChangesAtOnce; ++i) {
    const ssize_t n = ::recv(changes_.get(), buffer, sizeof buffer, MSG_TRUNC);
    if (n < 0 && errno != ENOBUFS) break;
  }
  if (table_is_there()) return false;
  if (auto filtered = filter_packets(); !filtered) {
    // Better no network than one that reaches this machine.
    static_cast<void>(delete_group(route_.get(), names_.group));
    log::error("network",
               "the packet filter has gone and cannot be put back: functions that run are cut off "
               "their network; start ebb again. {}",
               filtered.error().message);
  }
  return true;
}

Result<void> Network::claim_range() {
  const auto listing = list(route_.get());
  if (!listing) return fail(listing.error());
  std::vector<Ipv4Range> taken = listing->addresses;
  const Route* uplink = nullptr;
  for (const auto& route : listing->routes) {
    if (route.to.prefix != 0) {
      taken.push_back(route.to);
    } else if (route.type == RTN_UNICAST && (!uplink || route.metric < uplink->metric)) {
      uplink = &route;
    }
  }
  if (uplink != nullptr) {
    if (const uint32_t mtu = mtu_of(uplink->out); mtu >= kSmallestMtu && mtu < mtu_) mtu_ = mtu;
  }
  auto range = choose_range(options_.pools, options_.slots, names_.number, taken);
  if (!range) return fail(range.error());
  if (const int error = change_claim(route_.get(), *range, names_.number, true); error != 0) {
    return fail(Errc::kPermission,
                "cannot set a route for the pods' network ({}): run ebb as root; in a container, "
                "with --cap-add NET_ADMIN (or --privileged)",
                std::strerror(-error));
  }
  range_ = *range;
  return {};
}

std::string Network::forwarding_note() const {
  // Every network namespace has its own setting.
  struct stat space = {};
  ::stat("/proc/self/ns/net", &space);
  return fmt::format("{}/ebb-forwarding-{}", options_.run_folder, space.st_ino);
}

Result<void> Network::forward() {
  const auto now = read_file(kForwarding, 16);
  if (!now) return fail(now.error());
  const bool ours = ::access(forwarding_note().c_str(), F_OK) == 0;
  only_pods_ = ours || now->starts_with('0');
  if (now->starts_with('1')) return {};
  if (auto noted = write_file_atomic(forwarding_note(), "0\n", 0600); !noted) return noted;
  const UniqueFd fd(::open(kForwarding, O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), "1", 1) != 1) {
    const int error = errno;
    ::unlink(forwarding_note().c_str());
    return fail(Errc::kPermission,
                "cannot switch on forwarding ({}): set it with sysctl net.ipv4.ip_forward=1 (for a "
                "container: where it is started, --sysctl net.ipv4.ip_forward=1)",
                std::strerror(error));
  }
  return {};
}

// Only the last Ebb on the machine switches it off again.
void Network::restore_forwarding() {
  if (::access(forwarding_note().c_str(), F_OK) != 0) return;
  const auto listing = list(route_.get());
  if (!listing) return;
  for (const auto& route : listing->routes) {
    if (route.protocol == kProtocol && route.type == RTN_BLACKHOLE) return;
  }
  const UniqueFd fd(::open(kForwarding, O_WRONLY | O_CLOEXEC));
  if (fd && ::write(fd.get(), "0", 1) == 1) ::unlink(forwarding_note().c_str());
}

// Makes and gives up a whole pod's link, so that a lack shows at the start.
Result<void> Network::try_link() {
  const EbbPodLink link = link_for(0);
  int go[2];
  if (::pipe2(go, O_CLOEXEC) != 0) return fail_errno(errno, "cannot make a pipe");
  const UniqueFd go_end(go[0]);
  UniqueFd go_pipe(go[1]);
  // The bare call: the child must not run the C library's fork code.
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0));
  if (pid < 0) return fail_errno(errno, "cannot make a network namespace");
  if (pid == 0) {
    char byte = 0;
    ::close(go_pipe.get());
    const bool told = ::read(go_end.get(), &byte, 1) == 1;
    ::syscall(SYS_exit_group, told ? -ebb_take_link(&link) : 0);
  }
  const int made = ebb_make_link(&link, pid);
  if (made == 0) static_cast<void>(!::write(go_pipe.get(), "g", 1));
  go_pipe.reset();
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  const int error = made != 0 ? -made : WEXITSTATUS(status);
  if (error == 0) return {};
  return fail(Errc::kUnavailable,
              "cannot connect a pod ({}): Ebb needs a kernel with veth (modprobe veth)",
              std::strerror(error));
}

// Also after a kill -9: everything is found by the data folder's id.
void Network::sweep() {
  const auto listing = list(route_.get());
  if (listing) {
    for (const auto& route : listing->routes) {
      // The first that is made and the last that goes: the rest needs it to be found.
      if (route.protocol != kProtocol || route.type != RTN_BLACKHOLE) continue;
      if (route.metric != names_.number) continue;
      static_cast<void>(run_rules(removal_ruleset(names_)));
      static_cast<void>(delete_group(route_.get(), names_.group));
      static_cast<void>(change_node_address(route_.get(), route.to.first + 1, false));
      static_cast<void>(change_claim(route_.get(), route.to, names_.number, false));
    }
  }
  restore_forwarding();
}

EbbPodLink Network::link_for(uint32_t slot) {
  EbbPodLink link = {};
  link.address = htonl(range_.first + 2 + slot);
  link.node_address = htonl(range_.first + 1);
  link.mtu = mtu_;
  link.group = names_.group;
  const std::string name =
      fmt::format("{}{:05x}", names_.links, next_name_++ & kNameMask).substr(0, kEbbLinkName - 1);
  std::memcpy(link.name, name.c_str(), name.size() + 1);
  return link;
}

std::string Network::node_address() const { return ipv4_to_string(range_.first + 1); }

Result<void> Network::serve(const PodServices& services) {
  if (auto set = run_rules(services_ruleset(names_, range_, services)); !set) return set;
  services_ = services;
  return {};
}

int Network::change_closed(uint32_t address, bool closed) {
  const auto frame = [](uint16_t subsystem) {
    return nfgenmsg{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(subsystem)};
  };
  NetlinkBatch batch;
  batch.begin_frame(NFNL_MSG_BATCH_BEGIN);
  batch.put(frame(NFNL_SUBSYS_NFTABLES));
  const int what = closed ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM;
  batch.begin(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | what), closed ? NLM_F_CREATE : 0);
  batch.put(nfgenmsg{.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0, .res_id = 0});
  batch.attribute(NFTA_SET_ELEM_LIST_TABLE, names_.table.c_str());
  batch.attribute(NFTA_SET_ELEM_LIST_SET, kClosedSet);
  const size_t elements = batch.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
  const size_t element = batch.nest(NFTA_LIST_ELEM);
  const size_t key = batch.nest(NFTA_SET_ELEM_KEY);
  batch.attribute(NFTA_DATA_VALUE, &address, sizeof address);
  batch.end_nest(key);
  batch.end_nest(element);
  batch.end_nest(elements);
  batch.begin_frame(NFNL_MSG_BATCH_END);
  batch.put(frame(NFNL_SUBSYS_NFTABLES));
  return netlink_transact(filter_.get(), batch);
}

Result<Network::Closed> Network::close(uint32_t slot) {
  const uint32_t address = htonl(range_.first + 2 + slot);
  if (const int error = change_closed(address, true); error != 0) {
    return fail_errno(-error, "cannot close the pod's network");
  }
  closed_.insert(ntohl(address));
  return Closed(*this, address);
}

Network::Closed::~Closed() {
  if (network_ == nullptr) return;
  network_->closed_.erase(ntohl(address_));
  if (const int error = network_->change_closed(address_, false); error != 0) {
    // Its slot's next pod is closed too: nothing is open that should not be.
    log::error("network", "cannot open {} again: {}", ipv4_to_string(ntohl(address_)),
               std::strerror(-error));
  }
}

}  // namespace ebb::sandbox
