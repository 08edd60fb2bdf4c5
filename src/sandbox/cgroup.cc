#include "sandbox/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

namespace ebb::sandbox {
namespace {

// A group that yields gets one of so many parts of what another one gets.
constexpr int kYieldedParts = 8;
constexpr uint32_t kCpuPeriodUs = 100'000;
constexpr const char* kV1Controllers[] = {"memory", "pids", "cpu"};

std::string read_text(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// 0 or errno.
int write_text(const std::string& path, const std::string& text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return errno;
  const ssize_t n = ::write(fd.get(), text.data(), text.size());
  return n == static_cast<ssize_t>(text.size()) ? 0 : errno;
}

// What a small file of the kernel holds; empty if it cannot be read, cut at the end of
// `buffer`.
using Buffer = std::array<char, 8192>;
std::string_view read_into(Buffer& buffer, const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
  return n > 0 ? std::string_view(buffer.data(), static_cast<size_t>(n)) : std::string_view();
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) out.push_back(part);
  return out;
}

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

struct Mount {
  std::string root;   // which group of the hierarchy is mounted
  std::string point;  // where
  std::string type;
  std::vector<std::string> options;
};

std::vector<Mount> cgroup_mounts(const std::string& mountinfo) {
  std::vector<Mount> out;
  for (const auto& line : split(mountinfo, '\n')) {
    // id parent major:minor root point options [optional...] - type source super
    const auto words = split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 4) continue;
    Mount mount{words[3], words[4], *(dash + 1), split(*(dash + 3), ',')};
    if (mount.type == "cgroup" || mount.type == "cgroup2") out.push_back(std::move(mount));
  }
  return out;
}

// Where our own group of a hierarchy lies in the file system.
std::string own_folder(const Mount& mount, const std::string& group) {
  std::string below = group;
  if (mount.root != "/" && below.starts_with(mount.root)) below = below.substr(mount.root.size());
  if (below == "/" || below.starts_with("/..")) below.clear();
  const bool visible = below.empty() || ::access((mount.point + below).c_str(), F_OK) == 0;
  return visible ? mount.point + below : mount.point;
}

std::vector<std::string> children(const std::string& folder) {
  std::vector<std::string> out;
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return out;
  while (const dirent* entry = ::readdir(dir)) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') out.emplace_back(entry->d_name);
  }
  ::closedir(dir);
  return out;
}

std::vector<pid_t> processes_in(const std::string& folder) {
  std::vector<pid_t> out;
  for (const auto& pid : split(read_text(folder + "/cgroup.procs"), '\n')) {
    if (const int number = std::atoi(pid.c_str()); number > 1) out.push_back(number);
  }
  return out;
}

void kill_in(const std::string& folder, pid_t spared = 0) {
  for (const pid_t pid : processes_in(folder)) {
    if (pid != spared) ::kill(pid, SIGKILL);
  }
}

// 0 or errno. `folder`: a group of v2, or of v1's hierarchy for that.
int write_frozen(const std::string& folder, bool v2, bool frozen) {
  return v2 ? write_text(folder + "/cgroup.freeze", frozen ? "1" : "0")
            : write_text(folder + "/freezer.state", frozen ? "FROZEN" : "THAWED");
}

// The kernel takes no less than a millisecond: 10m is the least, as of the kubelet.
uint64_t quota_us(uint32_t cpu_millis) {
  constexpr uint64_t kLeastQuotaUs = 1000;
  return std::max(kLeastQuotaUs, static_cast<uint64_t>(cpu_millis) * kCpuPeriodUs / 1000);
}

std::vector<std::string> unique(std::vector<std::string> list) {
  std::vector<std::string> out;
  for (auto& item : list) {
    if (!contains(out, item)) out.push_back(std::move(item));
  }
  return out;
}

}  // namespace

Result<CgroupMounts> CgroupMounts::find(const std::string& mountinfo,
                                        const std::string& self_cgroup,
                                        const std::string& v2_controllers) {
  const auto mounts = cgroup_mounts(mountinfo);
  std::map<std::string, std::string> own;  // controller ("" for v2) -> group
  for (const auto& line : split(self_cgroup, '\n')) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string group = line.substr(second + 1);
    const std::string names = line.substr(first + 1, second - first - 1);
    if (names.empty()) own[""] = group;
    for (const auto& name : split(names, ',')) own[name] = group;
  }

  const auto available = split(v2_controllers, ' ');
  for (const auto& mount : mounts) {
    // Groups are made at the top of what we see: there the rule that a group with
    // processes has no limited children does not bind us.
    if (mount.type == "cgroup2" && contains(available, "memory") && contains(available, "pids")) {
      CgroupMounts v2{Version::kV2, {mount.point}, {"memory", "pids"}, mount.point};
      if (contains(available, "cpu")) v2.controllers.emplace_back("cpu");
      return v2;
    }
  }
  CgroupMounts v1{Version::kV1, {}, {}, {}};
  for (const char* controller : kV1Controllers) {
    const auto mount = std::find_if(mounts.begin(), mounts.end(), [&](const Mount& m) {
      return m.type == "cgroup" && contains(m.options, controller);
    });
    if (mount == mounts.end()) {
      return fail(Errc::kPermission,
                  "no cgroup controller for {}: neither cgroup v2 with memory and pids nor the v1 "
                  "hierarchy is mounted. Mount cgroup2 on /sys/fs/cgroup (systemd does), or in a "
                  "container start it with its cgroups writable",
                  controller);
    }
    v1.folders.push_back(own_folder(*mount, own[controller]));
  }
  // Without it pods are limited all the same; what they use is not known.
  const auto accounts = std::find_if(mounts.begin(), mounts.end(), [](const Mount& m) {
    return m.type == "cgroup" && contains(m.options, "cpuacct");
  });
  if (accounts != mounts.end()) v1.folders.push_back(own_folder(*accounts, own["cpuacct"]));
  const auto unified = std::find_if(mounts.begin(), mounts.end(),
                                    [](const Mount& m) { return m.type == "cgroup2"; });
  if (unified != mounts.end()) {
    v1.freezer = unified->point;
    return v1;
  }
  const auto freezer = std::find_if(mounts.begin(), mounts.end(), [](const Mount& m) {
    return m.type == "cgroup" && contains(m.options, "freezer");
  });
  if (freezer != mounts.end()) {
    v1.freezer = own_folder(*freezer, own["freezer"]);
    v1.freezer_version = Version::kV1;
  }
  return v1;
}

Result<CgroupMounts> CgroupMounts::find() {
  const std::string mountinfo = read_text("/proc/self/mountinfo");
  std::string controllers;
  for (const auto& mount : cgroup_mounts(mountinfo)) {
    if (mount.type == "cgroup2") controllers = read_text(mount.point + "/cgroup.controllers");
  }
  if (!controllers.empty() && controllers.back() == '\n') controllers.pop_back();
  return find(mountinfo, read_text("/proc/self/cgroup"), controllers);
}

FileWrites v1_limits(const std::vector<std::string>& folders, const Limits& limits,
                     int64_t memsw_now) {
  // Hierarchies mounted together have one folder between them.
  const auto file = [&](size_t index, const char* name) {
    return folders[std::min(index, folders.size() - 1)] + "/" + name;
  };
  const std::string memory = std::to_string(limits.memory_bytes);
  FileWrites writes = {
      {file(0, "memory.limit_in_bytes"), memory},
      {file(1, "pids.max"), std::to_string(limits.pids)},
      {file(2, "cpu.cfs_period_us"), std::to_string(kCpuPeriodUs)},
      {file(2, "cpu.cfs_quota_us"),
       limits.cpu_millis == 0 ? "-1" : std::to_string(quota_us(limits.cpu_millis))}};
  if (memsw_now >= 0) {
    // The sum may never be below the part: raised first, lowered after it.
    const bool raises = static_cast<int64_t>(limits.memory_bytes) > memsw_now;
    writes.insert(writes.begin() + (raises ? 0 : 1),
                  {file(0, "memory.memsw.limit_in_bytes"), memory});
  }
  return writes;
}

std::pair<std::string, std::string> v1_weight(const std::vector<std::string>& folders,
                                              bool yields) {
  return {folders[std::min<size_t>(2, folders.size() - 1)] + "/cpu.shares",
          std::to_string(yields ? 1024 / kYieldedParts : 1024)};
}

std::pair<std::string, std::string> v2_weight(const std::string& folder,
                                              const std::vector<std::string>& controllers,
                                              bool yields) {
  if (!contains(controllers, "cpu")) return {};
  return {folder + "/cpu.weight", std::to_string(yields ? 100 / kYieldedParts : 100)};
}

FileWrites v2_limits(const std::string& folder, const std::vector<std::string>& controllers,
                     const Limits& limits) {
  FileWrites writes;
  if (contains(controllers, "memory")) {
    writes.emplace_back(folder + "/memory.max", std::to_string(limits.memory_bytes));
    writes.emplace_back(folder + "/memory.swap.max", "0");
    writes.emplace_back(folder + "/memory.oom.group", "1");
  }
  if (contains(controllers, "pids")) {
    writes.emplace_back(folder + "/pids.max", std::to_string(limits.pids));
  }
  if (contains(controllers, "cpu")) {
    const std::string quota =
        limits.cpu_millis == 0 ? "max" : std::to_string(quota_us(limits.cpu_millis));
    writes.emplace_back(folder + "/cpu.max", quota + " " + std::to_string(kCpuPeriodUs));
  }
  return writes;
}

Result<std::unique_ptr<CgroupTree>> CgroupTree::open(const std::string& name, CgroupMounts mounts) {
  std::vector<std::string> parents;
  for (const auto& folder : unique(mounts.folders)) {
    const std::string parent = folder + "/" + name;
    if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) {
      const int err = errno;
      return fail(Errc::kPermission,
                  "cannot make the cgroup {} ({}): run as root, and in a container with writable "
                  "cgroups (for example --privileged)",
                  parent, std::strerror(err));
    }
    parents.push_back(parent);
  }
  for (const auto& controller : mounts.controllers) {
    for (const auto& folder : {mounts.folders.front(), parents.front()}) {
      const int err = write_text(folder + "/cgroup.subtree_control", "+" + controller);
      if (err == 0) continue;
      return fail(Errc::kPermission, "cannot turn the cgroup controller {} on in {} ({}): {}",
                  controller, folder, std::strerror(err),
                  err == EBUSY ? "processes live in that group itself; give Ebb a cgroup "
                                 "namespace of its own or start it by systemd with Delegate=yes"
                               : "run as root");
    }
  }
  const std::string freezer = mounts.freezer.empty() ? "" : mounts.freezer + "/" + name;
  return std::unique_ptr<CgroupTree>(
      new CgroupTree(freezer, std::move(parents), std::move(mounts)));
}

CgroupTree::~CgroupTree() {
  for (const auto& parent : all_parents()) ::rmdir(parent.c_str());
}

std::vector<std::string> CgroupTree::all_parents() const {
  auto all = parents_;
  if (!freezer_.empty()) all.push_back(freezer_);
  return unique(std::move(all));
}

Result<Cgroup> CgroupTree::create(const std::string& pod, const Limits& limits) {
  Cgroup group;
  group.v2_ = mounts_.version == CgroupMounts::Version::kV2;
  group.controllers_ = mounts_.controllers;
  for (const auto& parent : parents_) {
    const std::string folder = parent + "/" + pod;
    if (::mkdir(folder.c_str(), 0755) != 0) {
      return fail_errno(errno, "cannot make the cgroup " + folder);
    }
    group.folders_.push_back(folder);
  }
  if (group.v2_) {
    group.folder_fd_.reset(
        ::open(group.folders_.front().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!group.folder_fd_) return fail_errno(errno, "cannot open the cgroup of " + pod);
  } else {
    // A thread that moves itself alone, by "0" to tasks, is spared the lock of all thread
    // groups that cgroup.procs takes: to get it lasts two RCU grace periods, 15 to 30 ms.
    for (const auto& folder : group.folders_) {
      group.join_fds_.emplace_back(::open((folder + "/tasks").c_str(), O_WRONLY | O_CLOEXEC));
      if (!group.join_fds_.back()) return fail_errno(errno, "cannot open " + folder);
    }
  }
  if (!freezer_.empty()) group.freezer_ = freezer_ + "/" + pod;
  group.v2_freezer_ = mounts_.freezer_version == CgroupMounts::Version::kV2;
  if (auto set = group.set_limits(limits); !set) return fail(set.error());
  return group;
}

void CgroupTree::kill_all() {
  for (const auto& parent : parents_) {
    for (const auto& child : children(parent)) kill_in(parent + "/" + child);
  }
  thaw_all();
}

// In v2 those that are killed end frozen or not, and what else is frozen need not stir for it.
void CgroupTree::thaw_all() const {
  if (freezer_.empty() || mounts_.freezer_version == CgroupMounts::Version::kV2) return;
  for (const auto& child : children(freezer_)) {
    write_frozen(freezer_ + "/" + child, false, false);
  }
}

size_t CgroupTree::sweep() {
  size_t removed = 0;
  kill_all();
  for (const auto& parent : all_parents()) {
    for (const auto& child : children(parent)) {
      const std::string folder = parent + "/" + child;
      for (int round = 0; round < 200; ++round) {
        kill_in(folder);
        if (::rmdir(folder.c_str()) == 0) {
          ++removed;
          break;
        }
        if (errno != EBUSY) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));  // until the killed are gone
      }
    }
  }
  return removed;
}

Cgroup::~Cgroup() { remove(); }

Result<void> Cgroup::set_limits(const Limits& limits) {
  FileWrites writes;
  if (v2_) {
    writes = v2_limits(folders_.front(), controllers_, limits);
    // Swap accounting may be compiled out.
    std::erase_if(writes, [](const auto& write) {
      return write.first.ends_with("/memory.swap.max") && ::access(write.first.c_str(), F_OK) != 0;
    });
  } else {
    const std::string memsw = read_text(folders_.front() + "/memory.memsw.limit_in_bytes");
    writes =
        v1_limits(folders_, limits, memsw.empty() ? -1 : std::strtoll(memsw.c_str(), nullptr, 10));
  }
  for (const auto& [path, text] : writes) {
    if (const int err = write_text(path, text); err != 0) {
      if (err == EBUSY && path.ends_with("limit_in_bytes")) {
        return fail(Errc::kExhausted, "the group holds more memory than {} bytes", text);
      }
      return fail_errno(err, fmt::format("cannot write {} to {}", text, path));
    }
  }
  return {};
}

Result<void> Cgroup::yield(bool yields) {
  const auto [path, text] =
      v2_ ? v2_weight(folders_.front(), controllers_, yields) : v1_weight(folders_, yields);
  if (path.empty()) return {};
  const int err = write_text(path, text);
  return err == 0 ? Result<void>()
                  : fail_errno(err, fmt::format("cannot write {} to {}", text, path));
}

MemoryLack Cgroup::memory_lack() const {
  if (folders_.empty()) return MemoryLack::kNone;
  const std::string& folder = folders_.front();
  if (v2_) return v2_memory_lack(read_text(folder + "/memory.events"));
  std::string most = read_text(folder + "/memory.memsw.max_usage_in_bytes");
  if (most.empty()) most = read_text(folder + "/memory.max_usage_in_bytes");
  return v1_memory_lack(read_text(folder + "/memory.oom_control"), most,
                        read_text(folder + "/memory.limit_in_bytes"));
}

std::optional<uint64_t> Cgroup::memory_bytes() const {
  if (folders_.empty()) return std::nullopt;
  const std::string text =
      read_text(folders_.front() + (v2_ ? "/memory.current" : "/memory.usage_in_bytes"));
  if (text.empty()) return std::nullopt;
  return std::strtoull(text.c_str(), nullptr, 10);
}

std::optional<CgroupUsage> Cgroup::usage() const {
  if (folders_.empty()) return std::nullopt;
  Buffer cpu;
  Buffer memory;
  Buffer stat;
  const auto stat_text = read_into(stat, folders_.front() + "/memory.stat");
  if (v2_) {
    return v2_usage(read_into(cpu, folders_.front() + "/cpu.stat"),
                    read_into(memory, folders_.front() + "/memory.current"), stat_text);
  }
  return v1_usage(read_into(cpu, folders_.back() + "/cpuacct.usage"),
                  read_into(memory, folders_.front() + "/memory.usage_in_bytes"), stat_text);
}

void Cgroup::joined() {
  join_fds_.clear();
  folder_fd_.reset();
}

Result<std::vector<UniqueFd>> Cgroup::entrances() const {
  std::vector<UniqueFd> out;
  for (const auto& folder : folders_) {
    const std::string file = folder + (v2_ ? "/cgroup.procs" : "/tasks");
    out.emplace_back(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    if (!out.back()) return fail_errno(errno, "cannot open " + file);
  }
  return out;
}

void Cgroup::kill(pid_t spared) const {
  if (!folders_.empty()) kill_in(folders_.front(), spared);
}

bool Cgroup::holds(pid_t pid) const {
  if (folders_.empty()) return false;
  const auto inside = processes_in(folders_.front());
  return std::find(inside.begin(), inside.end(), pid) != inside.end();
}

Result<void> Cgroup::freeze(bool frozen) {
  if (freezer_.empty()) {
    return fail(Errc::kUnavailable, "there is neither cgroup v2 nor the freezer hierarchy of v1");
  }
  if (!v2_ && !all_in_freezer_) {
    if (!frozen) return {};
    if (auto moved = move_to_freezer(); !moved) return moved;
  }
  if (const int err = write_frozen(freezer_, v2_freezer_, frozen); err != 0) {
    return fail_errno(err, (frozen ? "cannot freeze " : "cannot thaw ") + freezer_);
  }
  return {};
}

// Only those that are ever frozen pay for one more hierarchy.
Result<void> Cgroup::move_to_freezer() {
  for (const auto& folder : {freezer_.substr(0, freezer_.rfind('/')), freezer_}) {
    if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
      return fail_errno(errno, "cannot make the cgroup " + folder);
    }
  }
  // Again, for those that were born meanwhile outside.
  in_freezer_ = true;  // its folder is there
  constexpr int kRounds = 10;
  for (int round = 0; round < kRounds; ++round) {
    const auto inside = split(read_text(freezer_ + "/cgroup.procs"), '\n');
    int moved = 0;
    for (const auto& pid : split(read_text(folders_.front() + "/cgroup.procs"), '\n')) {
      if (contains(inside, pid)) continue;
      const int err = write_text(freezer_ + "/cgroup.procs", pid);
      if (err != 0 && err != ESRCH) return fail_errno(err, "cannot move a process to " + freezer_);
      ++moved;
    }
    all_in_freezer_ = moved == 0;
    if (all_in_freezer_) return {};
  }
  return fail(Errc::kExhausted, "it starts processes faster than they can be stopped");
}

bool Cgroup::remove() {
  joined();
  if (in_freezer_ && ::rmdir(freezer_.c_str()) == 0) in_freezer_ = false;
  std::erase_if(folders_, [](const std::string& folder) {
    return ::rmdir(folder.c_str()) == 0 || errno == ENOENT;
  });
  return folders_.empty() && !in_freezer_;
}

}  // namespace ebb::sandbox
