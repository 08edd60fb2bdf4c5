#include "control/outside_metric.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/log.h"
#include "http/client.h"
#include "net/listener.h"
#include "net/resolve.h"

namespace ebb::control {
namespace {

constexpr int kOk = 200;

struct Answer {
  int status = 0;
  std::string body;
};

// The first of the addresses that takes the connection.
net::Task<net::IoResult<net::Stream>> connect_one(net::Executor& executor,
                                                  std::vector<net::Address> addresses,
                                                  TimePoint deadline) {
  net::IoResult<net::Stream> stream = fail(net::IoError::kRefused);
  for (const auto& address : addresses) {
    auto connecting = net::connect(executor, address, deadline);
    stream = co_await connecting;
    if (stream) break;
  }
  co_return stream;
}

net::Task<Result<Answer>> exchange(net::Stream stream, HttpUrl url, TimePoint deadline) {
  http::ClientConnection connection(std::move(stream));
  http::Fields fields;
  fields.add("Host", url.authority);
  fields.add("Accept", "application/json");
  fields.add("User-Agent", "ebb");
  fields.add("Connection", "close");
  auto sending =
      connection.send_head("GET", url.target, fields, http::BodyLength::none(), "", deadline);
  const auto sent = co_await sending;
  // After an error the server may still have answered.
  auto reading = connection.read_head(deadline);
  auto head = co_await reading;
  if (!head) {
    co_return fail(Errc::kUnavailable, "no answer: {}",
                   http::to_string(sent ? head.error() : sent.error()));
  }
  Answer answer;
  answer.status = (*head)->status;
  for (;;) {
    auto next = connection.read_body(deadline);
    auto piece = co_await next;
    if (!piece) {
      co_return fail(Errc::kUnavailable, "the answer broke off: {}",
                     http::to_string(piece.error()));
    }
    if (piece->empty()) co_return answer;
    if (answer.body.size() + piece->size() > OutsideMetric::kMaxAnswer) {
      co_return fail(Errc::kExhausted, "the answer has more than {} bytes",
                     OutsideMetric::kMaxAnswer);
    }
    answer.body += *piece;
  }
}

bool is_link_local(const net::Address& address) {
  in_addr four{};
  if (::inet_pton(AF_INET, address.host.c_str(), &four) == 1) {
    return (ntohl(four.s_addr) >> 16) == 0xA9FE;  // 169.254.0.0/16
  }
  in6_addr six{};
  if (::inet_pton(AF_INET6, address.host.c_str(), &six) != 1) return false;
  if (IN6_IS_ADDR_LINKLOCAL(&six)) return true;
  const uint8_t* last = &six.s6_addr[12];  // the same, mapped
  return IN6_IS_ADDR_V4MAPPED(&six) && last[0] == 169 && last[1] == 254;
}

net::Task<Result<Answer>> fetch(net::Executor& executor, HttpUrl url, TimePoint deadline) {
  auto looking = net::resolve(executor, url.host, url.port, deadline);
  auto addresses = co_await looking;
  if (!addresses) co_return fail(addresses.error());
  if (std::any_of(addresses->begin(), addresses->end(), is_link_local)) {
    co_return fail(Errc::kPermission,
                   "{} is link-local, where clouds tell machines their secrets: it is not asked",
                   url.host);
  }
  auto connecting = connect_one(executor, std::move(*addresses), deadline);
  auto stream = co_await connecting;
  if (!stream) {
    co_return fail(Errc::kUnavailable, "cannot connect: {}", net::to_string(stream.error()));
  }
  auto asking = exchange(std::move(*stream), std::move(url), deadline);
  auto answer = co_await asking;
  co_return answer;
}

Result<double> read(const OutsideMetricSpec& spec, const Result<Answer>& answer) {
  if (!answer) return fail(answer.error());
  if (answer->status == kOk) return value_of(spec, answer->body);
  // Prometheus says in the body why it refuses a query.
  if (spec.kind == OutsideMetricSpec::Kind::kPrometheus) {
    auto value = prometheus_value(answer->body);
    if (!value && value.error().message.starts_with("Prometheus says")) return value;
  }
  return fail(Errc::kUnavailable, "the answer has the status {}", answer->status);
}

}  // namespace

struct OutsideMetric::State {
  State(net::Executor& e, OutsideMetricSpec s)
      : executor(e), spec(std::move(s)), url(url_of(spec)) {}
  net::Executor& executor;
  const OutsideMetricSpec spec;
  const std::string url;
  std::optional<Value> last;
  std::string problem;
  bool asking = false;
  bool ended = false;
  net::Timer next;
};

OutsideMetric::OutsideMetric(net::Executor& executor, OutsideMetricSpec spec)
    : state_(std::make_shared<State>(executor, std::move(spec))) {
  // Not shared: the timer is the state's own.
  state_->next.fire = [state = std::weak_ptr<State>(state_)] {
    if (const auto alive = state.lock()) ask(alive);
  };
}

OutsideMetric::~OutsideMetric() {
  state_->ended = true;
  state_->next.disarm();
}

void OutsideMetric::start() { ask(state_); }

void OutsideMetric::ask(const std::shared_ptr<State>& state) {
  state->executor.arm(state->next, state->executor.now() + state->spec.interval);
  if (state->asking) return;  // patience may be longer than the interval
  state->executor.spawn(ask_once(state));
}

net::Task<void> OutsideMetric::ask_once(std::shared_ptr<State> state) {
  state->asking = true;
  Result<Answer> answer = fail(Errc::kInvalid, "");
  auto url = parse_http_url(state->url);
  if (url) {
    const TimePoint deadline = state->executor.now() + state->spec.patience;
    auto fetching = fetch(state->executor, std::move(*url), deadline);
    answer = co_await fetching;
  } else {
    answer = fail(url.error());
  }
  state->asking = false;
  if (state->ended) co_return;
  const auto value = read(state->spec, answer);
  if (value) {
    if (!state->problem.empty()) log::info("metric", "{} answers again", state->url);
    state->last = Value{*value, state->executor.now()};
    state->problem.clear();
    co_return;
  }
  std::string problem = fmt::format("{}: {}", state->url, value.error().message);
  // Said once, not every interval.
  if (problem != state->problem) log::warn("metric", "{}", problem);
  state->problem = std::move(problem);
}

Result<OutsideMetric::Value> OutsideMetric::value(TimePoint now) const {
  const State& state = *state_;
  if (!state.last) {
    return fail(Errc::kUnavailable, "{}",
                state.problem.empty() ? state.url + ": no answer yet" : state.problem);
  }
  // A server that takes its time is no worse than one that is asked seldom.
  const Duration most = std::max<Duration>(kExpiresAfter * state.spec.interval,
                                           state.spec.interval + state.spec.patience);
  if (now - state.last->at <= most) return *state.last;
  // Without its age: who shows the text need not do so anew every second.
  return fail(Errc::kUnavailable, "{}; the last value, {}, is older than {} s and counts no more",
              state.problem.empty() ? state.url + ": no answer" : state.problem, state.last->value,
              most / std::chrono::seconds(1));
}

const std::string& OutsideMetric::problem() const { return state_->problem; }

}  // namespace ebb::control
