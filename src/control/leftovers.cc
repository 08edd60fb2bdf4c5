#include "control/leftovers.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/log.h"

namespace ebb::control {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAlgorithm = "sha256:";

void add_code(const api::ObjectMeta& meta, std::set<std::string>& codes) {
  std::string_view code = meta.annotation(api::kCodeAnnotation);
  if (!code.starts_with(kAlgorithm)) return;
  code.remove_prefix(kAlgorithm.size());
  codes.emplace(code);
}

// The first of `all` that `is_kept` does not want, at most kAtOnce.
template <class IsKept>
std::vector<std::string> take_unused(std::vector<std::string>& all, IsKept is_kept) {
  std::vector<std::string> batch;
  while (!all.empty() && batch.size() < Leftovers::kAtOnce) {
    if (!is_kept(all.back())) batch.push_back(std::move(all.back()));
    all.pop_back();
  }
  return batch;
}

WallTime modified_at(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return WallTime::max();
  return WallTime(std::chrono::seconds(info.st_mtim.tv_sec));
}

Result<size_t> remove_logs(const std::string& folder, const std::set<std::string>& revisions,
                           WallTime since) {
  size_t removed = 0;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    const size_t dot = name.find('.');
    if (dot == std::string::npos) continue;
    const std::string ending = name.substr(dot);
    if (ending != ".log" && ending != ".log.1") continue;
    if (revisions.contains(name.substr(0, dot))) continue;
    if (modified_at(at->path().string()) >= since) continue;
    if (::unlink(at->path().c_str()) == 0) ++removed;
  }
  // No log was written yet.
  if (error && error.value() != ENOENT) return fail_errno(error.value(), "cannot read " + folder);
  return removed;
}

}  // namespace

Leftovers::Leftovers(net::Executor& executor, Uses uses, Disk disk, LeftoversSettings settings)
    : executor_(executor), uses_(uses), disk_(std::move(disk)), settings_(settings) {
  timer_.fire = [this] {
    executor_.arm(timer_, executor_.now() + settings_.period);
    if (!running_) executor_.spawn(run());
  };
}

void Leftovers::start() {
  if (disk_.blobs != nullptr) executor_.arm(timer_, executor_.now());
}

net::Task<void> Leftovers::run() {
  running_ = true;
  auto sweeping = sweep();
  co_await sweeping;
  running_ = false;
}

Leftovers::Kept Leftovers::kept() const {
  Kept kept;
  for (const auto& [key, service] : uses_.services.all()) {
    add_code(service.spec.revision_template.meta, kept.codes);
  }
  for (const auto& [key, configuration] : uses_.configurations.all()) {
    add_code(configuration.spec.revision_template.meta, kept.codes);
  }
  for (const auto& [key, revision] : uses_.revisions.all()) {
    add_code(revision.meta, kept.codes);
    kept.revisions.insert(revision.meta.uid);
  }
  CodeInUse in_use = disk_.in_use();
  kept.complete = in_use.complete;
  kept.codes.merge(in_use.codes);
  kept.revisions.merge(in_use.revisions);
  return kept;
}

net::Task<void> Leftovers::sweep() {
  const WallTime since =
      uses_.clock.wall() - std::chrono::duration_cast<WallTime::duration>(settings_.grace);
  auto blobs_task = sweep_blobs(since);
  const auto blobs = co_await blobs_task;
  auto code_task = sweep_code();
  const auto code = co_await code_task;
  auto logs_task = sweep_logs(since);
  const auto logs = co_await logs_task;
  for (const auto* outcome : {&blobs, &code, &logs}) {
    if (!*outcome) log::warn("leftovers", "{}", outcome->error().message);
  }
  const size_t removed = blobs.value_or(0) + code.value_or(0) + logs.value_or(0);
  if (removed == 0) co_return;
  log::info("leftovers", "removed {} code packages, {} unpacked ones and {} logs that nobody uses",
            blobs.value_or(0), code.value_or(0), logs.value_or(0));
}

net::Task<Result<size_t>> Leftovers::sweep_blobs(WallTime since) {
  auto listing = disk_.blobs->list();
  const auto listed = co_await listing;
  if (!listed) co_return fail(listed.error());
  std::vector<std::string> old;
  for (const auto& blob : *listed) {
    if (blob.stored < since) old.push_back(blob.digest);
  }
  size_t removed = 0;
  while (!old.empty()) {
    // Between this look and the call nothing else runs here, and a revision that comes
    // later has its turn at the disk later.
    const Kept now = kept();
    auto batch = take_unused(old, [&](const std::string& digest) {
      return now.codes.contains(digest.substr(kAlgorithm.size()));
    });
    auto removing = disk_.blobs->remove_unused(std::move(batch), since);
    const auto done = co_await removing;
    if (!done) co_return fail(done.error());
    removed += *done;
  }
  co_return removed;
}

net::Task<Result<size_t>> Leftovers::sweep_code() {
  auto listing = uses_.code.list();
  auto listed = co_await listing;
  if (!listed) co_return fail(listed.error());
  std::vector<std::string> all = std::move(*listed);
  size_t removed = 0;
  while (!all.empty()) {
    const Kept now = kept();
    if (!now.complete) co_return removed;  // the next sweep may know more
    auto batch =
        take_unused(all, [&](const std::string& hash) { return now.codes.contains(hash); });
    auto removing = uses_.code.remove_all(std::move(batch));
    const auto done = co_await removing;
    if (!done) co_return fail(done.error());
    removed += *done;
  }
  co_return removed;
}

net::Task<Result<size_t>> Leftovers::sweep_logs(WallTime since) {
  if (disk_.logs.empty()) co_return size_t{0};
  Kept now = kept();
  auto removing = disk_.thread->run<size_t>(
      executor_,
      [folder = disk_.logs, revisions = std::move(now.revisions), since] {
        return remove_logs(folder, revisions, since);
      },
      0);
  co_return co_await removing;
}

}  // namespace ebb::control
