// The life of pods, and of those who tell the Local Controller what to do.
#include "node/controller_fixture.h"

namespace ebb::node {
namespace {

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

// By the freezer of v2, which may stand beside v1, and by that of v1.
class Freezing : public LocalControllerTest,
                 public testing::WithParamInterface<sandbox::CgroupMounts::Version> {
 protected:
  using Version = sandbox::CgroupMounts::Version;

  void SetUp() override {
    const auto mounts =
        GetParam() == Version::kV2 ? sandbox::CgroupMounts::find() : mounts_without_v2();
    if (!mounts || mounts->freezer.empty() || mounts->freezer_version != GetParam()) {
      GTEST_SKIP() << "it is not mounted here";
    }
    cgroups_ = *mounts;
    LocalControllerTest::SetUp();
    tree_ = "ebb-" + data_.id();
    groups_ = mounts->freezer + "/" + tree_ + "/";
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
    const bool v2 = GetParam() == Version::kV2;
    std::ifstream file(groups_ + pod + (v2 ? "/cgroup.events" : "/freezer.state"));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return text.find(v2 ? "frozen 1" : "FROZEN") != std::string::npos;
  }
  std::string tree_;
  std::string groups_;
};

INSTANTIATE_TEST_SUITE_P(By, Freezing,
                         testing::Values(sandbox::CgroupMounts::Version::kV2,
                                         sandbox::CgroupMounts::Version::kV1),
                         [](const auto& of) {
                           const bool v2 = of.param == sandbox::CgroupMounts::Version::kV2;
                           return std::string(v2 ? "V2" : "V1");
                         });

TEST_P(Freezing, AFrozenPodStandsStillAndGoesOnWhereItWas) {
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

TEST_P(Freezing, AFrozenPodCanBeStoppedAndLeavesNothing) {
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

TEST_P(Freezing, AFrontThatGoesLeavesNoPodFrozen) {
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

TEST_P(Freezing, ALocalControllerThatIsKilledLeavesNoPodFrozen) {
  const auto pod = pod_with(kTicking);
  expect<PodReady>();
  freeze(pod, true, 1);
  ::kill(controller_, SIGKILL);
  ::waitpid(std::exchange(controller_, -1), nullptr, 0);
  auto next = sandbox::CgroupTree::open(tree_, *cgroups_);
  ASSERT_TRUE(next);
  EXPECT_GT((*next)->sweep(), 0U);
  EXPECT_FALSE(std::filesystem::exists(groups_ + pod));
  next->reset();
  EXPECT_FALSE(std::filesystem::exists(groups_)) << "nothing is left of the tree";
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

// The groups of all pods together may be full as the machine may.
TEST_F(LocalControllerTest, WhatEndsForTheMachinesLackOfMemoryIsNotBlamedForIt) {
  const auto mounts = sandbox::CgroupMounts::find();
  ASSERT_TRUE(mounts);
  const bool v2 = mounts->version == sandbox::CgroupMounts::Version::kV2;
  const std::string all = mounts->folders.front() + "/ebb-" + data_.id();
  const auto limit = [&](uint64_t bytes) {
    std::ofstream(all + (v2 ? "/memory.max" : "/memory.limit_in_bytes")) << bytes << std::flush;
  };
  constexpr const char* kEats =
      "keep = []\n"
      "def eat():\n  while True: keep.append(bytearray(1 << 20))\n"
      "def handle(request): eat()\n";
  const auto serves = pod_with(kEats, 512ull << 20);
  expect<PodReady>();
  limit(128ull << 20);
  get(serves);
  auto gone = expect<PodGone>();
  EXPECT_EQ(gone.pod, serves);
  EXPECT_EQ(gone.reason, "OOMKilled");
  EXPECT_EQ(gone.message,
            "the machine ran out of memory and ended the function, though it kept its limit of "
            "512Mi");
  const auto loads = pod_with(std::string(kEats) + "eat()\n", 512ull << 20);
  gone = expect<PodGone>();
  EXPECT_EQ(gone.pod, loads);
  EXPECT_EQ(gone.reason, "KilledFromOutside") << "the next try may find room";
  EXPECT_THAT(gone.message, testing::HasSubstr("while it loaded its code, though it kept"));
}

TEST_F(LocalControllerTest, PodsAndZygotesEndBeforeWhatHoldsThem) {
  const auto score = [](pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/oom_score_adj");
    int value = -10000;
    file >> value;
    return value;
  };
  pod_with("def handle(request): return ''\n");
  expect<PodReady>();
  expect<PodCold>();
  const int own = score(::getpid());
  EXPECT_EQ(score(controller_), own);
  std::ifstream list("/proc/" + std::to_string(controller_) + "/task/" +
                     std::to_string(controller_) + "/children");
  int children = 0;
  for (pid_t child = 0; list >> child; ++children) EXPECT_EQ(score(child), std::max(own, 900));
  EXPECT_GE(children, 3) << "a zygote, a pod that serves, a cold one";
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
s.send(struct.pack('IiiIQ64s', 3, 0, 0, 0, 0, b''))
while s.recv(4096):
    s.send(struct.pack('IiiIQ64s', 3, 0, 1, 0, 0, b'clone a pod'))
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
