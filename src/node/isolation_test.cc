// What a function can do to the machine, tried from inside a pod: nothing.
#include "node/controller_fixture.h"

namespace ebb::node {
namespace {

constexpr const char* kProbe = R"(
import ctypes, errno, json, os, socket
libc = ctypes.CDLL(None, use_errno=True)

def call(number, *args):
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(number, *args)
    return 'ok' if result >= 0 else errno.errorcode[ctypes.get_errno()]

def attempt(action):
    try:
        action()
        return 'ok'
    except OSError as error:
        return errno.errorcode[error.errno]

def reach(address):
    with socket.socket() as s:
        s.settimeout(1)
        s.connect(address)

def handle(request):
    status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
    fds = sorted(int(fd) for fd in os.listdir('/proc/self/fd'))
    return {
        'uid_map': open('/proc/self/uid_map').read().split(),
        'caps': [status[k].strip() for k in ('CapEff', 'CapPrm', 'CapBnd', 'CapInh', 'CapAmb')],
        'no_new_privs': status['NoNewPrivs'].strip(), 'seccomp': status['Seccomp'].strip(),
        'groups': status['Groups'].strip(), 'pid': os.getpid(), 'host': socket.gethostname(),
        'processes': [p for p in os.listdir('/proc') if p.isdigit()],
        'root': sorted(os.listdir('/')),
        'write_root': attempt(lambda: open('/x', 'w')),
        'write_code': attempt(lambda: open('/code/x', 'w')),
        'write_usr': attempt(lambda: open('/usr/bin/x', 'w')),
        'write_tmp': attempt(lambda: open('/tmp/x', 'w').write('y')),
        'fill_tmp': attempt(lambda: [open('/tmp/%d' % i, 'wb').write(bytes(8 << 20)) for i in range(20)]),
        'outside': attempt(lambda: reach(('192.0.2.1', 80))),
        'loopback': attempt(lambda: reach(('127.0.0.1', 1))),
        'linger': attempt(lambda: socket.socket().setsockopt(1, 13, bytes(8))),
        'linger_high_bits': call(54, 3, ctypes.c_long(0x100000001), ctypes.c_long(0x10000000d), bytes(8), 8),
        'keepalive': attempt(lambda: socket.socket().setsockopt(1, 9, 1)),
        'nodelay': attempt(lambda: socket.socket().setsockopt(6, 1, 1)),
        'vsock': attempt(lambda: socket.socket(40)), 'packet': attempt(lambda: socket.socket(17, 3)),
        'netlink': attempt(lambda: socket.socket(16, 3)),
        'unshare_user': call(272, 0x10000000), 'clone_user': call(56, 0x10000000 | 17, 0, 0, 0, 0),
        'clone3': call(435, 0, 0), 'mount': call(165, 0, 0, 0, 0, 0), 'ptrace': call(101, 0, 0, 0, 0),
        'setns': call(308, 0, 0), 'bpf': call(321, 0, 0, 0), 'io_uring': call(425, 1, 0),
        'keyctl': call(250, 0, 0), 'perf': call(298, 0, 0, 0, 0, 0), 'chroot': call(161, b'/tmp'),
        'userfaultfd': call(323, 0), 'kexec': call(246, 0, 0, 0, 0), 'mknod': attempt(lambda: os.mknod('/tmp/d', 0o60666, 0x800)),
        'high_fds': [fd for fd in fds if fd > 32],
        'shell': os.popen('echo works').read().strip(),
    }
)";

// `pids` of the pod: its own, and those that it sees.
void expect_closed(const std::string& response, const std::string& pod, int pid,
                   const std::vector<std::string>& pids) {
  const auto body = nlohmann::json::parse(response.substr(response.find("\r\n\r\n") + 4));
  SCOPED_TRACE(body.dump(1));
  EXPECT_EQ(body["uid_map"][0], "1000");
  EXPECT_GE(std::stoul(body["uid_map"][1].get<std::string>()), kFirstPodUid);
  EXPECT_EQ(body["uid_map"][2], "1");
  for (const auto& set : body["caps"]) EXPECT_EQ(set, "0000000000000000");
  EXPECT_EQ(body["no_new_privs"], "1");
  EXPECT_EQ(body["seccomp"], "2");
  EXPECT_EQ(body["groups"], "");
  EXPECT_EQ(body["pid"], pid);
  EXPECT_EQ(body["host"], pod);
  EXPECT_EQ(body["processes"], nlohmann::json(pids));
  EXPECT_EQ(body["root"], nlohmann::json({"bin", "code", "dev", "ebb", "etc", "lib", "lib64",
                                          "proc", "tmp", "usr"}));
  for (const char* read_only : {"write_root", "write_code", "write_usr"}) {
    EXPECT_EQ(body[read_only], "EROFS") << read_only;
  }
  EXPECT_EQ(body["write_tmp"], "ok");
  EXPECT_EQ(body["fill_tmp"], "ENOSPC");
  EXPECT_EQ(body["outside"], "ENETUNREACH");
  EXPECT_EQ(body["loopback"], "ECONNREFUSED");  // its own, and up
  EXPECT_EQ(body["keepalive"], "ok");
  EXPECT_EQ(body["nodelay"], "ok");
  EXPECT_EQ(body["clone3"], "ENOSYS");
  for (const char* blocked :
       {"linger", "linger_high_bits", "vsock", "packet", "netlink", "unshare_user", "clone_user",
        "mount", "ptrace", "setns", "bpf", "io_uring", "keyctl", "perf", "chroot", "userfaultfd",
        "kexec", "mknod"}) {
    EXPECT_EQ(body[blocked], "EPERM") << blocked;
  }
  EXPECT_TRUE(body["high_fds"].empty());
  EXPECT_EQ(body["shell"], "works");
}

constexpr const char* kForkBomb = R"(
import os, signal
def handle(request):
    n = 0
    try:
        while n < 5000:
            if os.fork() == 0:
                signal.pause()
            n += 1
    except OSError:
        pass
    return str(n)
)";

// Where the machine refuses parts of the isolation, the others hold.
class LesserIsolationTest : public LocalControllerTest {
 protected:
  LesserIsolationTest() {
    without_ = kEbbWithoutUserNamespace | kEbbWithoutIpcNamespace | kEbbWithoutUtsNamespace |
               kEbbWithoutCgroupNamespace | kEbbWithoutSeccomp | kEbbWithoutCgroups;
  }
};

constexpr const char* kLesserProbe = R"(
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)

def attempt(action):
    try:
        action()
        return 'ok'
    except OSError as error:
        return errno.errorcode[error.errno]

def call(function, *args):
    return 'ok' if function(*args) == 0 else errno.errorcode[ctypes.get_errno()]

def handle(request):
    status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
    return {
        'uid': os.getuid(), 'pid': os.getpid(), 'host': socket.gethostname(),
        'uid_map': open('/proc/self/uid_map').read().split(),
        'caps': [status[k].strip() for k in ('CapEff', 'CapPrm', 'CapBnd', 'CapInh', 'CapAmb')],
        'no_new_privs': status['NoNewPrivs'].strip(), 'seccomp': status['Seccomp'].strip(),
        'groups': status['Groups'].strip(),
        'processes': [p for p in os.listdir('/proc') if p.isdigit()],
        'write_root': attempt(lambda: open('/x', 'w')),
        'write_tmp': attempt(lambda: open('/tmp/x', 'w').write('y')),
        'outside': attempt(lambda: socket.create_connection(('192.0.2.1', 80), 1)),
        'packet': attempt(lambda: socket.socket(17, 3)),
        'chroot': attempt(lambda: os.chroot('/tmp')),
        'setuid': attempt(lambda: os.setuid(0)),
        'mknod': attempt(lambda: os.mknod('/tmp/d', 0o60666, 0x800)),
        'rename': call(libc.sethostname, b'owned', 5),
        'mount': call(libc.mount, b'x', b'/tmp', b'tmpfs', 0, None),
    }
)";

TEST_F(LesserIsolationTest, PodsStillHaveNoRightsAndSeeNoHost) {
  char name[256];
  ASSERT_EQ(::gethostname(name, sizeof name), 0);
  const auto pod = pod_with(kLesserProbe);
  expect<PodReady>();
  const std::string response = get(pod);
  const auto body = nlohmann::json::parse(response.substr(response.find("\r\n\r\n") + 4));
  SCOPED_TRACE(body.dump(1));
  EXPECT_GE(body["uid"], kFirstPodUid);
  EXPECT_EQ(body["uid_map"], nlohmann::json({"0", "0", "4294967295"}));
  for (const auto& set : body["caps"]) EXPECT_EQ(set, "0000000000000000");
  EXPECT_EQ(body["no_new_privs"], "1");
  EXPECT_EQ(body["seccomp"], "0");
  EXPECT_EQ(body["groups"], "");
  EXPECT_EQ(body["pid"], 1);
  EXPECT_EQ(body["host"], name);
  EXPECT_EQ(body["processes"], nlohmann::json({"1"}));
  EXPECT_EQ(body["write_root"], "EROFS");
  EXPECT_EQ(body["write_tmp"], "ok");
  EXPECT_EQ(body["outside"], "ENETUNREACH");
  for (const char* blocked : {"packet", "mount", "mknod", "chroot", "setuid", "rename"}) {
    EXPECT_EQ(body[blocked], "EPERM") << blocked;
  }
  char now[256];
  ASSERT_EQ(::gethostname(now, sizeof now), 0);
  EXPECT_STREQ(now, name) << "the machine was renamed";
  ASSERT_TRUE(client_->send(Stop{pod}));
  EXPECT_EQ(expect<PodGone>().reason, "Stopped");
}

TEST_F(LesserIsolationTest, AForkBombStopsWithoutCgroups) {
  const auto pod = pod_with(kForkBomb);
  expect_bomb_stops(pod);
}

TEST_F(LocalControllerTest, FromInsideNothingOutsideCanBeReached) {
  const auto pod = pod_with(kProbe);
  expect<PodReady>();
  expect_closed(get(pod), pod, 1, {"1"});
}

// Serves `handle` of the text before it on $PORT, once for each connection.
constexpr const char* kServe = R"(
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(handle(self)).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
address = '127.0.0.1', int(os.environ['PORT'])
http.server.HTTPServer(address, Handler).serve_forever()
)";

TEST_F(LocalControllerTest, FromInsideAProgramNothingOutsideCanBeReached) {
  const auto pod = program("main", std::string("#!/usr/bin/python3") + kProbe + kServe, {});
  expect<PodReady>();
  // Not as pid 1, which is the shim: hidden, for it gives nothing of itself away.
  expect_closed(get(pod), pod, 2, {"2"});
}

TEST_F(LocalControllerTest, AForkBombStopsAtItsLimitAndDiesWithItsPod) {
  const auto pod = pod_with(kForkBomb, 2ull << 30);
  expect_bomb_stops(pod);
}

}  // namespace
}  // namespace ebb::node
