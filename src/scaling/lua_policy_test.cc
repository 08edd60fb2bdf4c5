#include "scaling/lua_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <sstream>

#include "scaling/testing.h"

namespace ebb::scaling {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

LuaPolicy compiled(std::string_view source) {
  auto policy = LuaPolicy::compile(source);
  EXPECT_TRUE(policy) << (policy ? "" : policy.error().message);
  return std::move(*policy);
}

std::string problem(std::string_view source) {
  const auto policy = LuaPolicy::compile(source);
  return policy ? std::string() : policy.error().message;
}

// What `decide` answers if its body is this.
Decision answer(const std::string& body, const Situation& situation = {.now = kStart}) {
  auto policy = compiled("function decide(metric, state) " + body + " end");
  return policy.decide(situation);
}

TEST(LuaPolicyTest, AnswersWithAReason) {
  const Decision d = answer("return {desired = 3, reason = 'three'}");
  EXPECT_TRUE(d.valid);
  EXPECT_EQ(d.desired, 3);
  EXPECT_EQ(d.reason, "three");
  EXPECT_EQ(d.error, "");
  EXPECT_EQ(answer("return {desired = 2}").reason, "the policy says 2");
}

TEST(LuaPolicyTest, SeesMetricsAndSituation) {
  auto policy = compiled(R"(
    function decide(metric, state)
      local parts = {metric.concurrency, metric.requests, metric.queued, metric.ended,
                     metric.service_seconds, metric.stable, metric.panic, metric.rps,
                     state.ready, state.starting, state.in_flight, state.waiting,
                     state.pod_concurrency, state.start_time, state.now, state.wall, state.desired,
                     tostring(state.reachable)}
      for i = 1, #parts do parts[i] = tostring(parts[i]) end
      return {desired = 1, reason = table.concat(parts, " ")}
    end)");
  (void)policy.decide({.now = kStart});
  for (int t = 1; t <= 10; ++t) {
    policy.observe({.at = kStart + seconds(t),
                    .concurrency = t <= 4 ? 0.0 : 10.0,
                    .proxied_concurrency = 0,
                    .requests = 20,
                    .queued = 2,
                    .ended = 19,
                    .service_seconds = 4});
  }
  const Decision d = policy.decide({.now = kStart + seconds(10),
                                    .ready = 1,
                                    .starting = 2,
                                    .reachable = false,
                                    .in_flight = 3,
                                    .waiting = 4,
                                    .pod_concurrency = 5,
                                    .start_time = std::chrono::milliseconds(250),
                                    .wall = WallTime(seconds(1'700'000'000))});
  EXPECT_EQ(d.reason,
            "10.0 20.0 2.0 19.0 4.0 6.0 10.0 20.0 1.0 2.0 3.0 4.0 5.0 0.25 10.0 1700000000.0 1.0 "
            "false");
}

TEST(LuaPolicyTest, KeepsItsOwnState) {
  auto policy = compiled("local n = 0 function decide() n = n + 1 return {desired = n} end");
  EXPECT_EQ(policy.decide({.now = kStart}).desired, 1);
  EXPECT_EQ(policy.decide({.now = kStart}).desired, 2);
}

TEST(LuaPolicyTest, NumbersOfEveryKind) {
  EXPECT_EQ(answer("return {desired = 2.1}").desired, 3);
  EXPECT_EQ(answer("return {desired = 0.1 + 0.2 + 0.7}").desired, 1);
  EXPECT_EQ(answer("return {desired = -5}").desired, 0);
  EXPECT_FALSE(answer("return {desired = -math.huge}").valid);
  EXPECT_FALSE(answer("return {desired = math.huge}").valid);
  EXPECT_EQ(answer("return {desired = math.maxinteger}").desired, LuaPolicy::kMostPods);
  const Decision nan = answer("return {desired = 0/0}");
  EXPECT_FALSE(nan.valid);
  EXPECT_THAT(nan.error, HasSubstr("not a number"));
  EXPECT_THAT(answer("return {desired = 8/0}").error, HasSubstr("not a number of pods, but inf"));
  EXPECT_THAT(answer("return {desired = -8/0}").error, HasSubstr("not a number of pods, but -inf"));
}

TEST(LuaPolicyTest, SayingNothingKeepsTheLastAmount) {
  for (const char* body : {"return nil", "", "return {}", "return {reason = 'hm'}"}) {
    const Decision d = answer(body);
    EXPECT_FALSE(d.valid) << body;
    EXPECT_EQ(d.error, "") << body;
  }
}

TEST(LuaPolicyTest, ErrorsNameTheLineAndKeepTheLastAmount) {
  Decision d = answer("local x = nil; return x.y");
  EXPECT_FALSE(d.valid);
  EXPECT_THAT(d.error, HasSubstr("policy:1: attempt to index a nil value (local 'x')"));
  EXPECT_THAT(answer("error({})").error, HasSubstr("an error that is a table"));
  EXPECT_THAT(answer("error('line\\none')").error, HasSubstr("line one"));
  EXPECT_EQ(answer("return 7").error,
            "policy:1: decide must return {desired = n, reason = \"...\"}, not a number");
  EXPECT_EQ(answer("return {desierd = 7}").error,
            "policy:1: decide returned {desierd = ...} without desired");
  EXPECT_EQ(answer("return {desired = '7'}").error,
            "policy:1: desired must be a number, not a string");
  EXPECT_THAT(answer("decide = 3; error('x')").error, HasSubstr("x"));
}

TEST(LuaPolicyTest, RequestsInTheSystemMeanAPod) {
  const Situation waiting{.now = kStart, .waiting = 1};
  for (const char* body :
       {"return {desired = 0}", "return nil", "error('x')", "while true do end"}) {
    const Decision d = answer(body, waiting);
    EXPECT_TRUE(d.valid) << body;
    EXPECT_EQ(d.desired, 1) << body;
  }
  // With pods there, an error keeps them.
  EXPECT_FALSE(answer("error('x')", {.now = kStart, .ready = 3, .in_flight = 2}).valid);
}

TEST(LuaPolicyTest, CompileSaysWhatIsWrong) {
  EXPECT_THAT(problem("function decide("), HasSubstr("policy:1:"));
  EXPECT_EQ(problem("x = 1"), "no function decide(metric, state) is defined");
  EXPECT_EQ(problem("decide = 3"), "no function decide(metric, state) is defined");
  EXPECT_THAT(problem("error('at once')"), HasSubstr("at once"));
  EXPECT_THAT(problem("while true do end"), HasSubstr("more than 20000 instructions"));
  EXPECT_THAT(problem(std::string(65 * 1024, ' ')), HasSubstr("longer than 64 KiB"));
  EXPECT_THAT(problem("\x1bLua"), HasSubstr("binary"));  // no bytecode
}

TEST(LuaPolicyTest, TheWorldIsOutOfReach) {
  for (const char* name : {"io",
                           "os",
                           "require",
                           "package",
                           "debug",
                           "load",
                           "loadstring",
                           "loadfile",
                           "dofile",
                           "coroutine",
                           "collectgarbage",
                           "print",
                           "pcall",
                           "xpcall",
                           "setmetatable",
                           "getmetatable",
                           "rawset",
                           "utf8",
                           "string.rep",
                           "string.dump",
                           "string.find",
                           "string.gsub",
                           "string.match",
                           "string.gmatch",
                           "table.move",
                           "table.insert",
                           "table.unpack",
                           "math.random",
                           "math.randomseed"}) {
    EXPECT_EQ(answer(std::string("return {desired = ") + name + " == nil and 1 or 2}").desired, 1)
        << name;
  }
  EXPECT_THAT(answer("return {desired = #(('x'):rep(10))}").error, HasSubstr("method 'rep'"));
}

// All that tries to run on or to fill the memory ends by a limit, soon.
TEST(LuaPolicyTest, BombsEndByALimit) {
  const std::vector<const char*> bombs{
      "while true do end",
      "local function f() return f() end return f()",
      "local function f() return 1 + f() end return f()",
      "local s = 'x' while true do s = s .. s end",
      "local t = {} while true do t[#t + 1] = {} end",
      "local t = {} for i = 1, 1e9 do t[i] = i end",
      "local s = 'x' for i = 1, 12 do s = s .. s end while true do s = s .. 'x' end",
      "local s = 'x' for i = 1, 15 do s = s .. s end "
      "local a, b = s .. 'a', s .. 'b' while true do local c = a < b end",
      "return {desired = 1, reason = string.format('%099d', 1):lower(), x = (function() while true "
      "do end end)()}",
      "local t = {1} for i = 1, 40 do t[2 ^ i | 0] = 1 end while true do local n = #t end",
  };
  for (const char* bomb : bombs) {
    const auto begin = std::chrono::steady_clock::now();
    const Decision d = answer(bomb);
    const auto took = std::chrono::steady_clock::now() - begin;
    EXPECT_FALSE(d.valid) << bomb;
    EXPECT_NE(d.error, "") << bomb;
    EXPECT_LT(took, seconds(2)) << bomb;  // milliseconds; sanitizers and busy machines take more
  }
}

TEST(LuaPolicyTest, LimitsNameTheLine) {
  EXPECT_EQ(answer("\n local n = 0\n while true do n = n + 1 end").error,
            "policy:3: more than 20000 instructions");
  EXPECT_EQ(problem("local n = 0\nlocal function spin()\n  while true do n = n + 1 end\nend\n"
                    "spin()\nfunction decide() end"),
            "policy:3: more than 20000 instructions");
  constexpr const char* kMemory =
      ": more memory than 512 KiB, 64 KiB in one piece or 4096 KiB in one call";
  for (const char* body : {
           "local s = 'x' while true do s = s .. s end",                      // one piece
           "local t = {} for i = 1, 2000 do t[i] = {i, {}, {}, {}, {}} end",  // in all
           "local s = ('x'):upper() for i = 1, 15 do s = s .. s end while true do local r = s .. 1 "
           "end",
           "local function f(n) return 1 + f(n + 1) end return f(1)",  // the stack
       }) {
    EXPECT_EQ(answer(std::string("\n\n") + body + "\n\n").error, std::string("policy:3") + kMemory)
        << body;
  }
  EXPECT_EQ(problem("local s = 'x'\nfor i = 1, 20 do s = s .. s end"),
            std::string("policy:2") + kMemory);
}

// Garbage is collected before a limit counts.
TEST(LuaPolicyTest, GarbageIsNoLackOfMemory) {
  auto policy = compiled(R"(
    local kept = {}
    for i = 1, 2000 do kept[i] = {i} end
    function decide()
      local sum = 0
      for i = 1, 500 do
        local garbage = {i, i, i, i, i, i, i, i, i, i, i, i, i, i, i, i}
        sum = sum + #garbage
      end
      return {desired = sum / 16}
    end)");
  for (int i = 0; i < 200; ++i) {
    const Decision d = policy.decide({.now = kStart});
    ASSERT_EQ(d.error, "") << i;
    ASSERT_EQ(d.desired, 500);
  }
}

TEST(LuaPolicyTest, SeesWhatPodsAndNodesUseOnceItIsMeasured) {
  auto policy = compiled(R"(
    local names = {"cpu", "memory", "node_cpu", "node_memory", "cpu_pressure",
                   "memory_pressure", "io_pressure"}
    function decide(metric, state)
      local parts = {}
      for i, name in ipairs(names) do parts[i] = tostring(metric[name]) end
      return {desired = 1, reason = table.concat(parts, " ")}
    end)");
  policy.observe({.at = kStart});
  EXPECT_EQ(policy.decide({.now = kStart}).reason, "nil nil nil nil nil nil nil");
  const auto nodes = std::make_shared<NodeLoad>(
      NodeLoad{.cpu = 0.5, .memory = 0.25, .cpu_pressure = 0.75, .io_pressure = 0.0});
  policy.observe({.at = kStart,
                  .pods = {{.cpu_millis = 500, .memory_bytes = 1e6},
                           {.cpu_millis = 1000, .memory_bytes = 2e6}},
                  .nodes = nodes});
  EXPECT_EQ(policy.decide({.now = kStart}).reason, "0.75 1500000.0 0.5 0.25 0.75 nil 0.0");
}

// As the program `lua` reads a file.
TEST(LuaPolicyTest, ABomAndAFirstCommentAreSkipped) {
  const std::string decide = "function decide(metric, state) return {desired = 2} end\n";
  for (const std::string& begin : {std::string("\xEF\xBB\xBF"), std::string("#!/usr/bin/env lua\n"),
                                   std::string("\xEF\xBB\xBF# mine\r\n")}) {
    EXPECT_EQ(compiled(begin + decide).decide({.now = kStart}).desired, 2) << begin;
  }
  EXPECT_THAT(problem("#!lua\n\nx = = 1"), HasSubstr("policy:3:"));
  EXPECT_THAT(problem("\xEF\xBB\xBFx = = 1"), HasSubstr("policy:1:"));
  EXPECT_EQ(problem("# nothing else"), "no function decide(metric, state) is defined");
  EXPECT_THAT(problem("x = 1\n#!lua\n"), HasSubstr("policy:2:"));  // only at the beginning
  EXPECT_THAT(problem("#!lua\n\x1bLua"), HasSubstr("policy:"));    // no bytecode behind it
}

TEST(LuaPolicyTest, BeginsAnewAfterALimit) {
  auto policy = compiled(R"(
    local kept = {}
    function decide(metric, state)
      for i = 1, 200 do kept[#kept + 1] = "entry " .. #kept end
      return {desired = #kept / 200}
    end)");
  bool limited = false;
  for (int i = 0; i < 200 && !limited; ++i) limited = !policy.decide({.now = kStart}).error.empty();
  EXPECT_TRUE(limited);
  EXPECT_EQ(policy.decide({.now = kStart}).desired, 1);
}

TEST(LuaPolicyTest, CheckTellsTheAnswersOrWhatFails) {
  const auto good = check_lua_policy("function decide(m) return {desired = m.stable / 50} end");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_THAT(*good, HasSubstr("10 there, 100 slots in use, 400 wait: 10 (the policy says 10)"));
  EXPECT_THAT(*good, HasSubstr("none there, 1 waits: 1 ("));
  const auto bad = check_lua_policy(
      "function decide(m, s) return {desired = s.ready > 5 and s.nothing.x or 1} end");
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, HasSubstr("400 wait: policy:1: attempt to index"));
}

// --- The examples of examples/policies ---

std::string example(const char* name) {
  std::ifstream in(std::string(EBB_EXAMPLES) + "/policies/" + name);
  EXPECT_TRUE(in) << name;
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(LuaExamplesTest, AllPassTheCheck) {
  for (const char* name :
       {"target.lua", "gentle.lua", "latency.lua", "pressure.lua", "nodes.lua"}) {
    const auto report = check_lua_policy(example(name));
    EXPECT_TRUE(report) << name << ": " << report.error().message;
  }
}

TEST(LuaExamplesTest, TargetDividesTheLoad) {
  auto policy = compiled(example("target.lua"));
  policy.observe({.at = kStart, .concurrency = 42});
  const Decision d = policy.decide({.now = kStart, .ready = 1});
  EXPECT_EQ(d.desired, 5);
  EXPECT_EQ(d.reason, "42.0 requests / 10");
  EXPECT_EQ(policy.decide({.now = kStart, .ready = 1, .in_flight = 10, .waiting = 61}).desired, 8);
}

TEST(LuaExamplesTest, GentleGoesDownOnePodAMinute) {
  auto policy = compiled(example("gentle.lua"));
  policy.observe({.at = kStart, .concurrency = 50});
  EXPECT_EQ(policy.decide({.now = kStart, .ready = 1}).desired, 10);
  int desired = 10;
  for (int t = 1; t <= 200; ++t) {
    policy.observe({.at = kStart + seconds(t)});
    desired = policy.decide({.now = kStart + seconds(t), .ready = desired}).desired;
    if (t == 50) {
      EXPECT_EQ(desired, 10);
    }
  }
  EXPECT_EQ(desired, 7);
}

TEST(LuaExamplesTest, LatencySpreadsTheLoadOfSlowPods) {
  auto policy = compiled(example("latency.lua"));
  const auto ask = [&](double service, int ready) {
    policy.observe({.at = kStart, .ended = 10, .service_seconds = 10 * service});
    return policy.decide({.now = kStart, .ready = ready, .in_flight = 6}).desired;
  };
  EXPECT_EQ(ask(0.1, 3), 3);
  EXPECT_EQ(ask(0.18, 3), 4);
  EXPECT_EQ(ask(0.3, 4), 6) << "one to each request is enough";
  policy.observe({.at = kStart});
  EXPECT_FALSE(policy.decide({.now = kStart, .ready = 8, .in_flight = 1}).valid);
  EXPECT_EQ(policy.decide({.now = kStart, .ready = 8}).desired, 0) << "nobody calls";
  const Situation crowd{
      .now = kStart, .ready = 10, .in_flight = 100, .waiting = 400, .pod_concurrency = 10};
  EXPECT_EQ(policy.decide(crowd).desired, 50) << "who waits is inside no pod yet";
  EXPECT_EQ(policy.decide({.now = kStart, .waiting = 300}).desired, 1) << "one without a limit";
}

TEST(LuaExamplesTest, PressureAddsNoPodToAMachineThatIsShort) {
  auto policy = compiled(example("pressure.lua"));
  const auto ask = [&](std::optional<double> cpu, std::optional<double> memory, int ready) {
    const auto nodes =
        std::make_shared<NodeLoad>(NodeLoad{.cpu_pressure = cpu, .memory_pressure = memory});
    policy.observe({.at = kStart, .nodes = nodes});
    return policy.decide({.now = kStart, .ready = ready, .in_flight = 10, .waiting = 32});
  };
  EXPECT_EQ(ask({}, {}, 1).desired, 5);
  EXPECT_EQ(ask(0.5, 0.1, 1).desired, 5);
  EXPECT_EQ(ask(0.7, 0.1, 2).desired, 2);
  EXPECT_EQ(ask(0.7, 0.1, 2).reason, "5 wanted, but processes are held up 70 % of the time");
  EXPECT_EQ(ask({}, 0.9, 3).desired, 3);
  EXPECT_EQ(ask(0.9, 0.9, 0).desired, 5) << "the first ones come anyway";
  EXPECT_EQ(ask(0.9, 0.9, 8).desired, 5) << "it may fall";
  EXPECT_EQ(policy.decide({.now = kStart, .waiting = 3, .pod_concurrency = 1}).desired, 3);
}

TEST(LuaExamplesTest, NodesKeepsAShareOfTheSlotsFree) {
  constexpr WallTime kMonday{std::chrono::sys_days{std::chrono::year{2026} / 11 / 23}};
  auto policy = compiled(example("nodes.lua"));
  const auto ask = [&](double hour, int in_flight, int waiting) {  // o'clock, an hour ahead of UTC
    const seconds since(std::llround(hour * 3600));
    const TimePoint now = kStart + since;
    policy.observe({.at = now, .concurrency = static_cast<double>(in_flight + waiting)});
    return policy.decide({.now = now,
                          .ready = 4,
                          .in_flight = in_flight,
                          .waiting = waiting,
                          .pod_concurrency = 20,
                          .wall = kMonday + since - std::chrono::hours(1)});
  };
  EXPECT_EQ(ask(1, 0, 0).desired, 0);
  EXPECT_EQ(ask(2, 50, 4).desired, 3);  // 54 of 60, 10 % free
  EXPECT_EQ(ask(7.9, 50, 5).desired, 4);
  EXPECT_EQ(ask(8, 50, 6).desired, 4);  // 56 of 80, 30 % free
  EXPECT_EQ(ask(11, 50, 7).desired, 5);
  EXPECT_EQ(ask(12, 0, 0).desired, 1);  // ready for the first who comes
  const Decision d = ask(17.9, 14, 0);
  EXPECT_EQ(d.desired, 1);
  EXPECT_EQ(d.reason, "14.0 slots in use, 30 % of 20 a node stay free");
  EXPECT_EQ(ask(18, 0, 0).desired, 0);
  EXPECT_EQ(ask(4 * 24 + 12, 0, 0).desired, 1);  // Friday
  EXPECT_EQ(ask(5 * 24 + 12, 0, 0).desired, 0);  // Saturday
  EXPECT_EQ(ask(7 * 24 + 12, 0, 0).desired, 1);  // Monday
}

TEST(LuaPolicyTest, SeesNumbersFromOutside) {
  auto policy = compiled(R"(
    function decide(metric, state)
      local outside = metric.outside or {}
      return {desired = outside.jobs or 7, reason = tostring(outside.lost)}
    end)");
  EXPECT_EQ(policy.decide({.now = kStart}).desired, 7);
  policy.observe({.at = kStart,
                  .outside = {{.name = "jobs", .value = 3},
                              {.name = "lost", .value = 9, .error = "refused"}}});
  const Decision d = policy.decide({.now = kStart});
  EXPECT_EQ(d.desired, 3);
  EXPECT_EQ(d.reason, "nil");
}

}  // namespace
}  // namespace ebb::scaling
