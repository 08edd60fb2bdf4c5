#include "scaling/lua_file.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace ebb::scaling {

std::string in_file(const std::string& name, const std::string& message) {
  constexpr std::string_view kChunk = "policy:";  // what Lua knows the text as
  size_t at = message.find(kChunk);
  // A line's number follows; other places are a user's own words.
  const auto is_digit = [&message](size_t i) {
    return i < message.size() && message[i] >= '0' && message[i] <= '9';
  };
  while (at != std::string::npos && !is_digit(at + kChunk.size()))
    at = message.find(kChunk, at + 1);
  if (at == std::string::npos) return fmt::format("{}: {}", name, message);
  // What stands before it says when that happened.
  std::string when = message.substr(0, at);
  while (!when.empty() && (when.back() == ' ' || when.back() == ':')) when.pop_back();
  return fmt::format("{}:{}{}", name, std::string_view(message).substr(at + kChunk.size()),
                     when.empty() ? "" : fmt::format(" ({})", when));
}

void LuaFile::set(Result<std::string> text) {
  Content content;
  if (text) {
    content.text = std::move(*text);
    const auto policy = LuaPolicy::compile(content.text);
    if (!policy) content.error = in_file(name_, policy.error().message);
  } else {
    content.error = in_file(name_, text.error().message);
  }
  const std::lock_guard lock(mutex_);
  if (content_->text == content.text && content_->error == content.error) return;
  content_ = std::make_shared<const Content>(std::move(content));
}

std::string LuaFile::problem() const {
  const std::lock_guard lock(mutex_);
  return content_->error;
}

std::shared_ptr<const LuaFile::Content> LuaFile::get() const {
  used_.store(true, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  return content_;
}

LuaFilePolicy::LuaFilePolicy(std::shared_ptr<const LuaFile> file) : file_(std::move(file)) {
  refresh();
}

void LuaFilePolicy::refresh() {
  auto content = file_->get();
  if (content == seen_) return;
  seen_ = std::move(content);
  problem_ = seen_->error;
  if (!problem_.empty()) return;
  auto compiled = LuaPolicy::compile(seen_->text);
  if (!compiled) {
    problem_ = in_file(file_->name(), compiled.error().message);
    return;
  }
  if (policy_) compiled->take_history(*policy_);
  policy_ = std::move(*compiled);
}

void LuaFilePolicy::observe(const Metric& metric) {
  if (policy_) policy_->observe(metric);
}

Decision LuaFilePolicy::decide(const Situation& situation) {
  refresh();
  if (!policy_) {
    Decision decision;
    decision.error = problem_;
    if (situation.explain)
      decision.reason = "there is no policy, the last amount stays: " + problem_;
    return decision;
  }
  Decision decision = policy_->decide(situation);
  if (!problem_.empty()) {
    decision.error = problem_;
    if (situation.explain) decision.reason += ", by the policy before the change";
  } else if (!decision.error.empty()) {
    std::string told = in_file(file_->name(), decision.error);
    if (const auto at = decision.reason.find(decision.error); at != std::string::npos) {
      decision.reason.replace(at, decision.error.size(), told);
    }
    decision.error = std::move(told);
  }
  return decision;
}

}  // namespace ebb::scaling
