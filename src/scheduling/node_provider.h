// Where nodes come from: this machine, a fixed list, a provider program, Kubernetes.
//
// Nodes take seconds to minutes to come, so nothing here waits: `want` says how many
// there should be, `nodes` says what there is, and the callback says that it changed.
// A provider only ever adds on its own. Which node goes is the scheduler's choice: it
// drains one and then calls `release`. Used on one thread, callbacks included.
//
//   provider.on_change([&] { sync(provider.nodes()); });
//   if (auto ok = provider.want(3); !ok) report(ok.error());   // "this machine is ..."
//   ...
//   provider.release("node-2");                                // drained before
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ebb::scheduling {

struct NodeInfo {
  enum class Phase {
    kComing,   // asked for, not there yet
    kReady,    // can hold pods
    kLeaving,  // released, or lost: holds no pods any more
  };
  std::string name;
  int slots = 0;  // pods it can hold; 0 while not known
  Phase phase = Phase::kComing;
  friend bool operator==(const NodeInfo&, const NodeInfo&) = default;
};

class NodeProvider {
 public:
  virtual ~NodeProvider() = default;

  // How many nodes there should be, those on the way included. Returns at once and
  // replaces the last wish. Fewer than there are: no more come, and none leaves by
  // itself. kExhausted, with the reason, if so many can never be had; then as many as
  // possible are on the way. kInvalid below 0.
  [[nodiscard]] virtual Result<void> want(int nodes) = 0;

  // What there is, by name.
  [[nodiscard]] virtual std::vector<NodeInfo> nodes() const = 0;

  // Gives a node back that holds no pods, and lowers the wish by one, so that no other
  // comes in its place. kNotFound, or kInvalid for a node that cannot be given back.
  [[nodiscard]] virtual Result<void> release(std::string_view name) = 0;

  // Called after nodes() changed, never from inside a call of the provider. Replaces
  // the callback before; empty: none.
  virtual void on_change(std::function<void()> callback) = 0;
};

// Exactly one node: the machine that Ebb runs on. It is always ready, cannot grow and
// cannot be given back.
class ThisMachine final : public NodeProvider {
 public:
  ThisMachine(std::string name, int slots)
      : node_{.name = std::move(name), .slots = slots, .phase = NodeInfo::Phase::kReady} {}

  [[nodiscard]] Result<void> want(int nodes) override;
  [[nodiscard]] std::vector<NodeInfo> nodes() const override { return {node_}; }
  [[nodiscard]] Result<void> release(std::string_view name) override;
  void on_change(std::function<void()> /*callback*/) override {}  // nothing ever changes

 private:
  NodeInfo node_;
};

}  // namespace ebb::scheduling
