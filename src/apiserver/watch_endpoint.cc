#include "apiserver/watch_endpoint.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "api/json.h"
#include "apiserver/selector.h"
#include "apiserver/send.h"
#include "apiserver/table.h"
#include "base/counted.h"
#include "net/executor.h"

namespace ebb::apiserver {
namespace {

using api::Json;
using resources::ResourceEvent;

constexpr const char* kInitialEventsEnd = "k8s.io/initial-events-end";

const char* type_of(ResourceEvent::Type type) {
  switch (type) {
    case ResourceEvent::Type::kAdded:
      return "ADDED";
    case ResourceEvent::Type::kModified:
      return "MODIFIED";
    case ResourceEvent::Type::kDeleted:
      break;
  }
  return "DELETED";
}

Duration time_of(const ApiRequest& request) {
  auto text = request.parameter("timeoutSeconds");
  int64_t seconds = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds <= 0) {
    return WatchEndpoint::kDefaultTime;
  }
  constexpr int64_t kMost = WatchEndpoint::kMaxTime / std::chrono::seconds(1);
  return std::chrono::seconds(std::min(seconds, kMost));
}

}  // namespace

// The lines of one watch.
class WatchEndpoint::Stream final {
 public:
  Stream(const ApiRequest& request, Selector selector, bool table, const Clock& clock)
      : request_(request), selector_(std::move(selector)), table_(table), clock_(clock) {}

  void add(const ResourceEvent& event) {
    version_ = event.object["metadata"].value("resourceVersion", version_);
    bool matches = selector_.matches(event.object);
    if (matches) return line(type_of(event.type), event.object);
    // An object that lost the label is gone for this client. It may never have had
    // it: clients ignore the end of what they do not know.
    bool lost = selector_.by_label() && event.type == ResourceEvent::Type::kModified;
    if (lost) line("DELETED", event.object);
  }
  void add_initial(const resources::ObjectList& list, bool announce_end) {
    version_ = list.resource_version;
    for (const auto& object : list.items) {
      if (selector_.matches(object)) line("ADDED", object);
    }
    if (announce_end) bookmark(true);
  }
  void bookmark(bool initial_end) {
    Json object;
    object["kind"] = request_.kind->kind;
    object["apiVersion"] = request_.kind->api_version();
    object["metadata"]["resourceVersion"] = version_;
    if (initial_end) object["metadata"]["annotations"][kInitialEventsEnd] = "true";
    line("BOOKMARK", object);
  }
  void heartbeat() {
    if (request_.flag("allowWatchBookmarks") && !version_.empty()) {
      bookmark(false);
    } else {
      text_ += ' ';  // JSON readers skip it
    }
  }
  void fail(const Error& error) {
    Json event;
    event["type"] = "ERROR";
    event["object"] = failure(error, *request_.kind, "").body;
    text_ += api::to_text(event) + "\n";
  }
  // What is to be sent.
  [[nodiscard]] std::string take() { return std::exchange(text_, {}); }

 private:
  void line(const char* type, const Json& object) {
    Json event;
    event["type"] = type;
    event["object"] = table_ ? to_table(*request_.kind, {object}, version_, clock_.wall(),
                                        row_object_of(request_))
                             : object;
    text_ += api::to_text(event) + "\n";
  }

  const ApiRequest& request_;
  Selector selector_;
  bool table_;
  const Clock& clock_;
  std::string version_;  // the newest that the client has heard of
  std::string text_;
};

net::Task<void> WatchEndpoint::serve(http::Exchange& exchange, const ApiRequest& request,
                                     resources::ResourceClient& client, bool table) {
  auto selector =
      Selector::parse(request.parameter("labelSelector"), request.parameter("fieldSelector"));
  if (!selector || active_ >= kMaxWatches || ended_) {
    Response refusal = !selector ? failure(400, selector.error().message)
                       : ended_  ? failure(503, "the server is shutting down")
                                 : failure(429, "there are too many watches already");
    co_await send(exchange, refusal);
    co_return;
  }
  Counted counted(active_);
  Stream stream(request, std::move(*selector), table, clock_);
  TimePoint end = exchange.executor().now() + time_of(request);

  // Without a version, or when asked to, it begins with what there is.
  std::string after(request.parameter("resourceVersion"));
  bool announce_end = request.flag("sendInitialEvents");
  if (after.empty() || after == "0" || announce_end) {
    std::string ns = request.ns;
    auto list = co_await client.list(*request.kind, std::move(ns));
    if (!list) {
      Response refusal = failure(list.error(), *request.kind, "");
      co_await send(exchange, refusal);
      co_return;
    }
    after = list->resource_version;
    stream.add_initial(*list, announce_end);
  }
  std::string ns = request.ns;
  auto watch = client.watch(*request.kind, std::move(ns), std::move(after));

  http::ResponseHead head;
  head.fields.add("Content-Type", "application/json");
  head.body = http::BodyLength::chunked();
  auto sent = co_await exchange.begin(head);
  std::string text = stream.take();
  if (sent) sent = co_await exchange.write(text);
  TimePoint heartbeat = exchange.executor().now() + kHeartbeat;
  bool over = false;
  while (sent && !over && !ended_ && exchange.executor().now() < end) {
    TimePoint wait_until = std::min(end, exchange.executor().now() + kPatience);
    auto events = co_await watch->next(wait_until);
    if (events) {
      for (const auto& event : *events) stream.add(event);
    } else if (events.error().code != Errc::kTimeout) {
      stream.fail(events.error());
      over = true;
    } else if (exchange.executor().now() >= heartbeat) {
      stream.heartbeat();
    }
    text = stream.take();
    if (text.empty()) continue;
    sent = co_await exchange.write(text);
    heartbeat = exchange.executor().now() + kHeartbeat;
  }
  if (sent) (void)co_await exchange.finish();
}

}  // namespace ebb::apiserver
