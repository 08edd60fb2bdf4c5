// Any bytes as manifests, and what was read of them applied to each other.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "api/json.h"
#include "cli/manifests.h"
#include "cli/three_way_merge.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ebb;
  cli::Manifests out;
  cli::read_manifests("f", {reinterpret_cast<const char*>(data), size}, out);
  for (const auto& error : out.errors) {
    if (!error.starts_with("f:")) std::abort();  // each says where
  }
  for (size_t i = 0; i + 1 < out.objects.size(); ++i) {
    const auto now = api::parse_json(out.objects[i].text);
    const auto before = api::parse_json(out.objects[i + 1].text);
    if (!now || !before) std::abort();
    const api::Json manifest = cli::with_last_applied(*now);
    api::Json current = cli::with_last_applied(*before);
    const auto patch = cli::three_way_merge_patch(manifest, current);
    if (!patch) continue;
    current.merge_patch(*patch);
    // Once it is applied nothing is left to do.
    const auto again = cli::three_way_merge_patch(manifest, current);
    if (!again || !again->empty()) std::abort();
  }
  return 0;
}
