// For tests: text to a server on one executor, and what comes back.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "http/server.h"
#include "net/executor.h"
#include "net/listener.h"

namespace ebb::http {

class TalkTest : public testing::Test {
 protected:
  static constexpr Duration kPatience = std::chrono::seconds(20);  // for a test that hangs

  // Serves from now on, and nothing else does.
  void listen(Handler& handler, const ServerOptions& options) {
    if (server) {
      EXPECT_EQ(run(server->drain(soon())), 0u);
    }
    auto fds = net::bind_shared(*net::Address::parse("127.0.0.1:0"), 1);
    ASSERT_TRUE(fds) << fds.error().message;
    server.emplace(executor, std::move(fds->front()), handler, options);
    server->start();
  }

  [[nodiscard]] TimePoint soon() const { return executor.now() + std::chrono::seconds(10); }

  // Runs the loop until the task ends.
  template <class T>
  T run(net::Task<T> task) {
    auto result = launch(std::move(task));
    return await(result);
  }
  // What the task comes to; it runs as soon as the loop does.
  template <class T>
  std::shared_ptr<std::optional<T>> launch(net::Task<T> task) {
    auto result = std::make_shared<std::optional<T>>();
    executor.spawn(store(std::move(task), result));
    return result;
  }
  // Runs the loop until that is there.
  template <class T>
  T await(const std::shared_ptr<std::optional<T>>& result) {
    run_while([&] { return !*result; });
    if (!*result) throw std::runtime_error("the test hangs");
    return std::move(**result);
  }

  // Runs the loop while `busy`, at most for kPatience.
  template <class Condition>
  void run_while(Condition busy) {
    const TimePoint limit = executor.now() + kPatience;
    while (busy() && executor.now() < limit) executor.run_until(limit);
    EXPECT_FALSE(busy()) << "the test hangs";
  }

  // Runs the loop until then, or until `done`, which is looked at every 10 ms.
  void run_until(TimePoint then) {
    run_until(then, [] { return false; });
  }
  template <class Done>
  void run_until(TimePoint then, Done done) {
    while (!done() && executor.now() < then) {
      executor.run_until(std::min(then, executor.now() + std::chrono::milliseconds(10)));
    }
  }

  net::Task<net::Stream> dial() {
    auto stream = co_await net::connect(executor, server->address(), soon());
    if (!stream) throw std::runtime_error("connect failed");
    co_return std::move(*stream);
  }

  net::Task<bool> send(net::Stream& stream, std::string text) {
    const auto sent = co_await stream.write_all(text, soon());
    co_return sent.has_value();
  }

  // Sends `text`, then reads until the server closes; "!" at the end: by a reset.
  net::Task<std::string> talk(std::string text) {
    auto stream = co_await dial();
    (void)co_await stream.write_all(text, soon());
    co_return co_await read_to_end(stream);
  }

  net::Task<std::string> read_to_end(net::Stream& stream) {
    std::string answer;
    std::vector<char> buffer(64 * 1024);
    for (;;) {
      const auto n = co_await stream.read_some(buffer, soon());
      if (!n) co_return answer + (n.error() == net::IoError::kClosed ? "!" : "?");
      if (*n == 0) co_return answer;
      answer.append(buffer.data(), *n);
    }
  }

  // Reads until the answer so far ends in `end`.
  net::Task<std::string> read_up_to(net::Stream& stream, std::string end) {
    std::string answer;
    char byte = 0;
    while (!answer.ends_with(end)) {
      const auto n = co_await stream.read_some({&byte, 1}, soon());
      if (!n || *n == 0) co_return answer + "<end>";
      answer.push_back(byte);
    }
    co_return answer;
  }

  net::Executor executor{"test"};
  std::optional<Server> server;

 private:
  template <class T>
  static net::Task<void> store(net::Task<T> task, std::shared_ptr<std::optional<T>> result) {
    result->emplace(co_await task);
  }
};

inline size_t times(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

}  // namespace ebb::http
