// Any packet is refused or understood, and every answer to it is a reply to it.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "node/dns_message.h"

using namespace ebb::node;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  const auto question = parse_dns_query(packet);
  if (!question) {
    if (!question.error()) return 0;
    if (dns_failure(packet, *question.error()).size() < kDnsHeader) std::abort();
    return 0;
  }
  if (question->end > size || question->name.size() > 255) std::abort();
  static const std::string domain = *dns_wire_name("default.localhost");
  static_cast<void>(is_under(question->name, domain));
  for (const std::string& answer :
       {dns_answer(packet, *question, 0x0acb0001), dns_failure(packet, DnsCode::kServerFailure),
        dns_truncated(packet, *question)}) {
    if (!is_dns_reply(answer, *question, question->id)) std::abort();
  }
  return 0;
}
