#include "net/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "net/one_shot.h"

namespace ebb::net {
namespace {

using Found = Result<std::vector<Address>>;

constexpr size_t kMaxAddresses = 8;
// At a time, those that nobody waits for any more included: the system may take half a
// minute for a name whose servers are silent.
constexpr int kMaxLookUps = 64;
std::atomic<int> look_ups = 0;

bool is_numeric(const std::string& host) {
  in6_addr raw{};  // large enough for both families
  return ::inet_pton(AF_INET, host.c_str(), &raw) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &raw) == 1;
}

// Blocks, for as long as the system's settings say.
Found look_up(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  if (const int err = ::getaddrinfo(host.c_str(), nullptr, &hints, &list); err != 0) {
    return fail(Errc::kNotFound, "cannot find the host {}: {}", host, ::gai_strerror(err));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, &::freeaddrinfo);
  std::vector<Address> out;
  for (const addrinfo* one = list; one != nullptr && out.size() < kMaxAddresses;
       one = one->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(one->ai_addr, one->ai_addrlen, text.data(), text.size(), nullptr, 0,
                      NI_NUMERICHOST) == 0) {
      out.push_back({.kind = Address::Kind::kIp, .host = text.data(), .port = port});
    }
  }
  if (out.empty()) return fail(Errc::kNotFound, "the host {} has no address", host);
  return out;
}

// One that nobody waits for any more ends by itself: its answer is refused.
struct LookUp {
  LookUp() = default;
  LookUp(const LookUp&) = delete;
  LookUp& operator=(const LookUp&) = delete;
  ~LookUp() {
    if (thread.joinable()) thread.detach();
  }
  std::thread thread;
};

}  // namespace

Task<Found> resolve(Executor& executor, std::string host, uint16_t port, TimePoint deadline) {
  if (host == "localhost") host = "127.0.0.1";
  if (is_numeric(host)) {
    std::vector<Address> one;
    one.push_back({.kind = Address::Kind::kIp, .host = host, .port = port});
    co_return one;
  }
  auto shot = OneShot<Found>::make(executor);
  LookUp look_up_thread;
  if (look_ups.fetch_add(1) >= kMaxLookUps) {
    --look_ups;
    co_return fail(Errc::kExhausted, "cannot look up {}: {} others take their time", host,
                   kMaxLookUps);
  }
  try {
    look_up_thread.thread = std::thread([sender = shot.sender, host, port]() mutable {
      auto found = look_up(host, port);
      --look_ups;
      sender.set(std::move(found));
    });
  } catch (const std::system_error&) {
    --look_ups;
    co_return fail(Errc::kExhausted, "cannot look up {}: no thread for it", host);
  }
  auto waiting = shot.receiver.wait(deadline);
  auto found = co_await waiting;
  if (!found) co_return fail(Errc::kTimeout, "the host {} was not found in time", host);
  // It has answered, but may still be waking the executor, which may end next.
  look_up_thread.thread.join();
  co_return std::move(*found);
}

}  // namespace ebb::net
