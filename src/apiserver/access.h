// Who may use the API: everyone who has the token and speaks to it by a name of
// this machine. Thread-safe: it never changes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "net/address.h"

namespace ebb::apiserver {

class Access final {
 public:
  // `token` must not be empty. `listen` is where the API listens; `names` are
  // further hosts that clients may use.
  Access(std::string token, net::Address listen, std::vector<std::string> names);

  // True for "Authorization: Bearer TOKEN". The time does not depend on what of the
  // token is right.
  [[nodiscard]] bool has_token(const http::Fields& fields) const;

  // True for a loopback name or address, the listen address (any address, if it
  // listens on all), or one of the names. A web page that makes its own name point
  // here (DNS rebinding) is none of them.
  [[nodiscard]] bool is_our_host(std::string_view authority) const;

 private:
  std::string token_;
  net::Address listen_;
  std::vector<std::string> names_;
};

}  // namespace ebb::apiserver
