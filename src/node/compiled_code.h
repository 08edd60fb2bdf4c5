// What pods have compiled of functions' code, for later pods of the same code and runtime:
// kept in memory, the oldest goes when there is too much.
//
// A pod hands it in before it runs that code (see PodProcess). What a pod could still forge
// would be for the very code that forges it: the key is its hash.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace ebb::node {

class CompiledCode final {
 public:
  static constexpr size_t kMostBytes = 32 << 20;
  static constexpr size_t kMostOfOne = 100 * 1024;  // it travels in a packet

  // nullptr if there is none. Valid until the next add().
  [[nodiscard]] const std::string* find(const std::string& runtime, const std::string& code) const {
    const auto found = kept_.find({runtime, code});
    return found == kept_.end() ? nullptr : &found->second;
  }
  // The first of a code stays. Nothing happens if it is empty or too large.
  void add(const std::string& runtime, const std::string& code, std::string_view compiled);
  // The runtime may be of another version now.
  void forget(const std::string& runtime);

 private:
  using Key = std::pair<std::string, std::string>;  // runtime, sha256 of the code
  std::map<Key, std::string> kept_;
  std::deque<Key> oldest_;  // first
  size_t bytes_ = 0;
};

}  // namespace ebb::node
