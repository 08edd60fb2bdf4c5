// Pods that are forked from one that has loaded their code.
#include "node/controller_fixture.h"

namespace ebb::node {
namespace {

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
  // The process that has forked it.
  [[nodiscard]] pid_t parent_of(const std::string& pod) const {
    int child = 0;
    std::ifstream(group(pod) + "/cgroup.procs") >> child;
    std::ifstream status("/proc/" + std::to_string(child) + "/status");
    for (std::string line; std::getline(status, line);) {
      const int parent = line.starts_with("PPid:") ? std::stoi(line.substr(5)) : 0;
      if (parent > 1) return parent;
    }
    ADD_FAILURE() << "it has no parent";
    return ::getpid();
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
  ASSERT_EQ(::kill(parent_of(pod), SIGKILL), 0);
  const auto gone = expect<PodGone>();
  EXPECT_EQ(gone.pod, pod);
  EXPECT_EQ(gone.message, "the pod that it was forked from has ended");
  EXPECT_EQ(words(get(start())).front(), "1");
}

// Its freezer holds back even SIGKILL.
class ForkV1FreezerTest : public ForkTest {
 protected:
  void SetUp() override {
    auto mounts = mounts_without_v2();
    if (!mounts || mounts->freezer.empty()) GTEST_SKIP() << "no freezer of cgroup v1 is mounted";
    cgroups_ = std::move(*mounts);
    ForkTest::SetUp();
  }
};

TEST_F(ForkV1FreezerTest, FrozenOnesEndWithTheOneThatForkedThem) {
  const auto pod = forked();
  await_processes(pod, 1);
  ASSERT_TRUE(client_->send(Freeze{.pod = pod, .frozen = 1, .turn = 1}));
  const auto state = cgroups_->freezer + "/ebb-" + data_.id() + "/" + pod + "/freezer.state";
  std::string text;
  for (const auto deadline = executor_.now() + kPatience;
       text != "FROZEN" && executor_.now() < deadline;) {
    executor_.run_until(executor_.now() + 5ms);
    std::ifstream(state) >> text;
  }
  ASSERT_EQ(text, "FROZEN");
  ASSERT_EQ(::kill(parent_of(pod), SIGKILL), 0);
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

}  // namespace
}  // namespace ebb::node
