// One io_uring for each executor that has streams: what they receive and the small things
// they send take no system call of their own, but ride on the one that waits. Everything
// else (listeners, connecting, room for large writes) stays in the epoll set, which the
// ring watches.
//
// A receive is begun when somebody waits, into one of the buffers that the ring owns and all
// sockets share: a frame that ends is never written into, and what nobody asks for stays in
// the kernel, which holds the peer back and resets a connection closed with it unread. (One
// is begun too for an idle socket that is watched; what comes then is dropped.) Sends
// never wait in the kernel (MSG_DONTWAIT), so that none is under way once submit() has
// returned; what the kernel did not take is the socket's affair again. Descriptors are named
// to the kernel only within submit(), so that a number that was closed and used again is
// never meant.
//
// Belongs to the thread that made it, and to the one executor whose turns drive it.
#pragma once

#include <liburing.h>

#include <array>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "base/result.h"
#include "net/engine.h"

namespace ebb::net {

// A receive under way. The ring owns it, since its end may come after its socket's.
struct Receive {
  Socket* socket = nullptr;  // null: closed meanwhile
  bool canceled = false;
  bool live = false;
};

class Ring final {
 public:
  static constexpr unsigned kBuffers = 128;           // shared by all receives
  static constexpr size_t kBufferSize = 16 * 1024;    // of each; touched only as far as used
  static constexpr unsigned kReserve = kBuffers / 8;  // with fewer, sockets wait by epoll
  static constexpr size_t kQueued = 16 * 1024;        // bytes of one socket, to be sent

  // Whether streams should use rings: what EBB_IO_ENGINE says ("uring", "epoll"), else
  // whether the kernel can do all that is needed. Throws if "uring" cannot be.
  [[nodiscard]] static bool wanted();
  // The same with an error.
  [[nodiscard]] static Result<bool> wanted_if_possible();
  Ring() = default;  // not started
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Belongs to this thread from here on. 0, or an errno if the kernel refuses.
  [[nodiscard]] int start();
  // Ends what is under way; who waits begins anew when it is started again, by any thread.
  // What has been received can still be read.
  void stop();
  [[nodiscard]] bool started() const { return started_; }
  [[nodiscard]] bool on_its_thread() const { return thread_ == std::this_thread::get_id(); }
  // Receives are under way, or to be ended.
  [[nodiscard]] bool busy() const { return receives_under_way_ > 0; }
  [[nodiscard]] bool has_entries() const { return !sent_.empty(); }
  // Whether a receive may be begun without leaving others short of buffers.
  [[nodiscard]] bool has_buffers() const { return free_buffers_ >= kReserve; }

  // From submit()'s caller: what is handed over by the next submit().
  void receive(Socket& socket);
  void send(Socket& socket);
  void watch_epoll(int epoll);  // unless it is watched
  // Ends a receive, in the next submit(); its socket may be gone.
  void cancel(Receive& receive);

  // Hands over what there is, and waits for the first event, at most `milliseconds`;
  // -1: for ever. Then gives every event to its socket, which resumes nobody but puts
  // directions among those that are due.
  struct Seen {
    bool sockets = false;  // something happened to one
    bool epoll = false;    // the epoll set has events
  };
  Seen submit(int milliseconds);

  // Moves held bytes into `to`; call only if there are some.
  [[nodiscard]] size_t read(Held& held, std::span<char> to);
  void drop(Held& held);

 private:
  [[nodiscard]] static int problem();
  [[nodiscard]] int try_out();
  [[nodiscard]] io_uring_sqe& next_entry();
  void enter(int milliseconds);
  void reap(Seen& seen);
  void received(Receive& receive, const io_uring_cqe& event);
  void give_back(unsigned buffer);

  io_uring ring_{};
  bool started_ = false;
  std::thread::id thread_;
  char* memory_ = nullptr;  // of the buffers
  io_uring_buf_ring* buffers_ = nullptr;
  unsigned free_buffers_ = 0;
  std::array<bool, kBuffers> held_{};  // by a socket, unread
  bool watches_epoll_ = false;
  std::vector<std::unique_ptr<Receive>> receives_;
  std::vector<Receive*> free_receives_;
  std::vector<Receive*> to_cancel_;
  size_t receives_under_way_ = 0;
  std::vector<Socket*> sent_;  // by this submit()
};

}  // namespace ebb::net
