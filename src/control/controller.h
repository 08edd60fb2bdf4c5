// A queue of objects to be looked at, and the loop that looks at them: what makes a
// reconciler out of one function from a key to an outcome.
//
// Level-triggered: a key stands for "look again", however many changes there were. One
// key never runs twice at the same time; a change during its run makes it run once
// more. Failures are retried with a growing delay, conflicts a few times at once. The
// bound of the queue is the number of objects.
//
// Used on one executor. May be destroyed while reconciles are under way: they go on to
// their end, unless the executor ends them, and nothing runs after them. What the
// function uses must therefore outlive the executor's run.
//
//   Controller routes(executor, "routes", [this](ObjectKey key) { return reconcile(key); });
//   routes.add({"default", "hello"});
//   routes.start();
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "net/executor.h"
#include "net/task.h"
#include "resources/resource_client.h"

namespace ebb::control {

struct ControllerOptions {
  Duration first_retry = std::chrono::milliseconds(50);  // doubles with every failure of a key
  Duration last_retry = std::chrono::seconds(30);
  int conflicts_at_once = 4;  // in a row, before they count as failures
  size_t parallel = 16;       // reconciles under way, of different keys
};

class Controller final {
 public:
  // Not a coroutine itself; returns one. Errors, thrown ones too, are logged.
  using Reconcile = std::function<net::Task<Result<void>>(resources::ObjectKey)>;

  Controller(net::Executor& executor, std::string name, Reconcile reconcile,
             ControllerOptions options = {});
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Until then keys only collect.
  void start();

  // Looks at `key` soon, never before this call returns.
  void add(const resources::ObjectKey& key);
  // Looks at `key` after `delay`. Of several wishes for a key, retries among them, the
  // earliest counts: whoever still needs a later run then asks again.
  void add_after(const resources::ObjectKey& key, Duration delay);

  // Nothing waits to run or runs (delayed keys apart).
  [[nodiscard]] bool idle() const;
  // Called whenever it has become idle.
  void on_idle(std::function<void()> callback);

 private:
  struct State;
  static net::Task<void> run(std::shared_ptr<State> state, resources::ObjectKey key);
  static net::Task<Result<void>> attempt(std::shared_ptr<State> state, resources::ObjectKey key);

  std::shared_ptr<State> state_;  // shared with the reconciles under way
};

}  // namespace ebb::control
