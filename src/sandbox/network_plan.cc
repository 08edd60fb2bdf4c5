#include "sandbox/network_plan.h"

#include <algorithm>
#include <charconv>

#include "base/quote.h"

namespace ebb::sandbox {
namespace {

// Connections (and UDP flows) that one pod may have open to the outside: the table
// of them is shared by the whole machine.
constexpr int kMaxFlows = 1024;

// The bits behind the prefix.
uint32_t host_bits(const Ipv4Range& range) {
  return range.prefix == 0 ? UINT32_MAX : (uint32_t{1} << (32 - range.prefix)) - 1;
}

}  // namespace

std::string ipv4_to_string(uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff,
                     address & 0xff);
}

Result<Ipv4Range> Ipv4Range::parse(std::string_view text) {
  Ipv4Range range;
  const char* at = text.data();
  const char* end = at + text.size();
  const auto number = [&](char before, unsigned limit) -> std::optional<unsigned> {
    if (before != '\0') {
      if (at == end || *at != before) return std::nullopt;
      ++at;
    }
    unsigned value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc() || value > limit || next - at > 3) return std::nullopt;
    at = next;
    return value;
  };
  bool good = true;
  for (int i = 0; i < 4; ++i) {
    const auto byte = number(i == 0 ? '\0' : '.', 255);
    good = good && byte.has_value();
    range.first = range.first << 8 | byte.value_or(0);
  }
  const auto prefix = number('/', 32);
  range.prefix = static_cast<int>(prefix.value_or(32));
  if (!good || !prefix || at != end || (host_bits(range) & range.first) != 0) {
    return fail(Errc::kInvalid, "{} is not an IPv4 range such as 10.203.0.0/16", in_quotes(text));
  }
  return range;
}

std::string Ipv4Range::to_string() const {
  return fmt::format("{}/{}", ipv4_to_string(first), prefix);
}

uint32_t Ipv4Range::last() const { return first | host_bits(*this); }

bool Ipv4Range::overlaps(const Ipv4Range& other) const {
  return first <= other.last() && other.first <= last();
}

Result<Ipv4Range> choose_range(const std::vector<Ipv4Range>& pools, uint32_t slots, uint32_t seed,
                               const std::vector<Ipv4Range>& taken) {
  int prefix = 30;
  // The range's own first and last address stay unused, the node has the second.
  while (prefix > 8 && (uint64_t{1} << (32 - prefix)) < uint64_t{slots} + 3) --prefix;
  for (const auto& pool : pools) {
    if (pool.prefix > prefix) continue;
    const uint32_t count = uint32_t{1} << (prefix - pool.prefix);
    for (uint32_t i = 0; i < count; ++i) {
      const Ipv4Range range = {pool.first + ((seed + i) % count << (32 - prefix)), prefix};
      const bool free = std::none_of(taken.begin(), taken.end(),
                                     [&](const auto& other) { return range.overlaps(other); });
      if (free) return range;
    }
  }
  std::string names;
  for (const auto& pool : pools) names += (names.empty() ? "" : ", ") + pool.to_string();
  return fail(Errc::kExhausted,
              "no range of addresses for {} pods is free in {}: the machine has routes to all of "
              "them",
              slots, names);
}

NetworkNames::NetworkNames(std::string_view data_id)
    : table("ebb-" + std::string(data_id)),
      links(std::string(kAllLinks) + std::string(data_id.substr(0, 6)) + "-") {
  const std::string_view digits = data_id.substr(0, 6);
  std::from_chars(digits.begin(), digits.end(), number, 16);
  group = 0x6b000000U | number;
}

std::string ruleset(const NetworkNames& names, const Ipv4Range& range, bool only_pods,
                    const std::set<uint32_t>& closed) {
  std::string elements;
  for (const uint32_t address : closed) {
    elements += fmt::format("{}{}", elements.empty() ? "" : ", ", ipv4_to_string(address));
  }
  if (!elements.empty()) elements = fmt::format("elements = {{ {} }};", elements);
  // Addresses are judged before any other table rewrites them (raw), again where the
  // packet is delivered or forwarded.
  return fmt::format(R"(
add table inet {table}
delete table inet {table}
table inet {table} {{
  set {closed} {{ type ipv4_addr; {elements} }}
  set flows {{ type ipv4_addr; flags dynamic; size 65535; }}
  set refused {{
    type ipv4_addr; flags interval
    elements = {{ 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3,
                  100.100.100.200, 168.63.129.16, 192.0.0.192, {range} }}
  }}
  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmp type admin-prohibited
  }}
  chain services {{ }}
  chain delivered {{ }}
  chain redirected {{ }}
  chain arriving {{
    type filter hook prerouting priority raw - 10; policy accept
    iifname != "{links}*" goto from_elsewhere
    meta nfproto != ipv4 drop
    fib saddr . iif oif missing drop
    ip saddr != {range} drop
    ip saddr @{closed} goto refuse
    ip daddr {node} goto services
    ip daddr @refused goto refuse
    fib daddr type != unicast goto refuse
  }}
  chain from_elsewhere {{
    iifname "lo" return
    iifname "{all}*" fib saddr . iif oif exists ip daddr {range} goto refuse
    ip daddr {range} drop
    ip saddr {range} drop
  }}
  chain services_nat {{
    type nat hook prerouting priority dstnat - 10; policy accept
    iifname "{links}*" ip daddr {node} goto redirected
  }}
  chain to_node {{
    type filter hook input priority filter - 10; policy accept
    iifname != "{links}*" return
    ip saddr @{closed} goto refuse
    ip daddr {node} goto delivered
    goto refuse
  }}
  chain passing {{
    type filter hook forward priority filter - 10; policy accept
    iifname "{links}*" goto from_pod
    oifname "{links}*" goto to_pod
    {others}
  }}
  chain from_pod {{
    ip saddr @{closed} goto refuse
    ip daddr @refused goto refuse
    oifname "{all}*" goto refuse
    ct state invalid drop
    ct state new add @flows {{ ip saddr ct count over {flows} }} goto refuse
  }}
  chain to_pod {{
    ct state established,related accept
    drop
  }}
  chain from_node {{
    type filter hook output priority filter - 10; policy accept
    oifname "{links}*" ct state new drop
  }}
  chain outward {{
    type nat hook postrouting priority srcnat - 10; policy accept
    ip saddr {range} oifname != "{all}*" oifname != "lo" masquerade
  }}
}}
)",
                     fmt::arg("table", names.table), fmt::arg("closed", kClosedSet),
                     fmt::arg("elements", elements), fmt::arg("links", names.links),
                     fmt::arg("all", kAllLinks), fmt::arg("range", range.to_string()),
                     fmt::arg("node", ipv4_to_string(range.first + 1)),
                     fmt::arg("flows", kMaxFlows),
                     fmt::arg("others", only_pods ? fmt::format("iifname != \"{0}*\" oifname != "
                                                                "\"{0}*\" drop",
                                                                kAllLinks)
                                                  : ""));
}

std::string services_ruleset(const NetworkNames& names, const Ipv4Range& range,
                             const PodServices& services) {
  const std::string node = ipv4_to_string(range.first + 1);
  std::string text;
  for (const char* chain : {"services", "delivered", "redirected"}) {
    text += fmt::format("flush chain inet {} {}\n", names.table, chain);
  }
  const auto add = [&](const char* chain, const std::string& rule) {
    text += fmt::format("add rule inet {} {} {}\n", names.table, chain, rule);
  };
  const auto serve = [&](const char* protocol, uint16_t known, uint16_t port) {
    add("services", fmt::format("{} dport {} accept", protocol, known));
    add("redirected", fmt::format("{} dport {} dnat ip to {}:{}", protocol, known, node, port));
  };
  if (services.gateway != 0) {
    constexpr uint16_t kHttp = 80;
    serve("tcp", kHttp, services.gateway);
    if (services.public_gateway != 0 && services.public_gateway != kHttp) {
      serve("tcp", services.public_gateway, services.gateway);
    }
    add("delivered", fmt::format("tcp dport {} accept", services.gateway));
  }
  if (services.dns != 0) {
    constexpr uint16_t kDomain = 53;
    for (const char* protocol : {"udp", "tcp"}) {
      serve(protocol, kDomain, services.dns);
      add("delivered", fmt::format("{} dport {} accept", protocol, services.dns));
    }
  }
  add("services", "goto refuse");
  add("delivered", "goto refuse");
  return text;
}

std::string removal_ruleset(const NetworkNames& names) {
  return fmt::format("add table inet {0}\ndelete table inet {0}\n", names.table);
}

}  // namespace ebb::sandbox
