// Real questions to a real server: Python's http.server in a process of its own that
// answers as Prometheus does.
#include "control/outside_metric.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "base/unique_fd.h"
#include "control/outside_metrics.h"
#include "net/test_util.h"

namespace ebb::control {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// Answers by path, and counts. Prints its port.
constexpr const char* kServer = R"(
import http.server, json, sys, time, urllib.parse
count = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self):
        global count
        count += 1
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query)).get('query')
        code, body = 200, b''
        if url.path == '/api/v1/query' and query == 'sum(up{a="b"})':
            data = {'resultType': 'vector', 'result': [{'metric': {}, 'value': [1.5, str(count)]}]}
            body = json.dumps({'status': 'success', 'data': data}).encode()
        elif url.path == '/api/v1/query':
            code, body = 400, json.dumps({'status': 'error', 'errorType': 'bad_data',
                                          'error': 'parse error'}).encode()
        elif url.path == '/stats':
            body = json.dumps({'queue': [{'length': 7}]}).encode()
        elif url.path == '/large':
            body = b'1' * (2 << 20)
        elif url.path == '/slow':
            time.sleep(60)
        else:
            code = 500
        self.send_response(code)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        try: self.wfile.write(body)
        except OSError: pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
)";

class OutsideMetricTest : public testing::Test {
 protected:
  OutsideMetricTest() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    out_.reset(fds[0]);
    UniqueFd in(fds[1]);
    server_ = ::fork();
    if (server_ == 0) {
      ::dup2(in.get(), STDOUT_FILENO);
      ::execl("/usr/bin/python3", "python3", "-c", kServer, nullptr);
      ::_exit(127);
    }
    in.reset();
    std::string line;  // it may come in pieces
    for (char c = 0; ::read(out_.get(), &c, 1) == 1 && c != '\n';) line += c;
    port_ = std::atoi(line.c_str());
    EXPECT_GT(port_, 0);
  }
  ~OutsideMetricTest() override { end_server(); }

  void end_server() {
    if (server_ <= 0) return;
    ::kill(server_, SIGKILL);
    ::waitpid(server_, nullptr, 0);
    server_ = -1;
  }

  [[nodiscard]] OutsideMetricSpec spec(const std::string& kind, const std::string& path,
                                       const std::string& query) const {
    auto out =
        parse_outside_metric(fmt::format("{} http://127.0.0.1:{}{} {}", kind, port_, path, query));
    EXPECT_TRUE(out) << out.error().message;
    out->interval = 1h;  // one question, unless a test says otherwise
    out->patience = 20s;
    return *out;
  }
  // What the first question finds.
  Result<OutsideMetric::Value> ask(const OutsideMetricSpec& what) {
    OutsideMetric metric(executor_, what);
    EXPECT_THAT(metric.value(executor_.now()).error().message, HasSubstr("no answer yet"));
    metric.start();
    net::run_until_true(executor_, [&] { return executor_.tasks() == 0; });
    return metric.value(executor_.now());
  }
  std::string error_of(const OutsideMetricSpec& what) {
    const auto value = ask(what);
    return value ? "no error" : value.error().message;
  }

  net::Executor executor_{"test"};
  UniqueFd out_;  // open, so that the server may print
  pid_t server_ = -1;
  int port_ = 0;
};

TEST_F(OutsideMetricTest, PrometheusAndJson) {
  const auto one = ask(spec("prometheus", "", "sum(up{a=\"b\"})"));
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(one->value, 1);
  EXPECT_LE(one->at, executor_.now());
  const auto length = ask(spec("json", "/stats", "/queue/0/length"));
  ASSERT_TRUE(length) << length.error().message;
  EXPECT_EQ(length->value, 7);
}

TEST_F(OutsideMetricTest, WhatIsWrongIsSaidWithTheUrl) {
  EXPECT_THAT(error_of(spec("prometheus", "", "sum(")),
              HasSubstr(fmt::format("http://127.0.0.1:{}/api/v1/query?query=sum%28: "
                                    "Prometheus says: parse error",
                                    port_)));
  EXPECT_THAT(error_of(spec("json", "/none", "/a")), HasSubstr("/none: the answer has the status "
                                                               "500"));
  EXPECT_THAT(error_of(spec("json", "/stats", "/queue/1")), HasSubstr("has nothing at /queue/1"));
  EXPECT_THAT(error_of(spec("json", "/large", "")), HasSubstr("more than 1048576 bytes"));
  auto slow = spec("json", "/slow", "");
  slow.patience = 100ms;
  EXPECT_THAT(error_of(slow), HasSubstr("/slow: no answer: "));
  end_server();
  EXPECT_THAT(error_of(spec("json", "/stats", "")), HasSubstr("cannot connect: "));
}

TEST_F(OutsideMetricTest, AsksAgainAndAValueThatStopsExpires) {
  auto what = spec("prometheus", "", "sum(up{a=\"b\"})");
  what.interval = 20ms;
  what.patience = 3s;
  OutsideMetric metric(executor_, what);
  metric.start();
  net::run_until_true(executor_, [&] {
    const auto value = metric.value(executor_.now());
    return value && value->value >= 3;
  });
  EXPECT_EQ(metric.problem(), "");
  end_server();
  net::run_until_true(executor_, [&] { return !metric.problem().empty(); });
  const TimePoint last = [&] {
    const auto value = metric.value(TimePoint());  // so old that nothing has expired
    return value ? value->at : TimePoint();
  }();
  EXPECT_TRUE(metric.value(last + 60ms));
  const auto expired = metric.value(last + 90s);
  ASSERT_FALSE(expired);
  EXPECT_EQ(expired.error().code, Errc::kUnavailable);
  EXPECT_THAT(expired.error().message, HasSubstr("cannot connect"));
  EXPECT_THAT(expired.error().message, HasSubstr("is older than 3 s and counts no more"));
}

TEST_F(OutsideMetricTest, MayEndWhileItAsks) {
  auto what = spec("json", "/slow", "");
  what.patience = 50ms;
  {
    OutsideMetric metric(executor_, what);
    metric.start();
    executor_.run_until(executor_.now() + 10ms);
    EXPECT_EQ(executor_.tasks(), 1u);
  }
  net::run_until_true(executor_, [&] { return executor_.tasks() == 0; });
}

TEST_F(OutsideMetricTest, LinkLocalAddressesAreNotAsked) {
  for (const char* host : {"169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"}) {
    OutsideMetric metric(executor_,
                         *parse_outside_metric(fmt::format("json http://{}/secret /key", host)));
    metric.start();
    net::run_until_true(executor_, [&] { return !metric.problem().empty(); });
    EXPECT_THAT(metric.problem(), HasSubstr("is not asked")) << host;
  }
}

TEST_F(OutsideMetricTest, WhoDeclaresTheSameOneSharesIt) {
  OutsideMetrics metrics(executor_);
  const std::string length = fmt::format("json http://127.0.0.1:{}/stats /queue/0/length", port_);
  std::optional<OutsideSource> jobs = metrics.source("jobs", length);
  {
    const OutsideSource also = metrics.source("tasks", length);
    EXPECT_EQ(also.name, "tasks");
    EXPECT_EQ(metrics.asked(), 1u);
    const OutsideSource other =
        metrics.source("other", fmt::format("json http://127.0.0.1:{}/none /a", port_));
    EXPECT_EQ(metrics.asked(), 2u);
  }
  EXPECT_EQ(metrics.asked(), 1u);
  EXPECT_THAT(jobs->read().error().message, HasSubstr("no answer yet"));
  net::run_until_true(executor_, [&] { return jobs->read().has_value(); });
  EXPECT_EQ(*jobs->read(), 7);
  jobs.reset();
  EXPECT_EQ(metrics.asked(), 0u);
  std::vector<OutsideSource> many;
  for (size_t i = 0; i < OutsideMetrics::kMost; ++i) {
    many.push_back(metrics.source("m", fmt::format("json http://127.0.0.1:{}/{} /a", port_, i)));
  }
  EXPECT_EQ(metrics.asked(), OutsideMetrics::kMost);
  EXPECT_THAT(metrics.source("more", length).read().error().message,
              HasSubstr("256 others are asked for already"));
  many.clear();
  EXPECT_EQ(metrics.asked(), 0u);
  const OutsideSource bad = metrics.source("bad", "ftp http://x/ /a");
  EXPECT_FALSE(bad.read());
  EXPECT_EQ(metrics.asked(), 0u);
}

}  // namespace
}  // namespace ebb::control
