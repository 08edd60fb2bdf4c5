// What the Local Controller tells the shim to run ("L" + JSON on the control socket),
// and which program that means.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::exec {

inline constexpr const char* kCode = "/code";
// Tried in this order when the container names no command.
inline constexpr const char* kPrograms[] = {"run", "main", "server"};

struct Order {
  std::vector<std::string> command;  // the container's; may be empty
  std::vector<std::string> args;
  std::map<std::string, std::string> env;
  uint16_t port = 8080;
  std::string probe;  // path of an HTTP readiness probe; empty: connecting is enough
};

// False if it is not to be understood.
bool parse_order(std::string_view json, Order& out);

// The whole command line, its first word an absolute path. On failure empty, with the
// reason in `why`. `code` is /code but in tests.
std::vector<std::string> find_program(const Order& order, const std::string& code,
                                      const std::string& path, std::string& why);

}  // namespace ebb::exec
