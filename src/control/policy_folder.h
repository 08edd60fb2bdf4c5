// The folder of scaling policies in Lua, one NAME.lua each, which their users edit while
// Ebb runs.
//
// refresh() looks at the files that some policy asked for since it looked last, so that a
// file which no active revision uses costs nothing, and reads those that changed.
// file() and refresh() read from the disk: control executor only. The LuaFiles that it
// hands out may be used on any thread.
//
//   PolicyFolder policies("/var/lib/ebb/policies");
//   auto file = policies.file("gentle.lua");
//   policies.refresh(now);       // every tick: it looks once a second at most
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "scaling/lua_file.h"

namespace ebb::control {

class PolicyFolder final {
 public:
  static constexpr Duration kLookPeriod = std::chrono::seconds(1);

  explicit PolicyFolder(std::string path) : path_(std::move(path)) {}

  // Read when it is asked for first. `name` is a file of the folder. Shared: with the
  // policies that run it; it is watched as long as one does.
  [[nodiscard]] std::shared_ptr<const scaling::LuaFile> file(const std::string& name);
  void refresh(TimePoint now);

 private:
  // What changes when a file is written or replaced.
  struct Stamp {
    uint64_t inode = 0;  // 0: there is none
    int64_t size = 0;
    int64_t changed_s = 0;
    int64_t changed_ns = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  struct Watched {
    std::weak_ptr<scaling::LuaFile> file;
    Stamp stamp;
  };
  [[nodiscard]] Stamp stamp_of(const std::string& name) const;
  void read(const std::string& name, Watched& watched);

  const std::string path_;
  std::map<std::string, Watched> files_;
  TimePoint next_look_{};
};

}  // namespace ebb::control
