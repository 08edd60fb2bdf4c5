#include "apiserver/log_endpoint.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "api/types.h"
#include "apiserver/log_reader.h"
#include "apiserver/send.h"
#include "base/counted.h"
#include "base/log.h"

namespace ebb::apiserver {
namespace {

using api::Json;

// RFC 3339 with six digits of a second, as the lines of a log have it.
std::string log_time(WallTime time) {
  const auto micros = std::chrono::floor<std::chrono::microseconds>(time.time_since_epoch());
  const auto fraction = micros % std::chrono::seconds(1);
  std::string text = api::to_rfc3339(time);
  text.pop_back();
  return fmt::format("{}.{:06}Z", text, fraction.count());
}

// What the query asks for.
struct Wishes {
  bool follow = false;
  bool timestamps = false;
  std::string since;  // empty: all
  std::optional<uint64_t> tail;
  std::optional<uint64_t> limit;  // bytes

  [[nodiscard]] static Result<Wishes> read(const ApiRequest& request, WallTime now);
};

Result<std::optional<uint64_t>> number(const ApiRequest& request, const char* name,
                                       uint64_t least) {
  const auto text = request.parameter(name);
  if (text.empty()) return std::optional<uint64_t>();
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least) {
    return fail(Errc::kInvalid, "{}: Invalid value: \"{}\": must be a whole number of at least {}",
                name, text, least);
  }
  return std::optional(value);
}

Result<Wishes> Wishes::read(const ApiRequest& request, WallTime now) {
  Wishes out;
  out.follow = request.flag("follow");
  out.timestamps = request.flag("timestamps");
  if (request.flag("previous")) {
    return fail(Errc::kInvalid,
                "previous: a pod of Ebb never starts again; the log of the "
                "service has what its ended pods said");
  }
  const auto since = number(request, "sinceSeconds", 1);
  const auto tail = number(request, "tailLines", 0);
  const auto limit = number(request, "limitBytes", 1);
  for (const auto* one : {&since, &tail, &limit}) {
    if (!*one) return fail(one->error());
  }
  out.tail = *tail;
  out.limit = *limit;
  if (*since) {
    constexpr uint64_t kMost = 10ULL * 365 * 24 * 3600;
    out.since = log_time(now - std::chrono::seconds(std::min(**since, kMost)));
  } else if (const auto text = request.parameter("sinceTime"); !text.empty()) {
    const auto time = api::from_rfc3339(text);
    if (!time) return fail(Errc::kInvalid, "sinceTime: {}", time.error().message);
    out.since = log_time(*time);
  }
  return out;
}

// Suspends until the loop has turned once.
struct LetOthersRun {
  net::Executor& executor;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) const { executor.resume(waiter); }
  void await_resume() const noexcept {}
};

std::string uid_of(const Json& object) { return object["metadata"].value("uid", ""); }

// Becomes part of a file's name.
bool is_uid(std::string_view uid) {
  return !uid.empty() && uid.size() <= 64 &&
         uid.find_first_not_of("0123456789abcdefABCDEF-") == std::string_view::npos;
}

}  // namespace

// --- Changes ---

FolderWatch::FolderWatch(net::Executor& executor, std::string folder)
    : executor_(executor), folder_(std::move(folder)) {}

FolderWatch::~FolderWatch() { events_.reset(); }

void FolderWatch::begin() {
  inotify_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify_ || ::inotify_add_watch(inotify_.get(), folder_.c_str(),
                                       IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0) {
    inotify_.reset();
    return;
  }
  events_ = std::make_unique<net::FdWatch>(executor_, inotify_.get(), [this] { on_event(); });
}

void FolderWatch::on_event() {
  // Which file it was does not matter.
  alignas(inotify_event) char buffer[16 * 1024];
  while (::read(inotify_.get(), buffer, sizeof buffer) > 0) {
  }
  ++changes_;
  for (auto& sender : std::exchange(waiting_, {})) sender.set(true);
}

FolderWatch::Waiter::Waiter(FolderWatch& watch) : watch_(watch), seen_(watch.changes_) {
  if (watch_.waiters_++ == 0) watch_.begin();
}

FolderWatch::Waiter::~Waiter() {
  if (--watch_.waiters_ > 0) return;
  watch_.events_.reset();
  watch_.inotify_.reset();
}

net::Task<void> FolderWatch::Waiter::changed(TimePoint deadline) {
  net::Executor& executor = watch_.executor_;
  if (watch_.events_ == nullptr) {
    auto nap = executor.sleep_until(std::min(deadline, executor.now() + kPollEvery));
    co_await nap;
    co_return;
  }
  if (seen_ == watch_.changes_) {
    auto shot = net::OneShot<bool>::make(executor);
    watch_.waiting_.push_back(shot.sender);
    auto waiting = shot.receiver.wait(deadline);
    const auto set = co_await waiting;
    // Those that gave up are dropped with the next change, or here when there are many.
    if (!set && watch_.waiting_.size() > 4 * static_cast<size_t>(watch_.waiters_)) {
      for (auto& sender : std::exchange(watch_.waiting_, {})) sender.set(true);
    }
  }
  seen_ = watch_.changes_;
}

// --- Reading ---

// The lines that one client wants, as text.
class LogEndpoint::Reading final {
 public:
  Reading(std::string folder, std::string pod, Wishes wishes)
      : folder_(std::move(folder)), pod_(std::move(pod)), wishes_(std::move(wishes)) {}

  void add(const std::vector<std::string>& revisions) {
    for (const auto& uid : revisions) {
      if (!is_uid(uid) || !known_.insert(uid).second) continue;
      LogReader reader(folder_, uid);
      if (!wishes_.follow) reader.end_here();
      if (wishes_.tail && !counted_) {
        LogReader counted = reader.twin();
        counted.end_here();
        counting_.add(std::move(counted));
      }
      merge_.add(std::move(reader));
    }
  }
  [[nodiscard]] size_t logs() const { return known_.size(); }
  [[nodiscard]] const Wishes& wishes() const { return wishes_; }
  // For the wish of a tail, before the first slice: counts about kSlice of what there was
  // when the logs were added; false once it knows which lines slices have to leave out.
  // Counting first needs no memory for any number of lines.
  bool count() {
    if (walk(counting_, [this](const LogLine&) { ++skip_; })) return true;
    skip_ -= std::min(skip_, *wishes_.tail);
    counting_ = LogMerge();
    counted_ = true;
    return false;
  }

  // Reads at most about kSlice; false if there is nothing more so far. Calls `each` with
  // each line that is wanted.
  template <class Each>
  bool slice(const Each& each) {
    return walk(merge_, [&](const LogLine& line) {
      if (skip_ == 0) {
        each(line);
      } else {
        --skip_;
      }
    });
  }

  // Adds a line to the text; false once the limit of bytes is reached.
  bool append(const LogLine& line, std::string& text) {
    std::string one;
    if (pod_.empty()) one += line.pod + " ";
    if (wishes_.timestamps) one += line.time + " ";
    one += line.text;
    one += '\n';
    const uint64_t room = wishes_.limit ? *wishes_.limit - given_ : one.size();
    text += std::string_view(one).substr(0, room);
    given_ += std::min<uint64_t>(one.size(), room);
    return !full();
  }
  [[nodiscard]] bool full() const { return wishes_.limit && given_ >= *wishes_.limit; }

 private:
  static constexpr size_t kSliceLines = 4096;

  template <class Each>
  bool walk(LogMerge& merge, const Each& each) {
    const uint64_t end = merge.bytes_read() + kSlice;
    size_t lines = 0;
    while (merge.bytes_read() < end && ++lines < kSliceLines) {
      const auto line = merge.next();
      if (!line) return false;
      if (line->time < wishes_.since || (!pod_.empty() && line->pod != pod_)) continue;
      each(*line);
    }
    return true;
  }

  std::string folder_;
  std::string pod_;  // empty: all
  Wishes wishes_;
  std::set<std::string> known_;
  LogMerge merge_;
  LogMerge counting_;  // the same logs, for count()
  bool counted_ = false;
  uint64_t skip_ = 0;  // lines that slices still leave out
  uint64_t given_ = 0;
};

LogEndpoint::LogEndpoint(net::Executor& executor, std::string folder,
                         resources::ResourceClient& stored, resources::ResourceClient& live,
                         const Clock& clock)
    : executor_(executor),
      stored_(stored),
      live_(live),
      clock_(clock),
      watch_(executor, std::move(folder)) {}

net::Task<Result<std::vector<std::string>>> LogEndpoint::revisions_of_pod(
    const ApiRequest& request) {
  resources::ObjectKey key{request.ns, request.name};
  auto pod = co_await live_.get(api::Pod::kind(), std::move(key));
  if (!pod) co_return fail(pod.error());
  std::vector<std::string> revisions;
  const auto meta = api::Pod::from_json(*pod);
  const auto label = meta ? meta->meta.labels.find(std::string(api::kRevisionLabel))
                          : std::map<std::string, std::string>::const_iterator();
  if (!meta || label == meta->meta.labels.end()) co_return revisions;  // cold: it said nothing
  key = {request.ns, label->second};
  auto revision = co_await stored_.get(api::Revision::kind(), std::move(key));
  if (revision) revisions.push_back(uid_of(*revision));
  co_return revisions;
}

net::Task<Result<std::vector<std::string>>> LogEndpoint::revisions_of_service(
    const ApiRequest& request) {
  resources::ObjectKey key{request.ns, request.name};
  auto service = co_await stored_.get(api::Service::kind(), std::move(key));
  if (!service) co_return fail(service.error());
  std::string ns = request.ns;
  auto all = co_await stored_.list(api::Revision::kind(), std::move(ns));
  if (!all) co_return fail(all.error());
  std::vector<std::pair<std::string, std::string>> found;  // when it was made, uid
  const auto label = Json::json_pointer("/metadata/labels") / std::string(api::kServiceLabel);
  for (const auto& revision : all->items) {
    if (!revision.contains(label) || revision.at(label) != request.name) continue;
    found.emplace_back(revision["metadata"].value("creationTimestamp", ""), uid_of(revision));
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> revisions;
  for (size_t i = found.size() - std::min(found.size(), kMaxRevisions); i < found.size(); ++i) {
    revisions.push_back(found[i].second);
  }
  co_return revisions;
}

net::Task<void> LogEndpoint::serve(http::Exchange& exchange, const ApiRequest& request) {
  Result<std::vector<std::string>> revisions;
  if (request.endpoint == ApiRequest::Endpoint::kPodLog) {
    revisions = co_await revisions_of_pod(request);
  } else {
    revisions = co_await revisions_of_service(request);
  }
  std::optional<Response> refusal;
  if (!revisions) {
    const bool pod = request.endpoint == ApiRequest::Endpoint::kPodLog;
    refusal =
        failure(revisions.error(), pod ? api::Pod::kind() : api::Service::kind(), request.name);
  } else if (readers_ >= kMaxReaders) {
    refusal = failure(429, "there are too many readers of logs already");
  }
  if (refusal) {
    co_await send(exchange, *refusal);
    co_return;
  }
  Counted counted(readers_);
  auto streaming = stream(exchange, request, std::move(*revisions));
  co_await streaming;
}

net::Task<void> LogEndpoint::stream(http::Exchange& exchange, const ApiRequest& request,
                                    std::vector<std::string> revisions) {
  auto wishes = Wishes::read(request, clock_.wall());
  if (!wishes) {
    Response refusal = failure(400, wishes.error().message);
    co_await send(exchange, refusal);
    co_return;
  }
  const bool of_pod = request.endpoint == ApiRequest::Endpoint::kPodLog;
  Reading reading(watch_.folder(), of_pod ? request.name : "", std::move(*wishes));
  reading.add(revisions);
  std::optional<FolderWatch::Waiter> waiter;
  if (reading.wishes().follow) waiter.emplace(watch_);

  if (reading.wishes().tail) {
    LetOthersRun pause{executor_};
    while (reading.count()) co_await pause;
  }

  http::ResponseHead head;
  head.fields.add("Content-Type", "text/plain; charset=utf-8");
  head.fields.add("Cache-Control", "no-cache, private");
  head.body = http::BodyLength::chunked();
  auto sent = co_await exchange.begin(head);
  if (sent) sent = co_await exchange.write({});  // the head, even if nothing comes
  const TimePoint end = executor_.now() + kMaxFollow;
  TimePoint relist = executor_.now() + kRelist;
  std::string text;
  while (sent && !reading.full()) {
    const bool more = reading.slice([&](const LogLine& line) {
      if (!reading.full()) reading.append(line, text);
    });
    if (text.size() >= kWritePiece || (!more && !text.empty())) {
      sent = co_await exchange.write(text);
      text.clear();
    }
    if (more) {
      LetOthersRun pause{executor_};
      co_await pause;
      continue;
    }
    const TimePoint now = executor_.now();
    if (!waiter || !sent || ended_ || now >= end || exchange.client_left()) break;
    if (!of_pod && now >= relist) {
      relist = now + kRelist;
      auto listing = revisions_of_service(request);
      auto again = co_await listing;
      if (!again) break;  // the service is gone
      reading.add(*again);
    }
    auto waiting = waiter->changed(std::min(end, now + kPatience));
    co_await waiting;
  }
  if (sent && !text.empty()) sent = co_await exchange.write(text);
  if (sent) (void)co_await exchange.finish();
}

}  // namespace ebb::apiserver
