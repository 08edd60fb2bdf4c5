#include "node/compiled_code.h"

#include <algorithm>

namespace ebb::node {

void CompiledCode::add(const std::string& runtime, const std::string& code,
                       std::string_view compiled) {
  if (compiled.empty() || compiled.size() > kMostOfOne) return;
  Key key{runtime, code};
  const auto [place, first] = kept_.try_emplace(key, compiled);
  if (!first) return;
  bytes_ += place->second.size();
  oldest_.push_back(std::move(key));
  while (bytes_ > kMostBytes) {
    const auto gone = kept_.find(oldest_.front());
    oldest_.pop_front();
    bytes_ -= gone->second.size();
    kept_.erase(gone);
  }
}

void CompiledCode::forget(const std::string& runtime) {
  std::erase_if(oldest_, [&](const Key& key) { return key.first == runtime; });
  std::erase_if(kept_, [&](const auto& entry) {
    if (entry.first.first != runtime) return false;
    bytes_ -= entry.second.size();
    return true;
  });
}

}  // namespace ebb::node
