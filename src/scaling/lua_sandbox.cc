#include "scaling/lua_sandbox.h"

#include <fmt/format.h>

#include <lua5.4/lua.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ebb::scaling {

namespace {

constexpr int kStep = 100;  // instructions between two looks at the budget
constexpr const char* kDecide = "decide";

// Everything else of a library is taken away. Missing on purpose: what reads or loads
// code; pcall, which would catch a limit; setmetatable, whose finalizers run without
// the count; patterns, string.rep and table.move or insert, which loop inside C.
constexpr std::array kBasics{"assert", "error",    "ipairs", "next",     "pairs",
                             "select", "tonumber", "type",   "tostring", "_VERSION"};
constexpr std::array kMath{"abs", "ceil", "exp",        "floor", "fmod",       "huge",
                           "log", "max",  "maxinteger", "min",   "mininteger", "modf",
                           "pi",  "sqrt", "tointeger",  "type",  "ult",        "sin",
                           "cos", "tan",  "asin",       "acos",  "atan"};
constexpr std::array kString{"byte", "char", "format", "len", "lower", "reverse", "sub", "upper"};
constexpr std::array kTable{"concat"};  // sort loops without counting

// Beyond a limit of memory, so much more is given for the few instructions until the error
// that says where it was.
constexpr size_t kAllowance = 128 * 1024;

// What `lua` skips of a file; the line break stays, so that lines keep their numbers.
std::string_view without_first_comment(std::string_view source) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (source.starts_with(kByteOrderMark)) source.remove_prefix(kByteOrderMark.size());
  if (source.starts_with('#')) source.remove_prefix(std::min(source.find('\n'), source.size()));
  return source;
}

using Text = std::array<char, 128>;

// Which limits of memory there are, as an error. Plain, so that a Lua error may unwind it.
Text memory_limits(const LuaLimits& limits) {
  Text out{};
  std::snprintf(out.data(), out.size(),
                "more memory than %zu KiB, %zu KiB in one piece or %zu KiB in one call",
                limits.memory / 1024, limits.block / 1024, limits.allocated / 1024);
  return out;
}

// Fails with the text on top, and the line on which decide begins: of what it answers.
int fail_decide(lua_State* lua) {
  lua_Debug debug{};
  if (lua_getglobal(lua, kDecide) == LUA_TFUNCTION && lua_getinfo(lua, ">S", &debug) != 0) {
    lua_pushfstring(lua, "%s:%d: ", debug.short_src, debug.linedefined);
    lua_insert(lua, -2);
    lua_concat(lua, 2);
  } else {
    lua_pop(lua, 1);
  }
  return lua_error(lua);
}

// Removes what is not in `kept` from the table on top.
template <size_t N>
void keep_only(lua_State* lua, const std::array<const char*, N>& kept) {
  lua_pushnil(lua);
  while (lua_next(lua, -2) != 0) {
    lua_pop(lua, 1);
    bool keep = false;
    if (lua_type(lua, -1) == LUA_TSTRING) {
      const char* key = lua_tostring(lua, -1);
      for (const char* name : kept) keep = keep || std::strcmp(key, name) == 0;
    }
    if (keep) continue;
    lua_pushvalue(lua, -1);  // assigning nil to a field is allowed while traversing
    lua_pushnil(lua);
    lua_rawset(lua, -4);
  }
}

void open_libraries(lua_State* lua) {
  luaL_requiref(lua, LUA_GNAME, luaopen_base, 0);
  keep_only(lua, kBasics);
  lua_pop(lua, 1);
  luaL_requiref(lua, LUA_MATHLIBNAME, luaopen_math, 1);
  keep_only(lua, kMath);
  lua_pop(lua, 1);
  luaL_requiref(lua, LUA_STRLIBNAME, luaopen_string, 1);
  keep_only(lua, kString);
  lua_pop(lua, 1);
  luaL_requiref(lua, LUA_TABLIBNAME, luaopen_table, 1);
  keep_only(lua, kTable);
  lua_pop(lua, 1);
}

// As fields of the table on top.
void set_numbers(lua_State* lua, std::span<const LuaSandbox::Call::Number> numbers) {
  for (const auto& number : numbers) {
    if (number.name == nullptr) continue;
    lua_pushnumber(lua, number.value);
    lua_setfield(lua, -2, number.name);
  }
}

// As the field `outside` of the table on top.
void push_outside(lua_State* lua, std::span<const OutsideNumber> numbers) {
  lua_createtable(lua, 0, static_cast<int>(numbers.size()));
  for (const auto& number : numbers) {
    if (!number.error.empty()) continue;
    lua_pushnumber(lua, number.value);
    lua_setfield(lua, -2, number.name.c_str());
  }
  lua_setfield(lua, -2, "outside");
}

// One line of printable bytes.
void copy_reason(const char* from, size_t size, std::array<char, 256>& to) {
  const size_t count = std::min(size, to.size() - 1);
  for (size_t i = 0; i < count; ++i) {
    const auto byte = static_cast<unsigned char>(from[i]);
    to[i] = byte < 0x20 || byte == 0x7f ? ' ' : from[i];
  }
  to[count] = 0;
}

// Of the answer below the top, which has no `desired`: what else it has is misspelt.
void refuse_other_fields(lua_State* lua) {
  while (lua_next(lua, -2) != 0) {  // from nil on
    lua_pop(lua, 1);
    if (lua_type(lua, -1) == LUA_TSTRING && std::string_view(lua_tostring(lua, -1)) == "reason") {
      continue;
    }
    const char* field = luaL_tolstring(lua, -1, nullptr);
    lua_pushfstring(lua, "decide returned {%s = ...} without desired", field);
    fail_decide(lua);
  }
}

}  // namespace

// An allocator may not ask Lua where it is, and to refuse ends the call without a place. So
// once collecting garbage did not help, the next instruction is made to fail; what runs
// inside of C until then, or wants more than the allowance, is refused.
bool LuaSandbox::may_grow(const void* block, size_t old_size, size_t new_size) {
  const auto fits = [&](size_t allowance) {
    return new_size <= limits_.block + allowance &&
           used_ + (new_size - old_size) <= limits_.memory + allowance &&
           allocated_ + new_size <= limits_.allocated + allowance;
  };
  if (fits(0)) {
    refused_ = {};
    return true;
  }
  const Request request{block, old_size, new_size};
  if (!memory_short_ && !(request == refused_)) {
    refused_ = request;
    return false;
  }
  if (lua_ == nullptr || !fits(kAllowance)) return false;
  memory_short_ = true;
  lua_sethook(lua_, &LuaSandbox::count, LUA_MASKCOUNT, 1);  // may be called at any time
  return true;
}

void* LuaSandbox::allocate(void* self, void* block, size_t old_size, size_t new_size) {
  auto& sandbox = *static_cast<LuaSandbox*>(self);
  if (block == nullptr) old_size = 0;  // it holds a type then
  if (new_size == 0) {
    std::free(block);
    sandbox.used_ -= old_size;
    return nullptr;
  }
  if (new_size > old_size) {
    if (!sandbox.may_grow(block, old_size, new_size)) return nullptr;
    sandbox.allocated_ += new_size;
  }
  void* moved = std::realloc(block, new_size);
  if (moved != nullptr) sandbox.used_ = sandbox.used_ - old_size + new_size;
  return moved;
}

void LuaSandbox::count(lua_State* lua, lua_Debug* /*debug*/) {
  auto& sandbox = **static_cast<LuaSandbox**>(lua_getextraspace(lua));
  if (!sandbox.memory_short_) {
    sandbox.steps_ -= kStep;
    if (sandbox.steps_ > 0) return;
  }
  sandbox.limited_ = true;
  luaL_where(lua, 0);  // of the function that runs
  if (sandbox.memory_short_) {
    lua_pushstring(lua, memory_limits(sandbox.limits_).data());
  } else {
    lua_pushfstring(lua, "more than %d instructions", sandbox.limits_.instructions);
  }
  lua_concat(lua, 2);
  lua_error(lua);
}

int LuaSandbox::load(lua_State* lua) {
  const auto& source = *static_cast<const std::string_view*>(lua_touserdata(lua, 1));
  open_libraries(lua);
  if (luaL_loadbufferx(lua, source.data(), source.size(), "=policy", "t") != LUA_OK) {
    return lua_error(lua);
  }
  lua_call(lua, 0, 0);
  if (lua_getglobal(lua, kDecide) != LUA_TFUNCTION) {
    return luaL_error(lua, "no function decide(metric, state) is defined");
  }
  return 0;
}

int LuaSandbox::decide(lua_State* lua) {
  auto& call = *static_cast<Call*>(lua_touserdata(lua, 1));
  if (lua_getglobal(lua, kDecide) != LUA_TFUNCTION) {
    return luaL_error(lua, "decide is no longer a function");
  }
  lua_createtable(lua, 0, static_cast<int>(call.metric.size() + call.use.size()) + 1);
  set_numbers(lua, call.metric);
  set_numbers(lua, call.use);
  if (!call.outside.empty()) push_outside(lua, call.outside);
  lua_createtable(lua, 0, static_cast<int>(call.state.size()) + 1);
  set_numbers(lua, call.state);
  lua_pushboolean(lua, call.reachable ? 1 : 0);
  lua_setfield(lua, -2, "reachable");
  lua_call(lua, 2, 1);
  if (lua_isnil(lua, -1)) return 0;
  if (!lua_istable(lua, -1)) {
    lua_pushfstring(lua, "decide must return {desired = n, reason = \"...\"}, not a %s",
                    luaL_typename(lua, -1));
    return fail_decide(lua);
  }
  lua_pushliteral(lua, "desired");
  lua_rawget(lua, -2);
  if (lua_isnil(lua, -1)) {
    refuse_other_fields(lua);
    return 0;
  }
  if (lua_type(lua, -1) != LUA_TNUMBER) {
    lua_pushfstring(lua, "desired must be a number, not a %s", luaL_typename(lua, -1));
    return fail_decide(lua);
  }
  call.desired = lua_tonumber(lua, -1);
  if (!std::isfinite(call.desired)) {
    lua_pushfstring(lua, "desired is not a number of pods, but %f: a division by 0?", call.desired);
    return fail_decide(lua);
  }
  lua_pop(lua, 1);
  lua_pushliteral(lua, "reason");
  lua_rawget(lua, -2);
  if (lua_type(lua, -1) == LUA_TSTRING) {
    size_t size = 0;
    const char* text = lua_tolstring(lua, -1, &size);
    copy_reason(text, size, call.reason);
  }
  call.answered = true;
  return 0;
}

LuaSandbox::Failure LuaSandbox::protect(int (*function)(lua_State*), void* argument,
                                        std::string& message) {
  allocated_ = 0;
  steps_ = limits_.instructions;
  limited_ = false;
  refused_ = {};
  if (memory_short_) {
    memory_short_ = false;
    lua_sethook(lua_, &LuaSandbox::count, LUA_MASKCOUNT, kStep);
  }
  lua_settop(lua_, 0);
  lua_pushcfunction(lua_, function);
  lua_pushlightuserdata(lua_, argument);
  const int status = lua_pcall(lua_, 1, 0, 0);
  if (status == LUA_OK) return Failure::kNone;
  if (status == LUA_ERRMEM) {
    limited_ = true;
    message = memory_limits(limits_).data();
  } else if (lua_type(lua_, -1) == LUA_TSTRING) {
    std::array<char, 256> line{};
    size_t size = 0;
    const char* text = lua_tolstring(lua_, -1, &size);
    copy_reason(text, size, line);
    message = line.data();
  } else {
    message = fmt::format("an error that is a {}", luaL_typename(lua_, -1));
  }
  lua_settop(lua_, 0);
  return limited_ ? Failure::kLimit : Failure::kError;
}

Result<std::unique_ptr<LuaSandbox>> LuaSandbox::open(const std::string& source,
                                                     const LuaLimits& limits) {
  std::unique_ptr<LuaSandbox> sandbox(new LuaSandbox(limits));
  sandbox->lua_ = lua_newstate(&LuaSandbox::allocate, sandbox.get());
  if (sandbox->lua_ == nullptr) return fail(Errc::kExhausted, "no memory for a Lua state");
  *static_cast<LuaSandbox**>(lua_getextraspace(sandbox->lua_)) = sandbox.get();
  lua_sethook(sandbox->lua_, &LuaSandbox::count, LUA_MASKCOUNT, kStep);
  std::string_view text = without_first_comment(source);
  std::string message;
  if (sandbox->protect(&LuaSandbox::load, &text, message) != Failure::kNone) {
    return fail(Errc::kInvalid, "{}", message);
  }
  return sandbox;
}

LuaSandbox::~LuaSandbox() {
  if (lua_ != nullptr) lua_close(lua_);
}

LuaSandbox::Failure LuaSandbox::call(Call& call, std::string& message) {
  return protect(&LuaSandbox::decide, &call, message);
}

}  // namespace ebb::scaling
