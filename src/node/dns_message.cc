#include "node/dns_message.h"

namespace ebb::node {
namespace {

constexpr size_t kMaxName = 255;  // bytes, as on the wire
constexpr size_t kMaxLabel = 63;
constexpr uint16_t kTypeA = 1;
constexpr uint16_t kTypeAny = 255;
constexpr uint16_t kClassInternet = 1;
constexpr uint32_t kTtl = 5;  // seconds; the address changes only with the node

// Bits of the two flag bytes.
constexpr unsigned kReply = 0x8000;
constexpr unsigned kOpcode = 0x7800;
constexpr unsigned kAuthoritative = 0x0400;
constexpr unsigned kTruncated = 0x0200;
constexpr unsigned kRecursionDesired = 0x0100;
constexpr unsigned kRecursionAvailable = 0x0080;

uint16_t u16_at(std::string_view packet, size_t at) {
  return static_cast<uint16_t>(static_cast<unsigned char>(packet[at]) << 8 |
                               static_cast<unsigned char>(packet[at + 1]));
}

void put_u16(std::string& out, unsigned value) {
  out.push_back(static_cast<char>(value >> 8 & 0xff));
  out.push_back(static_cast<char>(value & 0xff));
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The question behind the header; nullopt if it is malformed.
std::optional<DnsQuestion> read_question(std::string_view packet) {
  DnsQuestion question;
  question.id = u16_at(packet, 0);
  size_t at = kDnsHeader;
  for (;;) {
    if (at >= packet.size()) return std::nullopt;
    const auto length = static_cast<unsigned char>(packet[at]);
    // Longer ones are pointers, which a question has no use for.
    if (length > kMaxLabel || length >= packet.size() - at) return std::nullopt;
    question.name.push_back(packet[at]);
    for (size_t i = 1; i <= length; ++i) question.name.push_back(lower(packet[at + i]));
    if (question.name.size() > kMaxName) return std::nullopt;
    at += 1 + length;
    if (length == 0) break;
  }
  if (packet.size() - at < 4) return std::nullopt;
  question.type = u16_at(packet, at);
  question.klass = u16_at(packet, at + 2);
  question.end = at + 4;
  return question;
}

// A header that answers the one of `packet`.
std::string reply_header(std::string_view packet, unsigned flags, unsigned questions,
                         unsigned answers) {
  std::string out;
  put_u16(out, u16_at(packet, 0));
  put_u16(out, kReply | (u16_at(packet, 2) & (kOpcode | kRecursionDesired)) | kRecursionAvailable |
                   flags);
  put_u16(out, questions);
  put_u16(out, answers);
  put_u16(out, 0);
  put_u16(out, 0);
  return out;
}

}  // namespace

Result<DnsQuestion, std::optional<DnsCode>> parse_dns_query(std::string_view packet) {
  using Answer = std::optional<DnsCode>;
  if (packet.size() < kDnsHeader) return fail(Answer());
  const uint16_t flags = u16_at(packet, 2);
  if ((flags & kReply) != 0) return fail(Answer());
  if ((flags & kOpcode) != 0) return fail(Answer(DnsCode::kNotImplemented));
  if (u16_at(packet, 4) != 1) return fail(Answer(DnsCode::kFormat));
  auto question = read_question(packet);
  if (!question) return fail(Answer(DnsCode::kFormat));
  return std::move(*question);
}

bool is_dns_reply(std::string_view packet, const DnsQuestion& question, uint16_t id) {
  if (packet.size() < kDnsHeader || u16_at(packet, 0) != id) return false;
  if ((u16_at(packet, 2) & kReply) == 0) return false;
  // A server that cannot even read the question may leave it out.
  if (u16_at(packet, 4) == 0) return packet.size() == kDnsHeader;
  const auto same = read_question(packet);
  return u16_at(packet, 4) == 1 && same && same->name == question.name &&
         same->type == question.type && same->klass == question.klass;
}

std::optional<std::string> dns_wire_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  std::string out;
  while (!text.empty()) {
    const auto dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    if (label.empty() || label.size() > kMaxLabel) return std::nullopt;
    out.push_back(static_cast<char>(label.size()));
    for (const char c : label) out.push_back(lower(c));
    text = dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
  }
  out.push_back('\0');
  if (out.size() == 1 || out.size() > kMaxName) return std::nullopt;
  return out;
}

bool is_under(std::string_view name, std::string_view domain) {
  for (size_t at = 0; at < name.size() && name[at] != '\0';) {
    at += 1 + static_cast<unsigned char>(name[at]);
    if (at < name.size() && name.substr(at) == domain) return true;
  }
  return false;
}

std::string dns_answer(std::string_view packet, const DnsQuestion& question, uint32_t address) {
  const bool has =
      question.klass == kClassInternet && (question.type == kTypeA || question.type == kTypeAny);
  std::string out = reply_header(packet, kAuthoritative, 1, has ? 1 : 0);
  out.append(packet.substr(kDnsHeader, question.end - kDnsHeader));
  if (!has) return out;
  put_u16(out, 0xc000 | kDnsHeader);  // the question's name
  put_u16(out, kTypeA);
  put_u16(out, kClassInternet);
  put_u16(out, kTtl >> 16);
  put_u16(out, kTtl & 0xffff);
  put_u16(out, sizeof address);
  put_u16(out, address >> 16);
  put_u16(out, address & 0xffff);
  return out;
}

std::string dns_failure(std::string_view packet, DnsCode code) {
  const auto question = u16_at(packet, 4) == 1 ? read_question(packet) : std::nullopt;
  std::string out = reply_header(packet, static_cast<unsigned>(code), question ? 1 : 0, 0);
  if (question) out.append(packet.substr(kDnsHeader, question->end - kDnsHeader));
  return out;
}

std::string dns_truncated(std::string_view packet, const DnsQuestion& question) {
  std::string out = reply_header(packet, kTruncated, 1, 0);
  out.append(packet.substr(kDnsHeader, question.end - kDnsHeader));
  return out;
}

uint16_t dns_id(std::string_view packet) { return u16_at(packet, 0); }

void set_dns_id(std::string& packet, uint16_t id) {
  packet[0] = static_cast<char>(id >> 8);
  packet[1] = static_cast<char>(id & 0xff);
}

}  // namespace ebb::node
