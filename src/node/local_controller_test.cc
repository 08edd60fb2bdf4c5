// The real Local Controller in a process of its own, with real pods. Needs root.
#include "node/local_controller.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/random.h"
#include "node/controller_client.h"
#include "sandbox/enter.h"

namespace ebb::node {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 20s;

class LocalControllerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to isolate pods";
    data_.root = std::filesystem::temp_directory_path() / ("ebb-test-" + random_hex(6));
    ASSERT_TRUE(data_.prepare(kFrontUid));
    int fds[2];
    ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    UniqueFd ready(fds[0]);
    UniqueFd ready_end(fds[1]);
    controller_ = ::fork();
    if (controller_ == 0) {
      ready.reset();
      ControllerOptions options;
      options.data = data_;
      options.runtimes = runtimes_;
      options.front_grace = 300ms;
      options.usage_interval = usage_interval_;
      options.cgroups = cgroups_;
      options.without = without_;
      ::_exit(run_local_controller(std::move(options), std::move(ready_end)));
    }
    ready_end.reset();
    char text[512] = {};
    const ssize_t n = ::read(ready.get(), text, sizeof text - 1);
    ASSERT_EQ(std::string(text, n > 0 ? n : 0), "ok");
    connect();
  }

  void connect() {
    auto socket = ControllerClient::open(data_.controller_socket());
    ASSERT_TRUE(socket) << socket.error().message;
    client_ = std::make_unique<ControllerClient>(
        executor_, std::move(*socket),
        ControllerClient::Events{
            .on_message = [this](FromController m) { inbox_.push_back(std::move(m)); },
            .on_gone = [this] { gone_ = true; }});
  }

  void TearDown() override {
    client_.reset();
    if (controller_ > 0) {
      ::kill(controller_, SIGTERM);
      int status = 0;
      ::waitpid(controller_, &status, 0);
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
      EXPECT_TRUE(std::filesystem::is_empty(data_.pods()));
    }
    std::filesystem::remove_all(data_.root);
  }

  template <class M>
  M expect() {
    const auto deadline = executor_.now() + kPatience;
    while (executor_.now() < deadline) {
      for (auto it = inbox_.begin(); it != inbox_.end(); ++it) {
        if (auto* found = std::get_if<M>(&*it)) {
          M message = *found;
          inbox_.erase(it);
          return message;
        }
      }
      if (gone_) break;
      executor_.run_until(executor_.now() + 50ms);
    }
    for (const auto& m : inbox_) {
      if (const auto* failed = std::get_if<PoolFailed>(&m)) ADD_FAILURE() << failed->message;
      if (const auto* dead = std::get_if<PodGone>(&m))
        ADD_FAILURE() << dead->reason << dead->message;
    }
    ADD_FAILURE() << "the expected message did not come";
    return {};
  }

  std::string add_code(const std::string& text, const std::string& name = "main.py") {
    const std::string hash = random_hex(32);
    const std::string file = data_.code() + "/" + hash + "/" + name;
    std::filesystem::create_directory(data_.code() + "/" + hash);
    std::ofstream(file) << text;
    std::filesystem::permissions(file, std::filesystem::perms(0755));
    return hash;
  }

  Assign order(const std::string& pod, const std::string& main_py) {
    return {.pod = pod,
            .revision = "uid-1",
            .code = add_code(main_py),
            .env = {{"K_SERVICE", "hello"}},
            .start_deadline_ms = 5000};
  }

  std::string pod_with(const std::string& main_py, uint64_t memory_bytes = 0) {
    EXPECT_TRUE(client_->send(SetPool{.runtime = "python", .cold = 1}));
    const auto cold = expect<PodCold>();
    auto assign = order(cold.pod, main_py);
    assign.memory_bytes = memory_bytes;
    EXPECT_TRUE(client_->send(assign));
    return cold.pod;
  }

  // A pod of the exec runtime that is told to run what `order` says.
  std::string program(const std::string& name, const std::string& text, Assign assign) {
    EXPECT_TRUE(client_->send(SetPool{.runtime = "exec", .cold = 1}));
    assign.pod = expect<PodCold>().pod;
    assign.revision = "uid-1";
    assign.code = add_code(text, name);
    if (assign.start_deadline_ms == 0) assign.start_deadline_ms = 5000;
    EXPECT_TRUE(client_->send(assign));
    return assign.pod;
  }

  // What the pods of the only revision have printed.
  std::string log_text() const {
    std::ifstream file(data_.logs() + "/uid-1.log");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // One request to a pod over its socket; the raw response.
  std::string get(const std::string& pod, const std::string& path = "/") {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (data_.pods() + "/" + pod + ".sock").c_str(),
                 sizeof address.sun_path - 1);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return "";
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n";
    EXPECT_EQ(::write(fd.get(), request.data(), request.size()), ssize_t(request.size()));
    std::string answer;
    char buffer[65536];
    for (ssize_t n = 0; (n = ::read(fd.get(), buffer, sizeof buffer)) > 0;) {
      answer.append(buffer, size_t(n));
      // The answers of these tests have a length, or end with their connection.
      const auto end = answer.find("\r\n\r\n");
      const auto length = answer.find("ontent-length: ");
      if (end == std::string::npos || length > end) continue;
      if (answer.size() >= end + 4 + std::stoul(answer.substr(length + 15))) break;
    }
    return answer;
  }

  std::optional<sandbox::CgroupMounts> cgroups_;
  Duration usage_interval_ = 15s;
  uint32_t without_ = 0;
  std::string runtimes_ = EBB_RUNTIMES;
  DataFolder data_;
  net::Executor executor_{"test"};
  pid_t controller_ = -1;
  std::unique_ptr<ControllerClient> client_;
  std::deque<FromController> inbox_;
  bool gone_ = false;
};

TEST_F(LocalControllerTest, AColdPodServesTheCodeItIsGiven) {
  EXPECT_EQ(expect<Welcome>().node, "local");
  const auto pod = pod_with(
      "import os\ndef handle(request):\n    return os.environ['K_SERVICE'] + request.path\n");
  // Sent before the code is known to be loaded: it waits in the pod's backlog.
  EXPECT_THAT(get(pod, "/there"), testing::EndsWith("hello/there"));
  EXPECT_EQ(expect<PodReady>().pod, pod);
  EXPECT_NE(expect<PodCold>().pod, pod);  // the pool is filled again
  ASSERT_TRUE(client_->send(Stop{pod}));
  EXPECT_EQ(expect<PodGone>().reason, "Stopped");
  EXPECT_EQ(get(pod), "");
}

TEST_F(LocalControllerTest, TheCodeThatLoadsHasTheCoreBeforeThePoolIsFilledAgain) {
  ASSERT_TRUE(client_->send(SetPool{.runtime = "python", .cold = 3}));
  const auto pod = expect<PodCold>().pod;
  expect<PodCold>();
  expect<PodCold>();
  const auto before = executor_.now();
  ASSERT_TRUE(client_->send(order(pod, "def handle(request):\n    return 'here'\n")));
  expect<PodCold>();
  EXPECT_GE(executor_.now() - before, 12ms) << "two of three were left: that could wait";
  expect<PodReady>();
}

TEST_F(LocalControllerTest, WhatOnePodHasCompiledTheNextDoesNotCompileAgain) {
  ASSERT_TRUE(client_->send(SetPool{.runtime = "python", .cold = 1}));
  auto assign = order(expect<PodCold>().pod, "def handle(request):\n    return 'one'\n");
  const std::string file = data_.code() + "/" + assign.code + "/main.py";
  ASSERT_TRUE(client_->send(assign));
  EXPECT_EQ(expect<PodReady>().pod, assign.pod);
  std::ofstream(file) << "this is not read again\n";  // code never changes: only to see it
  assign.pod = expect<PodCold>().pod;
  ASSERT_TRUE(client_->send(assign));
  EXPECT_EQ(expect<PodReady>().pod, assign.pod);
  EXPECT_THAT(get(assign.pod), testing::EndsWith("one"));
}

TEST_F(LocalControllerTest, AFunctionCannotPutCompiledCodeInTheWayOfOthers) {
  // A large one hands in nothing: what its own lines send comes too late.
  const std::string filler = "x = '" + std::string(200'000, 'x') + "'\n";
  const auto sly = order(
      "",
      "import os, socket, marshal, importlib.util\n"
      "if os.environ['K_SERVICE'] == 'sly':\n"
      "    code = compile('def handle(r): return 1', '/code/main.py', 'exec')\n"
      "    socket.socket(fileno=3).send(b'C' + importlib.util.MAGIC_NUMBER + marshal.dumps(code))\n"
      "def handle(request):\n    return 'honest'\n" +
          filler);
  for (const char* service : {"sly", "other"}) {
    ASSERT_TRUE(client_->send(SetPool{.runtime = "python", .cold = 1}));
    auto assign = sly;
    assign.pod = expect<PodCold>().pod;
    assign.env["K_SERVICE"] = service;
    ASSERT_TRUE(client_->send(assign));
    if (service == std::string("sly")) {
      EXPECT_EQ(expect<PodGone>().reason, "ProtocolError");
    } else {
      EXPECT_EQ(expect<PodReady>().pod, assign.pod);
      EXPECT_THAT(get(assign.pod), testing::EndsWith("honest"));
    }
  }
}

// Says how often its background thread has run.
constexpr const char* kTicking =
    "import threading, time\n"
    "ticks = 0\n"
    "def tick():\n"
    "    global ticks\n"
    "    while True:\n"
    "        ticks += 1\n"
    "        time.sleep(0.005)\n"
    "threading.Thread(target=tick, daemon=True).start()\n"
    "def handle(request):\n    return 'END%d' % ticks\n";

class Freezing : public LocalControllerTest {
 protected:
  void SetUp() override {
    LocalControllerTest::SetUp();
    if (IsSkipped()) return;
    const auto mounts = sandbox::CgroupMounts::find();
    if (!mounts || mounts->freezer.empty()) GTEST_SKIP() << "needs cgroup v2, perhaps beside v1";
    groups_ = mounts->freezer + "/ebb-" + data_.id() + "/";
  }
  int ticks(const std::string& pod) {
    const std::string answer = get(pod);
    return std::stoi(answer.substr(answer.find("END") + 3));
  }
  // Tells it to, and waits until the kernel says so.
  void freeze(const std::string& pod, bool frozen, uint64_t turn) {
    ASSERT_TRUE(
        client_->send(Freeze{.pod = pod, .frozen = static_cast<uint8_t>(frozen), .turn = turn}));
    const auto deadline = executor_.now() + kPatience;
    while (is_frozen(pod) != frozen && executor_.now() < deadline) {
      executor_.run_until(executor_.now() + 5ms);
    }
    EXPECT_EQ(is_frozen(pod), frozen);
  }
  bool is_frozen(const std::string& pod) const {
    std::ifstream file(groups_ + pod + "/cgroup.events");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return text.find("frozen 1") != std::string::npos;
  }
  std::string groups_;
};

TEST_F(Freezing, AFrozenPodStandsStillAndGoesOnWhereItWas) {
  const auto pod = pod_with(kTicking);
  expect<PodReady>();
  const int before = ticks(pod);
  freeze(pod, true, 1);
  std::this_thread::sleep_for(200ms);
  freeze(pod, false, 2);
  EXPECT_LT(ticks(pod), before + 30) << "40 more, had it not been frozen";
  // Of two that overtake each other the later one counts.
  ASSERT_TRUE(client_->send(Freeze{.pod = pod, .frozen = 0, .turn = 4}));
  ASSERT_TRUE(client_->send(Freeze{.pod = pod, .frozen = 1, .turn = 3}));
  freeze(pod, true, 5);
  freeze(pod, false, 6);
  EXPECT_GT(ticks(pod), before);
}

TEST_F(Freezing, AFrozenPodCanBeStoppedAndLeavesNothing) {
  const auto pod = pod_with(std::string("import signal, sys\n"
                                        "def end(*_):\n    print('heard it', flush=True)\n"
                                        "    sys.exit(0)\n"
                                        "signal.signal(signal.SIGTERM, end)\n") +
                            kTicking);
  expect<PodReady>();
  freeze(pod, true, 1);
  ASSERT_TRUE(client_->send(Stop{pod}));
  EXPECT_EQ(expect<PodGone>().reason, "Stopped");
  EXPECT_THAT(log_text(), testing::HasSubstr("heard it"));
}

TEST_F(Freezing, AFrontThatGoesLeavesNoPodFrozen) {
  const auto pod = pod_with(kTicking);
  expect<PodReady>();
  freeze(pod, true, 9);
  client_.reset();
  connect();
  expect<Welcome>();
  EXPECT_GT(ticks(pod), 0);
  freeze(pod, true, 1);  // a new front counts anew
  freeze(pod, false, 2);
  EXPECT_GT(ticks(pod), 0);
}

TEST_F(LocalControllerTest, CodeThatCannotBeLoadedSaysWhy) {
  const auto pod = pod_with("def handle(request)\n    return 1\n");
  const auto gone = expect<PodGone>();
  EXPECT_EQ(gone.pod, pod);
  EXPECT_EQ(gone.reason, "LoadFailed");
  EXPECT_THAT(gone.message, testing::HasSubstr("SyntaxError"));
  EXPECT_THAT(log_text(), testing::HasSubstr(pod + " ebb: SyntaxError"));
  EXPECT_THAT(log_text(), testing::HasSubstr(pod + "   File \"/code/main.py\", line 1"));
}

TEST_F(LocalControllerTest, AnExitWhileLoadingSaysTheCodeAndTheOutput) {
  pod_with("import os\nprint('last words')\nos._exit(3)\n");
  const auto gone = expect<PodGone>();
  EXPECT_EQ(gone.reason, "Exited");
  EXPECT_THAT(gone.message, testing::HasSubstr("exited with code 3 while it loaded"));
  EXPECT_EQ(gone.output, "last words\n");
}

TEST_F(LocalControllerTest, AnEndIsNotExplainedByOldOutput) {
  const auto pod = pod_with(
      "import os, threading\n"
      "print('served long ago', flush=True)\n"
      "def end():\n    print('about to fail', flush=True)\n    os._exit(3)\n"
      "threading.Timer(2.5, end).start()\n"
      "def handle(r): pass\n");
  expect<PodReady>();
  const auto gone = expect<PodGone>();
  EXPECT_EQ(gone.pod, pod);
  EXPECT_EQ(gone.message, "the function exited with code 3");
  EXPECT_EQ(gone.output, "about to fail\n");
}

TEST_F(LocalControllerTest, AnEndlessStartIsEndedAtItsDeadline) {
  ASSERT_TRUE(client_->send(SetPool{.runtime = "python", .cold = 1}));
  auto assign = order(expect<PodCold>().pod, "while True: pass\n");
  assign.start_deadline_ms = 200;
  ASSERT_TRUE(client_->send(assign));
  const auto gone = expect<PodGone>();
  EXPECT_EQ(gone.reason, "StartDeadlineExceeded");
  EXPECT_THAT(gone.message, testing::HasSubstr("0.2 s"));
}

// Longer than the time for which output counts as the last of a pod that served.
TEST_F(LocalControllerTest, AProgramThatNeverListensIsToldSoAtItsDeadline) {
  Assign wish;
  wish.start_deadline_ms = 3000;
  const auto pod = program("run", "#!/bin/sh\necho at the start\nexec sleep 1000\n", wish);
  const auto gone = expect<PodGone>();
  EXPECT_EQ(gone.reason, "StartDeadlineExceeded");
  EXPECT_EQ(gone.message,
            "the code did not finish loading within 3 s: nothing listens on port 8080 ($PORT)");
  EXPECT_EQ(gone.output, "at the start\n");
  EXPECT_THAT(log_text(), testing::HasSubstr(pod + " ebb: still loading: nothing listens on port"));
}

TEST_F(LocalControllerTest, AProbeThatFailsIsToldAtTheDeadline) {
  Assign wish;
  wish.start_deadline_ms = 2000;
  wish.port = 9000;
  wish.probe_path = "/healthz";
  program("run", "#!/bin/sh\nexec python3 -m http.server 9000 --bind 127.0.0.1\n", wish);
  EXPECT_THAT(expect<PodGone>().message,
              testing::HasSubstr("the readiness probe GET /healthz on port 9000 is answered 404"));
}

// Without an end, by many at a time: nobody else's pod may wait for it.
TEST_F(LocalControllerTest, APodThatSaysWhatItWaitsForWithoutEndIsEnded) {
  const auto pod = pod_with(
      "import os\n"
      "for _ in range(4):\n"
      "    if os.fork() == 0:\n"
      "        while True: os.write(3, b'Nx')\n"
      "while True: os.write(3, b'Nx')\n");
  const auto gone = expect<PodGone>();
  EXPECT_EQ(gone.pod, pod);
  EXPECT_EQ(gone.reason, "ProtocolError");
  const auto other = pod_with("def handle(request): return ''");
  EXPECT_EQ(expect<PodReady>().pod, other);
}

TEST_F(LocalControllerTest, MemoryIsLimited) {
  pod_with("x = bytearray(200 << 20)\ndef handle(r): pass\n", 64ull << 20);
  EXPECT_EQ(expect<PodGone>().reason, "OOMKilled");
}

TEST_F(LocalControllerTest, ALimitBelowWhatAColdPodHoldsIsRefusedInPlainWords) {
  for (const uint64_t limit : {uint64_t{1}, uint64_t{1024}, uint64_t{1} << 20}) {
    pod_with("def handle(r): pass\n", limit);
    const auto gone = expect<PodGone>();
    EXPECT_EQ(gone.reason, "AssignFailed");
    EXPECT_THAT(gone.message, testing::MatchesRegex(
                                  "the memory limit of (1|1Ki|1Mi) is too small for a pod to start "
                                  "in: a pod of the runtime python holds [0-9.]+ MiB before it "
                                  "loads any code. Give it [0-9]+Mi or more"));
  }
}

TEST_F(LocalControllerTest, AProgramThatHasTooLittleMemoryToStartSaysSo) {
  Assign wish;
  wish.memory_bytes = 8 << 20;
  program("run", "#!/usr/bin/python3\nx = bytearray(64 << 20)\n", wish);
  const auto gone = expect<PodGone>();
  EXPECT_EQ(gone.reason, "OOMKilled");
  EXPECT_EQ(gone.message,
            "the function ran out of memory while it loaded its code (its limit is 8Mi)");
}

// What a function can do to the machine, tried from inside a pod: nothing.
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
  const auto pod = pod_with(R"(
import os, signal
def handle(request):
    n = 0
    try:
        while n < 2000:
            if os.fork() == 0:
                signal.pause()
            n += 1
    except OSError:
        pass
    return str(n)
)");
  expect<PodReady>();
  const std::string response = get(pod);
  const int children = std::atoi(response.substr(response.find("\r\n\r\n") + 4).c_str());
  EXPECT_GT(children, 100);
  EXPECT_LT(children, 512);
  ASSERT_TRUE(client_->send(Stop{pod}));
  EXPECT_EQ(expect<PodGone>().reason, "Stopped");
}

// A runtime whose zygote refuses every spawn, and counts them in its output.
class RefusingZygoteTest : public LocalControllerTest {
 protected:
  void SetUp() override {
    runtimes_ = std::filesystem::temp_directory_path() / ("ebb-runtimes-" + random_hex(6));
    std::filesystem::create_directories(runtimes_ + "/python");
    std::ofstream(runtimes_ + "/python/manifest.json") << R"({
      "name": "python", "kind": "zygote", "entry": "main.py",
      "command": ["/usr/bin/python3", "-S", "-E", "-s", "-B", "/ebb/runtime/zygote.py"],
      "mounts": ["/usr/bin", "/usr/lib", "?/usr/lib64", "/bin", "/lib", "?/lib64"]})";
    std::ofstream(runtimes_ + "/python/zygote.py") << R"(
import socket, struct
s = socket.socket(fileno=3)
s.send(struct.pack('Iii64s', 2, 0, 0, b''))
while s.recv(4096):
    s.send(struct.pack('Iii64s', 2, 0, 1, b'clone a pod'))
)";
    LocalControllerTest::SetUp();
  }
  void TearDown() override {
    LocalControllerTest::TearDown();
    std::filesystem::remove_all(runtimes_);
  }
};

TEST_F(RefusingZygoteTest, IsAskedAgainLessAndLessOften) {
  ASSERT_TRUE(client_->send(SetPool{.runtime = "python", .cold = 4}));
  EXPECT_THAT(expect<PoolFailed>().message, testing::HasSubstr("cannot clone a pod"));
  executor_.run_until(executor_.now());
  const auto until = executor_.now() + 1s;
  while (executor_.now() < until) executor_.run_until(until);
  // After 0.1, 0.2 and 0.4 s, two at a time.
  const auto tries = std::count_if(inbox_.begin(), inbox_.end(), [](const auto& message) {
    return std::holds_alternative<PodGone>(message);
  });
  EXPECT_GE(tries, 2);
  EXPECT_LE(tries, 10);
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
http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
)";

TEST_F(LocalControllerTest, FromInsideAProgramNothingOutsideCanBeReached) {
  const auto pod = program("main", std::string("#!/usr/bin/python3") + kProbe + kServe, {});
  expect<PodReady>();
  // Not as pid 1, which is the shim: hidden, for it gives nothing of itself away.
  expect_closed(get(pod), pod, 2, {"2"});
}

TEST_F(LocalControllerTest, AProgramIsRunAsItsContainerSays) {
  constexpr const char* kScript = R"(#!/usr/bin/python3
import http.server, os, sys, time
born = time.time()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = time.time() - born > 0.3
        self.send_response(200 if self.path != '/healthz' or ready else 503)
        self.end_headers()
        self.wfile.write(' '.join(sys.argv[1:] + [os.environ['PORT'], str(ready)]).encode())
http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
)";
  Assign wish;
  wish.command = {"/usr/bin/env", "-S", "./bin.py one"};
  wish.args = {"two"};
  wish.port = 9000;
  wish.probe_path = "/healthz";
  const auto pod = program("bin.py", kScript, wish);
  EXPECT_GE(expect<PodReady>().load_us, 300'000u);  // when its probe says so
  EXPECT_THAT(get(pod), testing::EndsWith("one two 9000 True"));
}

TEST_F(LocalControllerTest, ACommandThatIsNotThereSaysSo) {
  Assign wish;
  wish.command = {"missing"};
  program("main", "#!/bin/sh\n", wish);
  const auto gone = expect<PodGone>();
  EXPECT_EQ(gone.reason, "LoadFailed");
  EXPECT_THAT(gone.message, testing::HasSubstr("the command missing is neither in the code nor"));
}

TEST_F(LocalControllerTest, ANodePodServesTheCodeItIsGiven) {
  if (!std::filesystem::exists("/usr/bin/node")) GTEST_SKIP() << "there is no node";
  ASSERT_TRUE(client_->send(SetPool{.runtime = "node", .cold = 4}));
  auto assign = order(expect<PodCold>().pod, "");
  for (int more = 3; more > 0; --more) expect<PodCold>();
  assign.code = add_code(
      "module.exports = (r) => ({ path: new URL(r.url).pathname, "
      "service: process.env.K_SERVICE, pid: process.pid })",
      "main.js");
  ASSERT_TRUE(client_->send(assign));
  EXPECT_THAT(get(assign.pod, "/a"),
              testing::EndsWith(R"({"path":"/a","service":"hello","pid":1})"));
  expect<PodReady>();
}

TEST_F(LocalControllerTest, NodeCodeThatCannotBeParsedIsShownWhere) {
  if (!std::filesystem::exists("/usr/bin/node")) GTEST_SKIP() << "there is no node";
  for (const auto& [file, text, other, place] :
       {std::tuple{"main.mjs", "export const x = 1;\nexport default (", "", "/code/main.mjs:2"},
        std::tuple{"main.cjs", "const x = 1;\nexport default x;\n", "", "/code/main.cjs:2"},
        std::tuple{"main.mjs", "import './other.mjs'\n", "\nlet let = 1\n", "/code/other.mjs:2"}}) {
    ASSERT_TRUE(client_->send(SetPool{.runtime = "node", .cold = 1}));
    auto assign = order(expect<PodCold>().pod, "");
    assign.code = add_code(text, file);
    if (*other != '\0') {
      std::ofstream(data_.code() + "/" + assign.code + "/other.mjs") << other;
    }
    ASSERT_TRUE(client_->send(assign));
    const auto gone = expect<PodGone>();
    EXPECT_EQ(gone.reason, "LoadFailed");
    EXPECT_THAT(gone.message, testing::StartsWith("SyntaxError: "));
    EXPECT_THAT(gone.message, testing::HasSubstr(place));
    EXPECT_THAT(log_text(), testing::HasSubstr(assign.pod + " " + place + "\n"));
  }
}

TEST_F(LocalControllerTest, WhatAPodPrintsIsInItsRevisionsLog) {
  const auto pod =
      pod_with("print('loading')\ndef handle(r):\n    print('asked')\n    return ''\n");
  expect<PodReady>();
  get(pod);
  ASSERT_TRUE(client_->send(Stop{pod}));
  expect<PodGone>();
  EXPECT_THAT(log_text(), testing::MatchesRegex("[0-9-]+T[0-9:.]+Z " + pod +
                                                " loading\n[0-9-]+T[0-9:.]+Z " + pod + " asked\n"));
}

TEST_F(LocalControllerTest, AForkBombStopsAtItsLimitAndDiesWithItsPod) {
  const auto pod = pod_with(R"(
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
)",
                            2ull << 30);
  expect<PodReady>();
  const std::string response = get(pod);
  const int children = std::atoi(response.substr(response.find("\r\n\r\n") + 4).c_str());
  EXPECT_GT(children, 100);
  EXPECT_LT(children, 512);
  ASSERT_TRUE(client_->send(Stop{pod}));
  EXPECT_EQ(expect<PodGone>().reason, "Stopped");
}

TEST_F(LocalControllerTest, PodsDieWithAKilledLocalController) {
  const auto pod = pod_with("def handle(request):\n    while True: pass\n");
  expect<PodReady>();
  const UniqueFd busy(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (data_.pods() + "/" + pod + ".sock").c_str(),
               sizeof address.sun_path - 1);
  ASSERT_EQ(::connect(busy.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::write(busy.get(), "GET / HTTP/1.1\r\n\r\n", 18), 18);
  ::kill(controller_, SIGKILL);
  ::waitpid(controller_, nullptr, 0);
  controller_ = -1;
  char byte = 0;
  EXPECT_LE(::read(busy.get(), &byte, 1), 0);  // ends when the spinning pod has died
  // The next run sweeps what is left.
  auto mounts = sandbox::CgroupMounts::find();
  ASSERT_TRUE(mounts);
  auto tree = sandbox::CgroupTree::open("ebb-" + data_.id(), *mounts);
  ASSERT_TRUE(tree);
  EXPECT_GT((*tree)->sweep(), 0u);
}

// cgroup v2 as far as this machine has it: pods are cloned into their group. Where the
// v1 hierarchy has the controllers, v2 sets no limits.
class CgroupV2Test : public LocalControllerTest {
 protected:
  void SetUp() override {
    for (const char* folder : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
      if (std::filesystem::exists(std::string(folder) + "/cgroup.controllers")) folder_ = folder;
    }
    if (folder_.empty()) GTEST_SKIP() << "no cgroup v2 is mounted";
    cgroups_ = {sandbox::CgroupMounts::Version::kV2, {folder_}, {}};
    LocalControllerTest::SetUp();
  }
  std::string folder_;
};

TEST_F(CgroupV2Test, APodIsClonedIntoItsGroup) {
  const auto pod = pod_with("def handle(request): return open('/proc/self/cgroup').read()\n");
  expect<PodReady>();
  EXPECT_THAT(get(pod), testing::HasSubstr("0::/\n"));  // the root of its own namespace
  const std::string group = folder_ + "/ebb-" + data_.id() + "/" + pod;
  std::ifstream procs(group + "/cgroup.procs");
  std::string pid;
  EXPECT_TRUE(std::getline(procs, pid)) << group;
  ASSERT_TRUE(client_->send(Stop{pod}));
  expect<PodGone>();
  EXPECT_FALSE(std::filesystem::exists(group));
}

// Where a revision's code stays loaded, its other pods begin as forks.
class ForkTest : public LocalControllerTest {
 protected:
  static constexpr const char* kWho = R"(
import os, random
if os.path.exists('/tmp/loaded'): raise SystemExit('loaded again')
CHOSEN = random.random()
def handle(request):
  if request.path == '/exit': os._exit(3)
  if request.path == '/leave':
    if os.fork() == 0:
      while True: pass
    return 'left'
  if request.path == '/group': return open('/proc/self/cgroup').read()
  return '%d %r %r' % (os.getpid(), CHOSEN, random.random())
)";

  // Longer than PreloadPolicy::kSlow.
  static constexpr const char* kSlow =
      "import time, os\n"
      "time.sleep(0.06)\n"
      "def handle(request): return str(os.getpid())\n";

  void SetUp() override {
    LocalControllerTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    hash_ = add_code(kWho);
    ASSERT_TRUE(client_->send(SetPool{.runtime = "python", .cold = 2}));
  }
  // The next cold pod, given to the revision and loaded.
  std::string start(Preload preload = Preload::kAlways) {
    const auto pod = expect<PodCold>().pod;
    Assign assign = order(pod, "");
    assign.code = hash_;
    assign.preload = static_cast<uint8_t>(preload);
    EXPECT_TRUE(client_->send(assign));
    EXPECT_EQ(expect<PodReady>().pod, pod);
    return pod;
  }
  static std::string body(const std::string& answer) {
    const auto end = answer.find("\r\n\r\n");
    return end == std::string::npos ? answer : answer.substr(end + 4);
  }
  static std::vector<std::string> words(const std::string& answer) {
    std::istringstream in(body(answer));
    return {std::istream_iterator<std::string>(in), {}};
  }
  // A pod that was forked: the first has loaded its code itself, and from some moment on
  // there is one that forks.
  std::string forked() {
    for (const auto deadline = executor_.now() + kPatience; executor_.now() < deadline;) {
      auto pod = start();
      if (words(get(pod)).front() != "1") return pod;
      EXPECT_TRUE(client_->send(Stop{pod}));
      expect<PodGone>();
    }
    ADD_FAILURE() << "no pod was forked";
    return {};
  }
  // Until the cold pod's own process, which it replaces, has gone as well.
  void await_processes(const std::string& pod, size_t count) {
    for (const auto deadline = executor_.now() + kPatience;
         processes(pod) != count && executor_.now() < deadline;) {
      executor_.run_until(executor_.now() + 10ms);
    }
    EXPECT_EQ(processes(pod), count);
  }
  [[nodiscard]] std::string group(const std::string& pod) const {
    const auto mounts = cgroups_ ? *cgroups_ : *sandbox::CgroupMounts::find();
    return mounts.folders.front() + "/ebb-" + data_.id() + "/" + pod;
  }
  [[nodiscard]] size_t processes(const std::string& pod) const {
    std::ifstream procs(group(pod) + "/cgroup.procs");
    return std::distance(std::istream_iterator<int>(procs), {});
  }
  std::string hash_;
};

TEST_F(ForkTest, PodsShareWhatWasLoadedAndNothingThatMustDiffer) {
  const auto a = forked();
  const auto b = start();
  const auto of_a = words(get(a));
  const auto of_b = words(get(b));
  ASSERT_EQ(of_a.size(), 3u);
  ASSERT_EQ(of_b.size(), 3u);
  EXPECT_NE(of_a[0], of_b[0]);
  EXPECT_EQ(of_a[1], of_b[1]) << "loaded once";
  EXPECT_NE(of_a[2], of_b[2]) << "no two pods may draw the same numbers";
  await_processes(a, 1);  // each is in its own group, alone
  await_processes(b, 1);
}

TEST_F(ForkTest, EachEndsForItselfAndSaysHow) {
  const auto a = forked();
  const auto b = start();
  get(a, "/exit");
  auto gone = expect<PodGone>();
  EXPECT_EQ(gone.pod, a);
  EXPECT_EQ(gone.message, "the function exited with code 3");
  EXPECT_EQ(words(get(b)).size(), 3u) << "the other serves on";
  ASSERT_TRUE(client_->send(Stop{b}));
  gone = expect<PodGone>();
  EXPECT_EQ(gone.pod, b);
  EXPECT_EQ(gone.reason, "Stopped");
}

TEST_F(ForkTest, WhatItStartedEndsWithIt) {
  const auto pod = forked();
  EXPECT_EQ(body(get(pod, "/leave")), "left");
  await_processes(pod, 2);
  ASSERT_TRUE(client_->send(Stop{pod}));
  expect<PodGone>();
  for (const auto deadline = executor_.now() + kPatience;
       std::filesystem::exists(group(pod)) && executor_.now() < deadline;) {
    executor_.run_until(executor_.now() + 10ms);
  }
  EXPECT_FALSE(std::filesystem::exists(group(pod)));
}

// As by a lack of memory.
TEST_F(ForkTest, TheyEndWithTheOneThatForkedThemAndOthersLoadTheCode) {
  const auto pod = forked();
  await_processes(pod, 1);
  int child = 0;
  std::ifstream(group(pod) + "/cgroup.procs") >> child;
  std::ifstream status("/proc/" + std::to_string(child) + "/status");
  int parent = 0;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("PPid:")) parent = std::stoi(line.substr(5));
  }
  ASSERT_GT(parent, 1);
  ASSERT_EQ(::kill(parent, SIGKILL), 0);
  const auto gone = expect<PodGone>();
  EXPECT_EQ(gone.pod, pod);
  EXPECT_EQ(gone.message, "the pod that it was forked from has ended");
  EXPECT_EQ(words(get(start())).front(), "1");
}

TEST_F(ForkTest, WhatIsForgottenIsNotForkedAgain) {
  const auto pod = forked();
  ASSERT_TRUE(client_->send(Forget{.revision = "uid-1"}));
  EXPECT_EQ(words(get(start())).front(), "1");
  EXPECT_EQ(words(get(pod)).size(), 3u) << "it serves on until it is stopped";
  EXPECT_THAT(log_text(), testing::HasSubstr("the code is not kept loaded here any longer"));
}

TEST_F(ForkTest, MemoryIsLimitedForEach) {
  hash_ = add_code(
      "keep = []\n"
      "def handle(request):\n"
      "  while request.path == '/eat': keep.append(bytearray(1 << 20))\n"
      "  import os; return str(os.getpid())\n");
  const auto a = forked();
  const auto b = start();
  get(a, "/eat");
  const auto gone = expect<PodGone>();
  EXPECT_EQ(gone.pod, a);
  EXPECT_EQ(gone.reason, "OOMKilled");
  EXPECT_NE(body(get(b)), "");
}

// What the code does in the pod that forks it is as hostile as anywhere.
TEST_F(ForkTest, AForkThatJoinsAGroupAndIsNoPodIsEnded) {
  hash_ = add_code(R"(
import os
def squat():
  for fd in os.listdir('/proc/self/fd'):
    try:
      if os.readlink('/proc/self/fd/' + fd).endswith('tasks'): os.write(int(fd), b'0')
    except OSError: pass
  while True: pass
os.register_at_fork(after_in_child=squat)
def handle(request): return str(os.getpid())
)");
  // How long a start took, which served what it had loaded itself.
  const auto timed = [this] {
    const auto began = executor_.now();
    const auto pod = start();
    const Duration took = executor_.now() - began;
    EXPECT_EQ(body(get(pod)), "1");
    await_processes(pod, 1);
    EXPECT_TRUE(client_->send(Stop{pod}));
    expect<PodGone>();
    return took;
  };
  start();
  const auto deadline = executor_.now() + kPatience;
  while (timed() < 450ms) ASSERT_LT(executor_.now(), deadline) << "no fork was waited for in vain";
  Duration least = 1h;
  for (int i = 0; i < 5; ++i) least = std::min(least, timed());
  EXPECT_LT(least, 450ms) << "once is enough";
}

TEST_F(ForkTest, APodWhoseParentDoesNotTellOfItsEndIsGoneAllTheSame) {
  hash_ = add_code(
      "import os\n"
      "os.waitpid = lambda *_: (0, 0)\n"
      "def handle(request):\n"
      "  if request.path == '/exit': os._exit(3)\n"
      "  return str(os.getpid())\n");
  const auto pod = forked();
  get(pod, "/exit");
  EXPECT_EQ(expect<PodGone>().pod, pod);
}

TEST_F(ForkTest, AParentThatGivesItselfForAForkIsRefused) {
  hash_ = add_code(
      "import os\n"
      "os.fork = lambda: 0\n"
      "def handle(request): return str(os.getpid())\n");
  for (int i = 0; i < 10; ++i) {
    const auto pod = start();
    EXPECT_EQ(body(get(pod)), "1");
    EXPECT_TRUE(client_->send(Stop{pod}));
    EXPECT_EQ(expect<PodGone>().pod, pod);
  }
}

TEST_F(ForkTest, CodeThatStartsThreadsIsLoadedByEachPod) {
  hash_ = add_code(
      "import threading, time, os\n"
      "threading.Thread(target=lambda: time.sleep(1000), daemon=True).start()\n"
      "def handle(request): return str(os.getpid())\n");
  const std::string why =
      "each pod loads its code itself: loading it starts threads, which a fork would not have";
  start();
  for (const auto deadline = executor_.now() + kPatience;
       log_text().find(why) == std::string::npos && executor_.now() < deadline;) {
    executor_.run_until(executor_.now() + 10ms);
  }
  EXPECT_THAT(log_text(), testing::HasSubstr(why));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(body(get(start())), "1") << "of a namespace of its own";
  }
}

TEST_F(ForkTest, NobodyWhoDoesNotWantItGetsIt) {
  hash_ = add_code(kSlow);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(body(get(start(Preload::kNever))), "1");
  }
}

TEST_F(ForkTest, WhatLoadsSlowlyAndOftenGetsItUnasked) {
  hash_ = add_code(kSlow);
  bool forked = false;
  for (int i = 0; i < 20 && !forked; ++i) {
    const auto pod = start(Preload::kAutomatic);
    forked = body(get(pod)) != "1";
    EXPECT_TRUE(client_->send(Stop{pod}));
    expect<PodGone>();
  }
  EXPECT_TRUE(forked);
}

TEST_F(ForkTest, ANewFrontHearsOfPodsOnly) {
  const auto pod = forked();
  inbox_.clear();
  client_.reset();
  connect();
  std::vector<std::string> warm;
  for (const auto& report : expect<Welcome>().pods) {
    if (!report.revision.empty()) warm.push_back(report.pod);
  }
  EXPECT_THAT(warm, testing::Contains(pod));
  for (const auto& id : warm) {
    ASSERT_TRUE(client_->send(Stop{id}));
    EXPECT_EQ(expect<PodGone>().reason, "Stopped");
  }
}

// With v2 it joins its group while it serves.
class ForkV2Test : public ForkTest {
 protected:
  void SetUp() override {
    std::string folder;
    for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
      if (std::filesystem::exists(std::string(mount) + "/cgroup.controllers")) folder = mount;
    }
    if (folder.empty()) GTEST_SKIP() << "no cgroup v2 is mounted";
    cgroups_ = {sandbox::CgroupMounts::Version::kV2, {folder}, {}};
    ForkTest::SetUp();
  }
};

TEST_F(ForkV2Test, EachJoinsItsOwnGroup) {
  const auto pod = forked();
  await_processes(pod, 1);
  EXPECT_EQ(words(get(pod)).size(), 3u);
}

class UsageTest : public LocalControllerTest {
 protected:
  void SetUp() override {
    usage_interval_ = 100ms;
    LocalControllerTest::SetUp();
  }
  // The next sample of that pod.
  PodSample sample_of(const std::string& pod) {
    for (const auto deadline = executor_.now() + kPatience; executor_.now() < deadline;) {
      for (auto& sample : expect<PodUsage>().pods) {
        if (sample.pod == pod) return sample;
        ADD_FAILURE() << "of a pod that serves nothing: " << sample.pod;
      }
    }
    ADD_FAILURE() << "no sample of " << pod;
    return {};
  }
};

TEST_F(UsageTest, PodsThatServeAndTheNodeAreMeasured) {
  const auto pod = pod_with(
      "def handle(request):\n"
      "  import time\n"
      "  end = time.process_time() + 0.3\n"
      "  while time.process_time() < end: pass\n"
      "  return 'done'\n");
  expect<PodReady>();
  expect<PodCold>();  // its replacement, which is not measured
  inbox_.clear();
  const PodSample before = sample_of(pod);
  EXPECT_EQ(before.revision, "uid-1");
  EXPECT_EQ(before.ready, 1);
  EXPECT_GE(before.age_ms, before.state_age_ms);
  EXPECT_GT(before.memory_bytes, 1u << 20);
  EXPECT_THAT(get(pod), testing::EndsWith("done"));
  PodSample after = sample_of(pod);
  // Older ones may still wait in the socket.
  for (const auto deadline = executor_.now() + kPatience;
       after.cpu_ns - before.cpu_ns < 300'000'000u && executor_.now() < deadline;) {
    after = sample_of(pod);
  }
  EXPECT_GT(after.at_ns, before.at_ns);
  EXPECT_GE(after.age_ms, before.age_ms);
  EXPECT_GE(after.cpu_ns - before.cpu_ns, 300'000'000u);
  const auto first = expect<NodeUsage>();
  const auto second = expect<NodeUsage>();
  EXPECT_GT(second.at_ns, first.at_ns);
  EXPECT_GE(second.cpu_ns, first.cpu_ns);
  EXPECT_GT(second.memory_total, second.memory_bytes);
}

TEST_F(LocalControllerTest, ANewFrontTakesThePodsOver) {
  const auto pod = pod_with("def handle(request): return 'still here'\n");
  expect<PodReady>();
  expect<PodCold>();
  inbox_.clear();
  client_.reset();
  connect();
  const auto welcome = expect<Welcome>();
  ASSERT_EQ(welcome.pods.size(), 2u);
  bool found = false;
  for (const auto& report : welcome.pods) {
    if (report.pod != pod) continue;
    found = true;
    EXPECT_EQ(report.revision, "uid-1");
    EXPECT_EQ(report.state, static_cast<uint8_t>(PodState::kReady));
  }
  EXPECT_TRUE(found);
  EXPECT_THAT(get(pod), testing::EndsWith("still here"));
}

TEST_F(LocalControllerTest, WithoutAFrontItEndsItself) {
  pod_with("def handle(request): return 1\n");
  expect<PodReady>();
  client_.reset();
  int status = 0;
  ASSERT_EQ(::waitpid(controller_, &status, 0), controller_);
  controller_ = -1;
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_TRUE(std::filesystem::is_empty(data_.pods()));
}

TEST_F(LocalControllerTest, AnUnknownRuntimeIsReported) {
  ASSERT_TRUE(client_->send(SetPool{.runtime = "cobol", .cold = 1}));
  EXPECT_THAT(expect<PoolFailed>().message, testing::HasSubstr("cobol"));
}

}  // namespace
}  // namespace ebb::node
