// What a front that hands over tells the one that takes over: how many requests it still has
// in which pods, until it has none and ends.
//
//   BusyPods busy{{"python-0123abcd", 2}};
//   send_busy_pods(socket, busy);                    // the one that leaves
//   ...
//   PredecessorPods pods(executor, std::move(socket), [&] { use(pods.busy()); });  // the next
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "net/executor.h"
#include "net/fd_watch.h"

namespace ebb::node {

using BusyPods = std::map<std::string, int>;  // requests by pod

// Lines "POD REQUESTS".
[[nodiscard]] std::string to_text(const BusyPods& busy);
[[nodiscard]] Result<BusyPods> parse_busy_pods(std::string_view text);

// All of it, in one packet. kExhausted while the other side does not read.
[[nodiscard]] Result<void> send_busy_pods(int socket, const BusyPods& busy);

// The pods of one predecessor. On the executor's thread.
class PredecessorPods final {
 public:
  // Reads what has been told already. `changed` is called when more was told, last when
  // the predecessor has ended.
  PredecessorPods(net::Executor& executor, UniqueFd socket, std::function<void()> changed);

  [[nodiscard]] const BusyPods& busy() const { return busy_; }
  [[nodiscard]] bool ended() const { return !watch_; }

 private:
  bool read();  // false: there was nothing

  net::Executor& executor_;
  UniqueFd socket_;
  std::function<void()> changed_;
  BusyPods busy_;
  std::unique_ptr<net::FdWatch> watch_;
};

}  // namespace ebb::node
