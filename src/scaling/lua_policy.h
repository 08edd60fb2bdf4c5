// A scaling policy that a user writes in Lua 5.4, in a sandbox.
//
//   function decide(metric, state)
//     return {desired = math.ceil(metric.stable / 10), reason = "ten to a pod"}
//   end
//
// `metric`: concurrency, requests, queued, ended, service_seconds of the newest second;
// stable and panic, the mean concurrency of 60 and 6 s; rps, the mean requests of 60 s.
// `state`: now (seconds since the policy began), wall (seconds since 1970, UTC), ready,
// starting, in_flight, waiting, pod_concurrency, start_time (seconds), reachable, desired
// (the last answer). nil, or no `desired`, keeps the last amount. What is global or
// `local` at the top is kept.
//
// Of Lua there is math (without random), string (byte char format len lower reverse sub
// upper), table (concat sort) and the basics; nothing that reads, loads, catches errors
// or loops inside C. Each call has its limits in instructions and memory; over them, or
// on an error, the last amount stays and Decision::error says why. After a limit the
// policy begins anew, since it may have been stopped half way. Requests in the system
// mean at least one pod, whatever it says. For nodes all means what scaling/node_amount.h
// says. Not thread-safe.
//
//   auto policy = LuaPolicy::compile(source);
//   if (!policy) return fail(policy.error());   // "policy:3: '=' expected near 'x'"
//   policy->decide({.now = now, .ready = 1});
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "scaling/policy.h"
#include "scaling/sample_mean.h"

namespace ebb::scaling {

class LuaSandbox;  // scaling/lua_sandbox.h

struct LuaLimits {
  int instructions = 20'000;           // of one call; counted in steps of 100
  size_t memory = 512 * 1024;          // bytes in all, what is kept included
  size_t block = 64 * 1024;            // bytes in one piece: a string, a table's array
  size_t allocated = 4 * 1024 * 1024;  // bytes over one call, also if freed again
  size_t source = 64 * 1024;           // bytes
};

class LuaPolicy final : public Policy {
 public:
  static constexpr int kMostPods = 1'000'000;  // a larger answer is cut to this

  // Runs the source once. kInvalid with the line if it does not compile, fails, breaks
  // a limit or defines no function `decide`.
  [[nodiscard]] static Result<LuaPolicy> compile(std::string_view source,
                                                 const LuaLimits& limits = LuaLimits());
  LuaPolicy(LuaPolicy&&) noexcept;
  LuaPolicy& operator=(LuaPolicy&&) noexcept;
  LuaPolicy(const LuaPolicy&) = delete;
  LuaPolicy& operator=(const LuaPolicy&) = delete;
  ~LuaPolicy() override;

  void observe(const Metric& metric) override;
  [[nodiscard]] Decision decide(const Situation& situation) override;
  // What another one saw and answered last, so that it goes on where that one ends.
  void take_history(const LuaPolicy& before);

 private:
  LuaPolicy(std::string source, const LuaLimits& limits, std::unique_ptr<LuaSandbox> sandbox);

  std::string source_;
  LuaLimits limits_;
  std::unique_ptr<LuaSandbox> sandbox_;  // null: the source could not be run again
  Metric newest_;
  SampleMean stable_;
  SampleMean panic_;
  SampleMean requests_;
  std::optional<TimePoint> begin_;
  int desired_ = 0;
};

// What `ebb policy check` shows: compiles, asks about a few situations from rest to
// overload, alike for pods and for nodes, and tells the answers, one a line. The error is
// what a user must mend.
[[nodiscard]] Result<std::string> check_lua_policy(std::string_view source);

}  // namespace ebb::scaling
