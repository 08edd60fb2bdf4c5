// The Lua state behind a LuaPolicy, with its limits. C++ objects never stand on a stack
// that a Lua error unwinds: all that may raise runs in C functions under lua_pcall and
// reads and writes a plain Call.
//
// The source is read as the program `lua` reads a file: a byte order mark is skipped, and a
// first line that begins with "#".
//
//   auto sandbox = LuaSandbox::open(source, limits);
//   LuaSandbox::Call call{...};
//   auto failed = sandbox->call(call);
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "scaling/lua_policy.h"

struct lua_State;
struct lua_Debug;

namespace ebb::scaling {

class LuaSandbox final {
 public:
  // What goes in and comes out of one call of `decide`. Plain.
  struct Call {
    struct Number {
      const char* name = nullptr;  // null: not told
      double value = 0;
    };
    std::array<Number, 8> metric{};
    std::array<Number, 7> use{};  // fields of `metric`, too
    std::array<Number, 9> state{};
    std::span<const OutsideNumber> outside{};  // those without an error are told
    bool reachable = true;
    // Out:
    bool answered = false;
    double desired = 0;
    std::array<char, 256> reason{};  // cut, printable, ends in 0
  };
  enum class Failure { kNone, kError, kLimit };

  [[nodiscard]] static Result<std::unique_ptr<LuaSandbox>> open(const std::string& source,
                                                                const LuaLimits& limits);
  ~LuaSandbox();
  LuaSandbox(const LuaSandbox&) = delete;
  LuaSandbox& operator=(const LuaSandbox&) = delete;

  // kLimit: it was stopped half way and should not be called again.
  [[nodiscard]] Failure call(Call& call, std::string& message);

 private:
  explicit LuaSandbox(const LuaLimits& limits) : limits_(limits) {}
  // Runs `function` with `argument` under protection and the limits.
  [[nodiscard]] Failure protect(int (*function)(lua_State*), void* argument, std::string& message);
  [[nodiscard]] bool may_grow(const void* block, size_t old_size, size_t new_size);
  static void* allocate(void* self, void* block, size_t old_size, size_t new_size);
  static void count(lua_State* lua, lua_Debug* debug);
  static int load(lua_State* lua);
  static int decide(lua_State* lua);

  const LuaLimits limits_;
  lua_State* lua_ = nullptr;
  size_t used_ = 0;            // bytes
  size_t allocated_ = 0;       // in this call
  int steps_ = 0;              // left in this call
  bool limited_ = false;       // this call broke a limit
  bool memory_short_ = false;  // and it was one of memory
  // What was refused last: Lua collects its garbage and asks for the same again.
  struct Request {
    const void* block = nullptr;
    size_t old_size = 0;
    size_t new_size = 0;
    friend bool operator==(const Request&, const Request&) = default;
  };
  Request refused_;
};

}  // namespace ebb::scaling
