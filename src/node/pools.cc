// LocalController: the pools of cold pods, and the zygotes that make them.
#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "net/descriptor_reserve.h"
#include "node/local_controller.h"

namespace ebb::node {
namespace {

// Few at a time, so that handing pods out is not held up by making new ones.
constexpr size_t kStartsAtOnce = 2;
constexpr Duration kFirstRetry = std::chrono::milliseconds(100);
constexpr Duration kLastRetry = std::chrono::seconds(2);
// To start a zygote costs more, and what makes it fail ends more rarely by itself.
constexpr Duration kLastZygoteRetry = std::chrono::seconds(10);
// What is short is there again as soon as others give it back.
constexpr Duration kShortageRetry = std::chrono::seconds(1);

Result<Runtime> load_runtime(const std::string& folder, const std::string& name) {
  std::error_code ignored;
  if (std::filesystem::exists(folder + "/" + name, ignored)) {
    return Runtime::load(folder + "/" + name);
  }
  std::string known;
  for (const auto& one : list_runtimes(folder)) known += (known.empty() ? "" : ", ") + one.name;
  return fail(Errc::kNotFound, "there is no runtime {}; there are: {}", name,
              known.empty() ? "none" : known);
}

}  // namespace

void LocalController::handle(const SetPool& order) {
  if (!is_safe_name(order.runtime)) return;
  auto& pool = pools_[order.runtime];
  if (!pool) {
    auto runtime = load_runtime(options_.runtimes, order.runtime);
    if (!runtime) {
      pools_.erase(order.runtime);
      report(PoolFailed{.runtime = order.runtime, .message = runtime.error().message});
      return;
    }
    pool = std::make_unique<Pool>();
    pool->runtime = std::move(*runtime);
    Pool* self = pool.get();
    pool->retry.fire = [this, self] { refill(*self); };
    pool->after_hand_outs.fire = [this, self] { refill(*self); };
  }
  pool->want = std::min(order.cold, options_.slots);
  refill(*pool);
}

void LocalController::pool_failed(Pool& pool, const Error& why) {
  Duration wait = kShortageRetry;
  if (why.code != Errc::kExhausted) {
    wait = std::min(pool.zygote ? kLastRetry : kLastZygoteRetry,
                    Duration(kFirstRetry * (1LL << std::min(pool.failures, 10))));
    ++pool.failures;
  }
  log::error("controller", "cannot start pods of runtime {}: {}", pool.runtime.name, why.message);
  report(PoolFailed{.runtime = pool.runtime.name, .message = why.message});
  executor_.arm(pool.retry, executor_.now() + wait);
}

uint32_t LocalController::count(const std::string& runtime, PodState state) const {
  return static_cast<uint32_t>(std::count_if(pods_.begin(), pods_.end(), [&](const auto& entry) {
    return entry.second->runtime() == runtime && entry.second->state() == state &&
           !is_parent(*entry.second);
  }));
}

void LocalController::refill(Pool& pool) {
  const std::string& runtime = pool.runtime.name;
  uint32_t cold = count(runtime, PodState::kCold);
  const uint32_t starting = count(runtime, PodState::kStarting);
  for (auto it = pods_.begin(); cold > pool.want && it != pods_.end(); ++it) {
    if (it->second->runtime() != runtime || it->second->state() != PodState::kCold) continue;
    if (is_parent(*it->second)) continue;
    it->second->end("Stopped", "");
    --cold;
  }
  if (cold + starting >= pool.want || pool.retry.armed()) return;
  if (2 * cold > pool.want && executor_.now() < pause_refills_until_) {
    if (!pool.after_hand_outs.armed()) executor_.arm(pool.after_hand_outs, pause_refills_until_);
    return;
  }
  // The pods that there are need some: to be given code, to end, to be asked for by a new front.
  if (net::DescriptorReserve().reached()) {
    pool_failed(pool, {Errc::kExhausted,
                       "the Local Controller is short of file descriptors: raise their limit "
                       "(ulimit -Hn, LimitNOFILE)"});
    return;
  }
  if (!pool.zygote) start_zygote(pool);
  if (!pool.zygote || !pool.zygote->ready()) return;
  for (uint32_t more = pool.want - cold - starting; more > 0; --more) {
    if (count(runtime, PodState::kStarting) >= kStartsAtOnce || !start_pod(pool)) return;
  }
}

void LocalController::start_zygote(Pool& pool) {
  Pool* self = &pool;
  compiled_.forget(pool.runtime.name);  // its interpreter may be another one now
  auto zygote = Zygote::start(
      executor_, pool.runtime, seccomp_, network_ ? network_->node_address() : "",
      {.on_ready = [this, self] { refill(*self); },
       .on_spawned = [this](const std::string& pod, pid_t pid,
                            const std::string& error) { on_spawned(pod, pid, error); },
       .on_gone =
           [this, self](const std::string& why) {
             // Destroyed after this callback has returned into it.
             std::shared_ptr<Zygote> old(std::move(self->zygote));
             executor_.post([old] {});
             for (const auto& [id, pod] : pods_) {
               if (pod->runtime() != self->runtime.name || pod->pid() >= 0) continue;
               executor_.post([this, orphan = id] {
                 if (const auto it = pods_.find(orphan); it != pods_.end()) bury(*it->second, 0);
               });
             }
             pool_failed(*self, {Errc::kUnavailable, "its zygote ended: " + why});
           }});
  if (!zygote) {
    pool_failed(pool, zygote.error());
    return;
  }
  pool.zygote = std::move(*zygote);
}

// Its id; nothing if there can be none now.
std::optional<std::string> LocalController::start_pod(Pool& pool) {
  if (free_slots_.empty()) return std::nullopt;
  const uint32_t slot = free_slots_.front();
  auto pod = PodProcess::prepare(
      executor_, pool.runtime.name + "-" + random_hex(4), pool.runtime.name, slot, cgroups_.get(),
      network_.get(), pods_dir_.get(), options_.front_uid, options_.without, *logs_,
      {.on_cold =
           [this, self = &pool](PodProcess& p) {
             self->failures = 0;
             if (const auto* parent = parents_.find(p.id())) return assign(parent->order, p, true);
             report(PodCold{.pod = p.id(), .runtime = p.runtime()});
             refill(*self);
           },
       .on_ready =
           [this](PodProcess& p) {
             const auto took = executor_.now() - p.assigned_at();
             if (is_parent(p)) {
               for (const std::string& earlier : parents_.loaded(p.id())) retire(earlier);
               return;
             }
             consider_parent(p, took);
             report(PodReady{
                 .pod = p.id(),
                 .load_us = static_cast<uint64_t>(
                     std::chrono::duration_cast<std::chrono::microseconds>(took).count())});
           },
       .on_compiled = [this](PodProcess& p,
                             std::string_view code) { compiled_.add(p.runtime(), p.code(), code); },
       .on_fork_status =
           [this](const PodProcess& p, const std::string& id, int status) {
             const auto found = pods_.find(id);
             if (found == pods_.end() || found->second->parent() != p.id()) return;
             PodProcess& child = *found->second;
             child.forked() ? child.set_wait_status(status)
                            : child.give_up_fork("its process ended");
           },
       .on_closed = [this](const PodProcess& p) { end_forks(p); },
       .on_ended = [this](PodProcess& p, int status) { bury(p, status); },
       .on_not_forked =
           [this](PodProcess& p, const std::string& parent, const std::string& why) {
             log::warn("controller", "pod {} loads its code itself, {} did not fork: {}", p.id(),
                       parent, why);
             distrust(parent);
             assign(Assign(p.order()), p, false);
           }});
  if (!pod) {
    pool_failed(pool, pod.error());
    return std::nullopt;
  }
  if (auto sent = pool.zygote->spawn((*pod)->spawn_request()); !sent) {
    pool_failed(pool, sent.error());
    return std::nullopt;
  }
  free_slots_.pop_front();
  std::string id = (*pod)->id();
  pods_.emplace(id, std::move(*pod));
  return id;
}

void LocalController::on_spawned(const std::string& id, pid_t pid, const std::string& error) {
  const auto found = pods_.find(id);
  if (found == pods_.end()) return;
  PodProcess& pod = *found->second;
  if (!error.empty()) pod.end("StartFailed", error);
  if (pid <= 0) {
    bury(pod, 0);
    return;
  }
  if (const auto pool = pools_.find(pod.runtime()); pool != pools_.end() && pool->second->zygote) {
    pod.note_copied(pool->second->zygote->copied_bytes());
  }
  if (auto started = pod.started(pid); !started) pod.end("StartFailed", started.error().message);
  if (const auto early = early_exits_.find(pid); early != early_exits_.end()) {
    const int status = early->second;
    early_exits_.erase(early);
    bury(pod, status);
  }
  // Numbers are used again: none may stay that no spawn is waiting for.
  if (!spawning()) early_exits_.clear();
}

bool LocalController::spawning() const {
  return std::any_of(pools_.begin(), pools_.end(), [](const auto& entry) {
    return entry.second->zygote && entry.second->zygote->open_spawns() > 0;
  });
}

}  // namespace ebb::node
