// Control groups of pods, over cgroup v2 where it has the memory controller, else
// over the v1 hierarchies of memory, pids, cpu and cpuacct.
//
// CgroupTree owns one parent group; each pod gets a child. Nothing outside the
// parent is touched. Not thread-safe: belongs to the Local Controller.
//
//   auto tree = CgroupTree::open("ebb-1f3c", mounts);
//   auto group = tree->create("python-3f9c2a", limits);
//   ... clone the pod into group->folder_fd() (v2) or hand it group->join_fds() (v1)
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/cgroup_usage.h"

namespace ebb::sandbox {

struct Limits {
  uint64_t memory_bytes = 256ull << 20;
  uint32_t cpu_millis = 0;  // thousandths of a core; 0: no limit
  uint32_t pids = 512;      // processes and threads
  friend bool operator==(const Limits&, const Limits&) = default;
};

// Where this process may make groups: found in /proc/self/{mountinfo,cgroup}.
struct CgroupMounts {
  enum class Version { kV1, kV2 };
  Version version = Version::kV2;
  // v2: one folder. v1: the folders of memory, pids, cpu and, where it is mounted,
  // cpuacct, in this order (two may be the same when mounted together). Each is where our
  // parent group is made.
  std::vector<std::string> folders;
  // v2: what is turned on for pods, of memory, pids, cpu. Without it no such limit.
  std::vector<std::string> controllers = {};
  // Where groups that can be frozen are made: in v2, which is there beside v1 too, most
  // often, else in v1's hierarchy for that; empty: nowhere.
  std::string freezer = {};
  Version freezer_version = Version::kV2;

  // Pure: from the texts of the two files.
  [[nodiscard]] static Result<CgroupMounts> find(const std::string& mountinfo,
                                                 const std::string& self_cgroup,
                                                 const std::string& v2_controllers);
  [[nodiscard]] static Result<CgroupMounts> find();
};

// Pure: which file gets which text for `limits`, in this order. `folders` are the
// group's, as in CgroupMounts; `memsw_now` is the present memory+swap limit of v1, -1
// where there is none.
using FileWrites = std::vector<std::pair<std::string, std::string>>;
[[nodiscard]] FileWrites v1_limits(const std::vector<std::string>& folders, const Limits& limits,
                                   int64_t memsw_now);
[[nodiscard]] FileWrites v2_limits(const std::string& folder,
                                   const std::vector<std::string>& controllers,
                                   const Limits& limits);

// Pure, likewise: the file, empty where there is none, and the text for Cgroup::yield().
[[nodiscard]] std::pair<std::string, std::string> v1_weight(const std::vector<std::string>& folders,
                                                            bool yields);
[[nodiscard]] std::pair<std::string, std::string> v2_weight(
    const std::string& folder, const std::vector<std::string>& controllers, bool yields);

class CgroupTree;

// One pod's group. Destroying it removes the group; its processes must be gone
// (the kernel refuses otherwise, and the tree's sweep tries again).
class Cgroup final {
 public:
  Cgroup(Cgroup&&) noexcept = default;
  Cgroup& operator=(Cgroup&&) noexcept = default;
  ~Cgroup();

  // v2: the group's folder, for CLONE_INTO_CGROUP; -1 with v1.
  [[nodiscard]] int folder_fd() const { return folder_fd_.get(); }
  // v1: open tasks files that the pod joins itself, while it has one thread; empty with v2.
  [[nodiscard]] const std::vector<UniqueFd>& join_fds() const { return join_fds_; }

  // The pod is in: the descriptors for joining are closed.
  void joined();
  // For a process of one thread that writes "0" to all of these to join later, whatever rights
  // it has. With v2 that may take 10 ms and more.
  [[nodiscard]] Result<std::vector<UniqueFd>> entrances() const;
  // Sends SIGKILL to every process in it, but `spared`.
  void kill(pid_t spared = 0) const;
  [[nodiscard]] bool holds(pid_t pid) const;
  // kExhausted if it holds more memory than it may have then (v1; v2 ends processes).
  [[nodiscard]] Result<void> set_limits(const Limits& limits);
  // Gets less of the CPU than other groups while they want it, or as much again.
  [[nodiscard]] Result<void> yield(bool yields);
  // Whether the kernel has ended a process of it for lack of memory, and whose lack it was.
  [[nodiscard]] MemoryLack memory_lack() const;
  // Bytes charged now; nullopt where it cannot be read.
  [[nodiscard]] std::optional<uint64_t> memory_bytes() const;
  // What it has used so far: three small files read. nullopt where they cannot be.
  [[nodiscard]] std::optional<CgroupUsage> usage() const;
  // Stops all processes of the group, or lets them go on. Every signal waits meanwhile, with
  // v1's freezer SIGKILL, too. kUnavailable where there is no freezer.
  [[nodiscard]] Result<void> freeze(bool frozen);
  // Removes the group now; false while a process is still in it.
  bool remove();

 private:
  friend class CgroupTree;
  Cgroup() = default;
  bool v2_ = false;
  std::vector<std::string> controllers_;
  [[nodiscard]] Result<void> move_to_freezer();

  std::vector<std::string> folders_;
  std::string freezer_;  // with v1 a folder of its own, made when first needed
  bool v2_freezer_ = true;
  bool in_freezer_ = false;      // with v1: that folder is there
  bool all_in_freezer_ = false;  // likewise: and all its processes in it
  UniqueFd folder_fd_;
  std::vector<UniqueFd> join_fds_;
};

class CgroupTree final {
 public:
  // Makes (or takes over) the parent group `name`. kPermission with what is missing.
  [[nodiscard]] static Result<std::unique_ptr<CgroupTree>> open(const std::string& name,
                                                                CgroupMounts mounts);
  ~CgroupTree();  // removes the parent group if it is empty
  CgroupTree(const CgroupTree&) = delete;
  CgroupTree& operator=(const CgroupTree&) = delete;

  [[nodiscard]] Result<Cgroup> create(const std::string& pod, const Limits& limits);
  // Ends and removes what an earlier run left below the parent. Returns how many
  // groups it removed. Call before the first create().
  size_t sweep();
  // Sends SIGKILL to every process in a child group, and lets those go on that stand still.
  void kill_all();

 private:
  CgroupTree(std::string freezer, std::vector<std::string> parents, CgroupMounts mounts)
      : freezer_(std::move(freezer)), parents_(std::move(parents)), mounts_(std::move(mounts)) {}
  // Where processes of ours may be, those of earlier runs too.
  [[nodiscard]] std::vector<std::string> all_parents() const;
  void thaw_all() const;

  std::string freezer_;  // the parent group there; empty: none
  std::vector<std::string> parents_;
  CgroupMounts mounts_;
};

}  // namespace ebb::sandbox
