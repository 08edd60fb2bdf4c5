// As much of DNS (RFC 1035) as a forwarder needs: what is asked, answers of its own,
// whether a reply belongs to a question. Pure; packets come from pods and from the
// network.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ebb::node {

inline constexpr size_t kDnsHeader = 12;  // bytes

enum class DnsCode : uint8_t { kOk = 0, kFormat = 1, kServerFailure = 2, kNotImplemented = 4 };

struct DnsQuestion {
  uint16_t id = 0;
  std::string name;  // as on the wire (length, label, ..., 0), letters in lower case
  uint16_t type = 0;
  uint16_t klass = 0;
  size_t end = 0;  // behind the question, in the packet
};

// The question of a standard query with exactly one. Otherwise what to answer;
// nullopt: nothing (a reply, or less than a header).
[[nodiscard]] Result<DnsQuestion, std::optional<DnsCode>> parse_dns_query(std::string_view packet);

// True for a reply to `question` that was asked with `id`.
[[nodiscard]] bool is_dns_reply(std::string_view packet, const DnsQuestion& question, uint16_t id);

// "hello.default.localhost" as on the wire; nullopt for what is no name.
[[nodiscard]] std::optional<std::string> dns_wire_name(std::string_view text);
// True for names with at least one label before `domain`; both as on the wire.
[[nodiscard]] bool is_under(std::string_view name, std::string_view domain);

// The answer to `packet`, whose question is `question`: an IPv4 address (host byte
// order), and no others.
[[nodiscard]] std::string dns_answer(std::string_view packet, const DnsQuestion& question,
                                     uint32_t address);
// An answer that only says how it went. `packet` has at least a header.
[[nodiscard]] std::string dns_failure(std::string_view packet, DnsCode code);
// A reply that did not fit: its question, and that the rest is to be asked by TCP.
[[nodiscard]] std::string dns_truncated(std::string_view packet, const DnsQuestion& question);

[[nodiscard]] uint16_t dns_id(std::string_view packet);  // at least a header
void set_dns_id(std::string& packet, uint16_t id);

}  // namespace ebb::node
