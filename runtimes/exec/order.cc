#include "order.h"

#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace ebb::exec {
namespace {

bool is_file(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool runs(const std::string& path) { return is_file(path) && ::access(path.c_str(), X_OK) == 0; }

// Empty if there is none.
std::string in_path(const std::string& name, const std::string& path) {
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find(':', at), path.size());
    const std::string candidate = path.substr(at, end - at) + "/" + name;
    if (candidate.front() == '/' && runs(candidate)) return candidate;
    at = end + 1;
  }
  return {};
}

std::string named(const std::string& name, const std::string& code, const std::string& path,
                  std::string& why) {
  std::string file = name;
  if (name.find('/') == std::string::npos) {
    if (runs(code + "/" + name)) return code + "/" + name;
    if (std::string found = in_path(name, path); !found.empty()) return found;
    file = code + "/" + name;
    if (!is_file(file)) {
      why = "the command " + name + " is neither in the code nor in " + path;
      return {};
    }
  } else if (!name.starts_with('/')) {
    file = code + "/" + name;
  }
  if (!is_file(file)) {
    why = "the command " + file + " does not exist in the pod";
  } else if (!runs(file)) {
    why = file + " is not executable: chmod +x it and deploy again";
  } else {
    return file;
  }
  return {};
}

}  // namespace

bool parse_order(std::string_view text, Order& out) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  const auto list = [&](const char* key, std::vector<std::string>& into) {
    const auto found = json.find(key);
    if (found == json.end()) return true;
    if (!found->is_array()) return false;
    for (const auto& item : *found) {
      if (!item.is_string()) return false;
      into.push_back(item);
    }
    return true;
  };
  if (!list("command", out.command) || !list("args", out.args)) return false;
  if (const auto env = json.find("env"); env != json.end()) {
    for (const auto& [name, value] : env->items()) {
      if (!value.is_string()) return false;
      out.env[name] = value;
    }
  }
  if (const auto port = json.find("port"); port != json.end()) {
    if (!port->is_number_unsigned() || *port == 0U || *port > 65535U) return false;
    out.port = *port;
  }
  if (const auto probe = json.find("probe"); probe != json.end()) {
    if (!probe->is_string()) return false;
    out.probe = *probe;
  }
  return true;
}

std::vector<std::string> find_program(const Order& order, const std::string& code,
                                      const std::string& path, std::string& why) {
  std::vector<std::string> line;
  if (!order.command.empty()) {
    const std::string program = named(order.command.front(), code, path, why);
    if (program.empty()) return {};
    line = order.command;
    line.front() = program;
  } else {
    for (const char* name : kPrograms) {
      const std::string candidate = code + "/" + name;
      if (!is_file(candidate)) continue;
      if (!runs(candidate)) {
        why = candidate + " is not executable: chmod +x it and deploy again";
        return {};
      }
      line = {candidate};
      break;
    }
    if (line.empty()) {
      why = "the code has no executable file run, main or server, and the container has no command";
      return {};
    }
  }
  line.insert(line.end(), order.args.begin(), order.args.end());
  return line;
}

}  // namespace ebb::exec
