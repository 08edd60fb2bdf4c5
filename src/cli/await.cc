#include "cli/await.h"

#include <nlohmann/json.hpp>
#include <thread>

#include "api/json.h"
#include "cli/console.h"
#include "cli/resource_kinds.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

using api::Json;

constexpr Duration kRetryPause = std::chrono::milliseconds(200);

class Waiter {
 public:
  Waiter(Awaited& awaited, ApiClient& client) : awaited_(awaited), client_(client) {}

  Result<Json> wait(TimePoint deadline) {
    const Duration patience = deadline - client_.now();  // as the user chose it, nearly
    for (;;) {
      const Verdict verdict = awaited_.judge(awaited_.object);
      if (verdict.kind == Verdict::Kind::kDone) return awaited_.object;
      if (verdict.kind == Verdict::Kind::kFailed) {
        return fail(Errc::kInternal, "{} \"{}\" failed: {}", awaited_.kind.singular, awaited_.name,
                    verdict.message);
      }
      if (client_.now() >= deadline) {
        return fail(Errc::kTimeout, "{} \"{}\" was not {} within {}{}{}", awaited_.kind.singular,
                    awaited_.name, awaited_.gone_is_done ? "gone" : "ready", format_took(patience),
                    verdict.message.empty() ? "" : ": ", verdict.message);
      }
      const TimePoint began = client_.now();
      const auto followed = follow(deadline);
      if (deleted_) return deleted();
      if (awaited_.judge(awaited_.object).kind != Verdict::Kind::kPending) continue;
      if (client_.now() >= deadline) continue;
      // The watch ended early: look, and try again, but not in a tight loop.
      if (!followed && followed.error().code == Errc::kPermission) return fail(followed.error());
      if (client_.now() - began < kRetryPause) std::this_thread::sleep_for(kRetryPause);
      auto fresh = client_.get(path_of(awaited_.kind, awaited_.ns, awaited_.name),
                               std::min(deadline, client_.now() + kCallTimeout));
      if (fresh) awaited_.object = std::move(*fresh);
      if (!fresh && fresh.error().code == Errc::kNotFound) return deleted();
      if (!fresh && fresh.error().code != Errc::kUnavailable) return fail(fresh.error());
    }
  }

 private:
  [[nodiscard]] Result<Json> deleted() const {
    if (awaited_.gone_is_done) return awaited_.object;
    return fail(Errc::kNotFound, "{} \"{}\" was deleted", awaited_.kind.singular, awaited_.name);
  }

  Result<void> follow(TimePoint deadline) {
    const std::string path =
        path_of(awaited_.kind, awaited_.ns, "") + "?watch=true&fieldSelector=metadata.name%3D" +
        awaited_.name +
        "&resourceVersion=" + text_at(awaited_.object, {"metadata", "resourceVersion"});
    return client_.watch(path, [this](std::string_view line) { return take(line); }, deadline);
  }

  // False ends the watch.
  bool take(std::string_view line) {
    auto event = api::parse_json(line);
    if (!event || !event->is_object() || !event->contains("object")) return true;
    const std::string type = text_at(*event, {"type"});
    if (type == "ERROR") return false;
    if (text_at(*event, {"object", "metadata", "name"}) != awaited_.name) return true;
    if (type == "DELETED") {
      deleted_ = true;
      return false;
    }
    if (type != "ADDED" && type != "MODIFIED") return true;
    awaited_.object = std::move((*event)["object"]);
    return awaited_.judge(awaited_.object).kind == Verdict::Kind::kPending;
  }

  Awaited& awaited_;
  ApiClient& client_;
  bool deleted_ = false;
};

int64_t number_at(const Json& object, const char* at, const char* name) {
  const std::string text = text_at(object, {at, name});
  return text.empty() ? 0 : std::strtoll(text.c_str(), nullptr, 10);
}

}  // namespace

Verdict readiness_of(const Json& object) {
  const Json ready = condition_of(object, "Ready");
  const std::string status = text_at(ready, {"status"});
  std::string message = text_at(ready, {"message"});
  if (message.empty()) message = text_at(ready, {"reason"});
  // A status of an older generation says nothing about what was just declared.
  const bool observed = number_at(object, "status", "observedGeneration") >=
                        number_at(object, "metadata", "generation");
  if (observed && status == "True") return {Verdict::Kind::kDone, {}};
  if (observed && status == "False") return {Verdict::Kind::kFailed, std::move(message)};
  return {Verdict::Kind::kPending, observed ? std::move(message) : std::string()};
}

Result<Json> await(Awaited awaited, ApiClient& client, TimePoint deadline) {
  return Waiter(awaited, client).wait(deadline);
}

}  // namespace ebb::cli
