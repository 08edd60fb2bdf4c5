#include "scheduling/node_provider.h"

namespace ebb::scheduling {

Result<void> ThisMachine::want(int nodes) {
  if (nodes < 0) return fail(Errc::kInvalid, "{} nodes cannot be wanted", nodes);
  if (nodes > 1) {
    return fail(Errc::kExhausted,
                "{} nodes are wanted, but this machine ({}) is the only one and cannot grow", nodes,
                node_.name);
  }
  return {};
}

Result<void> ThisMachine::release(std::string_view name) {
  if (name != node_.name) return fail(Errc::kNotFound, "node {} is not known", name);
  return fail(Errc::kInvalid, "node {} is this machine and cannot be given back", name);
}

}  // namespace ebb::scheduling
