// ebb-spawn COMMAND...: the zygote of runtimes that cannot fork. Each pod that it
// clones becomes COMMAND, isolated, with the control socket at descriptor 3 and the
// listening socket at 4.
//
// Linked statically, so that it runs in any root; nothing is allocated after the clone.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox/enter.h"
#include "sandbox/zygote.h"

namespace {

constexpr int kSocketFd = 3;
constexpr const char* kFilter = "/proc/self/fd/4";

// What a pod's program finds; the rest comes with the code.
const char* const kEnvironment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp",
                                    "LANG=C.UTF-8", "PORT=8080", nullptr};

[[noreturn]] void become(char** command) {
  fcntl(kEbbControlFd, F_SETFD, 0);
  fcntl(kEbbListenFd, F_SETFD, 0);
  execve(command[0], command, const_cast<char* const*>(kEnvironment));
  char text[256];
  const bool missing = errno == ENOENT;
  const int length =
      snprintf(text, sizeof text, "Ecannot run %.120s: %s%s", command[0], strerrordesc_np(errno),
               missing ? " (it, or its interpreter or dynamic linker, is not among "
                         "the mounts of the runtime's manifest)"
                       : "");
  send(kEbbControlFd, text, static_cast<size_t>(length), MSG_NOSIGNAL);
  _exit(71);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "ebb-spawn: no command\n");
    return 2;
  }
  const int where = ebb_zygote_serve(kSocketFd, kFilter);
  if (where == 0) become(argv + 1);
  if (where < 0) fprintf(stderr, "ebb-spawn: cannot serve: %s\n", strerrordesc_np(-where));
  return where < 0 ? 1 : 0;
}
