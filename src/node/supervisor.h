// The process that `ebb up` begins as: root, one thread, reads nothing from anybody.
// It starts the Local Controller and the front, and starts again whichever dies.
//
// The listening sockets are opened before and stay open here, so that no connection
// is refused while a front starts again. A Local Controller that still lives from an
// earlier run is taken over with its pods; if this process is killed, its front dies
// with it (parent-death signal) and the next `ebb up` does just that. So does another version
// of the program that it becomes on SIGUSR2.
//
//   node::Supervisor supervisor({.controller = ..., .front = run_front});
//   return supervisor.run();
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "node/local_controller.h"

namespace ebb::node {

// What a front and its supervisor say to each other, one packet each, on a socket
// that only these two have.
inline constexpr std::string_view kFrontOpen = "open";          // front: serves
inline constexpr std::string_view kFrontDraining = "draining";  // front: accepts no more
inline constexpr std::string_view kControllerHung = "hung";     // front: end and replace it
// To the front: leave everything but what is in flight to another one.
inline constexpr std::string_view kHandOver = "hand over";
// Front: the sockets that it listens on in the pods' network, for the next one; then those
// that did not fit into the packet.
inline constexpr std::string_view kFrontSockets = "sockets";
inline constexpr std::string_view kFrontMoreSockets = "more sockets";
// Front: it cannot hand over, and goes on.
inline constexpr std::string_view kFrontStays = "stays";
// Front: it has let go, and ends when its requests are answered; with it, the socket on which
// it tells the next one of them (node/busy_pods.h).
inline constexpr std::string_view kFrontLeaves = "leaves";
// To the front; with it, as a file in memory, what is new (at most so many bytes).
inline constexpr std::string_view kReload = "reload";
inline constexpr size_t kMaxReload = 8 << 20;

// A front that answers what it had in flight when it handed over.
struct LeavingFront {
  pid_t pid = -1;
  UniqueFd busy;  // for the next one
  // The supervisor's own:
  UniqueFd pidfd = {};
  TimePoint until{};  // then it is ended
};

struct SupervisorOptions {
  ControllerOptions controller;
  // The front's whole life, in a process of its own that still has root's rights,
  // and SIGINT and SIGTERM blocked. `supervisor` is its end of the socket, `busy` those of
  // the fronts that are leaving. Returns the exit code.
  std::function<int(UniqueFd supervisor, std::vector<UniqueFd> busy)> front;
  // The front listens there in the pods' network, and nowhere else if these are not `more`.
  std::function<void(std::vector<UniqueFd> sockets, bool more)> keep;
  // The front accepts no more: close what was opened for it, else connections would
  // wait in vain.
  std::function<void()> draining;
  // On SIGHUP: the text for kReload, or nullopt if it is not to be told (the callback
  // has said why). At most kMaxReload bytes. There may be no front: the next one is to know.
  std::function<std::optional<std::string>()> reload;
  // On SIGUSR2, first: whether there is another version to become, and its name. Then, once
  // the front has let go: becomes it, and returns only if that failed.
  std::function<Result<std::string>()> check_upgrade;
  std::function<Error(const std::vector<LeavingFront>& leaving)> upgrade;
  // We are that other version: a front has served, and must again.
  bool has_served = false;
  std::vector<LeavingFront> leaving;  // our children
};

class Supervisor final {
 public:
  explicit Supervisor(SupervisorOptions options);
  // Those that run() reads wait for it from here on.
  static void block_signals();

  // Until SIGINT, SIGTERM or the front's own end; or until the first start fails.
  // The front's exit code. Call with one thread only.
  [[nodiscard]] int run();

 private:
  // A child that is started again when it dies, at once at first, then with a pause.
  struct Child {
    pid_t pid = -1;
    UniqueFd pidfd;     // readable when it has ended
    bool ours = false;  // to be waited for
    int quick_ends = 0;
    TimePoint started{};
    TimePoint again{};  // not before
  };

  [[nodiscard]] Result<void> start_controller();
  [[nodiscard]] Result<void> start_front();
  void wait_for_something();
  void on_signal();
  void reload();
  void begin_upgrade();
  void on_front_says();
  void on_front_leaves(UniqueFd busy);
  void become_other();
  void bury_leaving();
  void end_late();
  void end_leaving();
  void on_front_ended();
  void on_controller_ended();
  // The exit code as a shell would tell it.
  static int bury(Child& child);
  void plan_restart(Child& child, const char* name) const;
  void stop();
  int end(int code);

  SupervisorOptions options_;
  SystemClock clock_;
  UniqueFd signals_;
  UniqueFd channel_;  // to the front
  Child controller_;
  Child front_;
  bool was_open_;  // some front of ours has served
  bool stopping_ = false;
  bool upgrading_ = false;  // as soon as the front lets go
  TimePoint let_go_by_{};   // else it is ended
  bool front_open_ = false;
  std::optional<int> exit_code_;
};

}  // namespace ebb::node
