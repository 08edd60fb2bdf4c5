// A Lua policy whose text may change while it runs: a file that its user edits.
//
// LuaFile holds the text as it was read last; whoever reads files puts it there
// (control/policy_folder.h). LuaFilePolicy runs it, and takes a new text over when it is
// asked next, with what was seen so far. A text that does not compile leaves the policy
// before it at work, and Decision::error says why. LuaFile is thread-safe, the policy
// is not.
//
//   auto file = std::make_shared<LuaFile>("gentle.lua");
//   LuaFilePolicy policy(file);
//   file->set(source);
//   policy.decide({.now = now, .ready = 1});
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "scaling/lua_policy.h"
#include "scaling/policy.h"

namespace ebb::scaling {

class LuaFile final {
 public:
  struct Content {
    std::string text;
    std::string error;  // why there is no text, or what is wrong with it: "NAME:3: ..."
  };

  explicit LuaFile(std::string name) : name_(std::move(name)) {}
  LuaFile(const LuaFile&) = delete;
  LuaFile& operator=(const LuaFile&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  // As it was read, or why it could not be. Runs it once, to see whether it can be.
  void set(Result<std::string> text);
  // Content::error of now, without a sign of use.
  [[nodiscard]] std::string problem() const;
  // Another pointer whenever something else was set. Shared: with the policies that run
  // it. Never null.
  [[nodiscard]] std::shared_ptr<const Content> get() const;
  // Whether some policy asked for it since the last call.
  [[nodiscard]] bool take_used() { return used_.exchange(false, std::memory_order_relaxed); }

 private:
  const std::string name_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Content> content_ = std::make_shared<const Content>(
      Content{.text = {}, .error = name_ + ": it was not read yet"});
  mutable std::atomic<bool> used_{false};
};

class LuaFilePolicy final : public Policy {
 public:
  // Shared: with who reads the file, and the other revisions that name it.
  explicit LuaFilePolicy(std::shared_ptr<const LuaFile> file);

  void observe(const Metric& metric) override;
  // Without any text that ever compiled: invalid.
  [[nodiscard]] Decision decide(const Situation& situation) override;

 private:
  void refresh();

  std::shared_ptr<const LuaFile> file_;
  std::shared_ptr<const LuaFile::Content> seen_;
  std::optional<LuaPolicy> policy_;
  std::string problem_;  // of the newest text; "": none
};

// A message of a policy with its file's name: "gentle.lua:3: '=' expected near 'x'".
[[nodiscard]] std::string in_file(const std::string& name, const std::string& message);

}  // namespace ebb::scaling
