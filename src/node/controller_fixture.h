// For tests: the real Local Controller in a process of its own, with real pods. Needs root.
#pragma once

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
#include "node/local_controller.h"
#include "sandbox/enter.h"

#ifndef EBB_RUNTIMES  // the folder of those that were built: given to this folder's tests
#define EBB_RUNTIMES ""
#endif

namespace ebb::node {

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

  // Of the raw response, as a number.
  static int body_of(const std::string& response) {
    return std::atoi(response.substr(response.find("\r\n\r\n") + 4).c_str());
  }
  // A pod that forks as often as it can is held, and ends with all that it has forked.
  void expect_bomb_stops(const std::string& pod) {
    expect<PodReady>();
    const int children = body_of(get(pod));
    EXPECT_GT(children, 100);
    EXPECT_LT(children, 512);
    ASSERT_TRUE(client_->send(Stop{pod}));
    EXPECT_EQ(expect<PodGone>().reason, "Stopped");
  }

  // As if v2 were not mounted.
  static Result<sandbox::CgroupMounts> mounts_without_v2() {
    std::ifstream all("/proc/self/mountinfo");
    std::string v1;
    for (std::string line; std::getline(all, line);) {
      if (line.find(" - cgroup2 ") == std::string::npos) v1 += line + "\n";
    }
    std::ifstream own("/proc/self/cgroup");
    return sandbox::CgroupMounts::find(v1, {std::istreambuf_iterator<char>(own), {}}, "");
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

}  // namespace ebb::node
