// `ebb policy check`: what a scaling policy in Lua answers.
#include "base/file.h"
#include "cli/commands.h"
#include "scaling/lua_file.h"
#include "scaling/lua_policy.h"

namespace ebb::cli {

Result<void> check_policy(const PolicyCheckOptions& options, Console& console) {
  const auto source = read_file(options.file, scaling::LuaLimits().source);
  if (!source) return fail(source.error());
  const auto report = scaling::check_lua_policy(*source);
  if (!report) {
    return fail(Errc::kInvalid, "{}", scaling::in_file(options.file, report.error().message));
  }
  console.out << *report << options.file << ": ok\n";
  return {};
}

}  // namespace ebb::cli
