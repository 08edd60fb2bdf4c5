#include "control/policy_folder.h"

#include <sys/stat.h>

#include "base/file.h"

namespace ebb::control {

PolicyFolder::Stamp PolicyFolder::stamp_of(const std::string& name) const {
  struct stat file{};
  // Nothing that could block who reads it.
  if (::stat((path_ + "/" + name).c_str(), &file) != 0 || !S_ISREG(file.st_mode)) return {};
  return {.inode = file.st_ino,
          .size = file.st_size,
          .changed_s = file.st_ctim.tv_sec,
          .changed_ns = file.st_ctim.tv_nsec};
}

void PolicyFolder::read(const std::string& name, Watched& watched) {
  const auto file = watched.file.lock();
  if (!file) return;
  // First: what is written while it is read is looked at again.
  watched.stamp = stamp_of(name);
  if (watched.stamp.inode == 0) {
    file->set(fail(Errc::kNotFound, "there is no such file in {}", path_));
    return;
  }
  file->set(read_regular_file(path_ + "/" + name, scaling::LuaLimits().source));
}

std::shared_ptr<const scaling::LuaFile> PolicyFolder::file(const std::string& name) {
  auto& watched = files_[name];
  if (auto known = watched.file.lock()) return known;
  auto fresh = std::make_shared<scaling::LuaFile>(name);
  watched.file = fresh;
  read(name, watched);
  return fresh;
}

void PolicyFolder::refresh(TimePoint now) {
  if (now < next_look_) return;
  next_look_ = now + kLookPeriod;
  for (auto at = files_.begin(); at != files_.end();) {
    const auto file = at->second.file.lock();
    if (!file) {
      at = files_.erase(at);
      continue;
    }
    if (file->take_used() && stamp_of(at->first) != at->second.stamp) read(at->first, at->second);
    ++at;
  }
}

}  // namespace ebb::control
