// The `ebb` program. `ebb up` is three processes:
//
//   supervisor         this one: root; opens what needs rights, starts the other two,
//                      and again whichever dies (node/supervisor.h)
//   Local Controller   root; owns the pods (node/local_controller.h)
//   front              no rights; gateway, API and control (front.h)

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "cli/cli.h"
#include "cli/kubeconfig.h"
#include "cli/up_reload.h"
#include "cli/up_settings.h"
#include "front.h"
#include "net/io_engine.h"
#include "net/listener.h"
#include "net/tls_certificate.h"
#include "net/tls_identity.h"
#include "node/ids.h"
#include "node/launch.h"
#include "node/supervisor.h"
#include "sandbox/rights.h"
#include "upgrade.h"

namespace ebb {
namespace {

constexpr size_t kMostSockets = 1024;  // of a front, in the pods' network

// What is made ready with root's rights, for the front and for itself.
struct Prepared {
  Opened opened;  // the lock, too, is held while this supervisor lives
  node::ControllerOptions controller;
};

// The cores that this process may use, which in a container are fewer than there are.
int usable_cores() {
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  return std::max(1, CPU_COUNT(&cores));
}

// The runtimes beside the program (a build folder), else the installed ones.
std::string find_runtimes(const std::string& wish) {
  std::error_code ignored;
  if (!wish.empty()) return std::filesystem::absolute(wish, ignored);
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const auto& candidate : {folder / "runtimes", folder / "../lib/ebb/runtimes"}) {
    if (std::filesystem::exists(candidate, ignored)) {
      return std::filesystem::weakly_canonical(candidate, ignored);
    }
  }
  return "/usr/lib/ebb/runtimes";
}

// One supervisor for a data folder; its Local Controller may outlive it for a while.
Result<UniqueFd> lock(const node::DataFolder& data) {
  UniqueFd fd(::open((data.run() + "/front.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(Errc::kAlreadyExists,
                "another ebb up uses the data folder {}: stop that one first, or choose another "
                "data folder with --data",
                data.root);
  }
  return fd;
}

// The API's token: made once per data folder, so that a restart keeps clients.
Result<std::string> load_token(const node::DataFolder& data) {
  const std::string path = data.root + "/token";
  if (auto text = read_file(path, 4096); text && text->size() >= 32) return *text;
  std::string token = random_hex(24);
  if (auto written = write_file_atomic(path, token, 0600); !written) return fail(written.error());
  return token;
}

// The kubeconfig belongs to whoever typed `sudo ebb up`.
Result<void> publish_kubeconfig(const Opened& opened) {
  const auto api = net::local_address(opened.sockets.api.get());
  if (!api) return fail(api.error());
  const std::string path = opened.data.kubeconfig();
  const cli::Kubeconfig config{.server = "https://" + net::reachable(*api).to_string(),
                               .ca = opened.identity.ca_pem,
                               .token = opened.token};
  if (auto written = cli::write_kubeconfig(path, config); !written) return written;
  const char* uid = std::getenv("SUDO_UID");
  const char* gid = std::getenv("SUDO_GID");
  if (node::has_own_ids() && uid != nullptr && gid != nullptr &&
      ::chown(path.c_str(), static_cast<uid_t>(std::atol(uid)),
              static_cast<gid_t>(std::atol(gid))) != 0) {
    return fail_errno(errno, "cannot give " + path + " to the user of sudo");
  }
  return {};
}

// For the front, which may not read the files.
Result<std::vector<net::TlsCertificate>> read_certificates(
    const std::vector<cli::CertificateFiles>& certificates) {
  constexpr size_t kMost = 4 << 20;  // bytes of all: they fit into a reload
  size_t bytes = 0;
  std::vector<net::TlsCertificate> out;
  for (const auto& files : certificates) {
    auto read = net::read_tls_certificate(files.certificate, files.key);
    if (!read) {
      return fail(read.error().code, "certificates[{}]: {}", out.size(), read.error().message);
    }
    const std::string problem = net::lifetime_problem(*read, std::chrono::system_clock::now());
    if (!problem.empty()) {
      log::warn("ebb", "the certificate {} {}: clients will refuse it", files.certificate, problem);
    }
    bytes += read->certificate_pem.size() + read->key_pem.size();
    if (bytes > kMost) return fail(Errc::kExhausted, "certificates: more than {} bytes", kMost);
    out.push_back(std::move(*read));
  }
  return out;
}

Result<std::string> runtimes_for(const cli::UpOptions& options) {
  std::error_code error;
  std::string runtimes = find_runtimes(options.runtimes);
  if (!std::filesystem::is_directory(runtimes, error)) {
    return fail(Errc::kNotFound, "there are no runtimes in {}: name their folder with --runtimes",
                runtimes);
  }
  for (const auto& [name, size] : options.settings.pools) {
    if (std::filesystem::is_directory(std::filesystem::path(runtimes) / name, error)) continue;
    return fail(Errc::kInvalid, "pools.{}: there is no such runtime in {}", name, runtimes);
  }
  return runtimes;
}

// Whether all is there that a start needs, which has no effect: see check_program.
Result<void> check(const cli::UpOptions& options) {
  if (auto runtimes = runtimes_for(options); !runtimes) return fail(runtimes.error());
  if (!options.https) return {};
  const auto certificates = read_certificates(options.certificates);
  return certificates ? Result<void>() : fail(certificates.error());
}

// What a version before us has left open there serves on, whatever the core's number is now.
Result<void> listen(std::vector<UniqueFd>& sockets, const net::Address& at, int workers) {
  const auto now =
      sockets.empty() ? fail(Errc::kNotFound, "none") : net::local_address(sockets.front().get());
  const bool same = now && now->to_string() == at.to_string();
  const bool any_port = now && at.port == 0 && now->host == at.host;
  if (same || any_port) return {};
  auto bound = net::bind_shared(at, workers);
  if (!bound) return fail(bound.error());
  sockets = std::move(*bound);
  return {};
}

Result<void> listen(UniqueFd& socket, const net::Address& at) {
  std::vector<UniqueFd> sockets;
  if (socket) sockets.push_back(std::move(socket));
  auto done = listen(sockets, at, 1);
  if (done) socket = std::move(sockets.front());
  return done;
}

Result<Prepared> prepare(const cli::UpOptions& options, int workers, Inherited inherited) {
  if (auto root = node::make_up_for_root(); !root) return fail(root.error());
  const auto rights = sandbox::check_rights();
  if (!rights) return fail(rights.error());
  if (!node::has_own_ids() && ::getgroups(0, nullptr) > 1) {
    log::warn("front",
              "weaker isolation: Ebb and functions keep this user's other groups, which may reach "
              "more than files, such as the socket of docker. Take a user that has none, or: sudo "
              "ebb up");
  }
  if (!node::has_own_ids()) {
    log::warn("front",
              "weaker isolation: this user has no ids to give away, so Ebb and all functions run "
              "as one user of this machine, without limits of memory and CPU and without a network "
              "of their own where that takes root's rights. Start it with: sudo ebb up");
  }
  for (const auto& lack : rights->lacks) log::warn("front", "weaker isolation: {}", lack);
  Prepared out;
  std::error_code error;
  const auto runtimes = runtimes_for(options);
  if (!runtimes) return fail(runtimes.error());
  Opened& opened = out.opened;
  opened.runtimes = *runtimes;
  opened.data.root = std::filesystem::absolute(options.data, error).lexically_normal();
  opened.policies = opened.data.policies();
  if (!options.policies.empty()) {
    opened.policies = std::filesystem::absolute(options.policies, error).lexically_normal();
  }
  if (auto made = opened.data.prepare(node::front_uid()); !made) return fail(made.error());
  Inherited& sockets = opened.sockets;
  sockets = std::move(inherited);
  if (!sockets.lock) {
    auto locked = lock(opened.data);
    if (!locked) return fail(locked.error());
    sockets.lock = std::move(*locked);
  }
  if (auto done = listen(sockets.gateway, options.gateway, workers); !done) {
    return fail(done.error());
  }
  if (!options.https) sockets.https.clear();
  if (options.https) {
    auto certificates = read_certificates(options.certificates);
    if (!certificates) return fail(certificates.error());
    opened.certificates = std::move(*certificates);
    const auto share = static_cast<int>(sockets.gateway.size());
    if (sockets.https.size() != sockets.gateway.size()) sockets.https.clear();
    if (auto done = listen(sockets.https, *options.https, share); !done) return fail(done.error());
  }
  if (auto done = listen(sockets.api, options.api); !done) return fail(done.error());
  if (!options.metrics) sockets.metrics.reset();
  if (options.metrics) {
    if (auto done = listen(sockets.metrics, *options.metrics); !done) return fail(done.error());
  }
  if (!options.access_log.empty()) {
    auto log = serving::AccessLog::open(options.access_log);
    if (!log) return fail(log.error());
    // The front opens it anew after a rotation.
    if (::chown(options.access_log.c_str(), node::front_uid(), node::front_uid()) != 0) {
      return fail_errno(errno, "cannot give " + options.access_log + " to the front");
    }
    opened.access_log = std::move(*log);
  }
  auto identity = net::load_tls_identity(opened.data.root + "/tls", net::tls_names_of(options.api),
                                         std::chrono::system_clock::now());
  if (!identity) return fail(identity.error());
  opened.identity = std::move(*identity);
  auto token = load_token(opened.data);
  if (!token) return fail(token.error());
  opened.token = std::move(*token);
  if (auto published = publish_kubeconfig(opened); !published) return fail(published.error());
  out.controller = {.data = opened.data,
                    .runtimes = *runtimes,
                    .node = "local",
                    .usage_interval = options.metrics_interval,
                    .network = std::nullopt,
                    .without = rights->without};
  if (!options.isolation) {
    log::warn(
        "ebb",
        "isolation is off: functions have no user, memory or system call limits of their own, "
        "so run only your own code");
    out.controller.without = sandbox::kWithoutAll;
  }
  if (options.pod_network) out.controller.network.emplace();
  return out;
}

// The front's whole life, in its own process.
int run_front(const cli::UpOptions& options, Opened opened, UniqueFd supervisor,
              std::vector<UniqueFd> busy) {
  log::init("front", options.settings.log_level);
  if (auto dropped = node::drop_privileges(node::front_uid()); !dropped) {
    log::error("front", "{}", dropped.error().message);
    return 1;
  }
  Front front(options, std::move(opened), std::move(supervisor), std::move(busy));
  return front.run();
}

// The settings as they are now, for the front and for one that takes its place; nullopt and
// a line in the log if they are wrong.
std::optional<std::string> reload(cli::UpOptions& options, Opened& opened) {
  auto document = cli::read_settings(options.config, options.flags);
  auto wanted = document ? cli::up_options(*document) : fail(document.error());
  Result<std::vector<net::TlsCertificate>> certificates;
  if (!wanted) {
    certificates = fail(wanted.error());
  } else if (!opened.sockets.https.empty()) {
    certificates = read_certificates(wanted->certificates);
  }
  if (!certificates) {
    log::error("ebb", "the settings stay as they are: {}", certificates.error().message);
    return std::nullopt;
  }
  cli::take_over(options, *wanted);
  if (!certificates->empty()) opened.certificates = *certificates;
  return cli::UpReload{std::move(*document), std::move(*certificates)}.to_text();
}

int up(const cli::UpOptions& options, const Program& program) {
  log::set_format(options.log_format);
  log::init("ebb", options.settings.log_level);
  if (only_checks()) {
    const auto good = check(options);
    std::printf("%s\n", good ? cli::version() : good.error().message.c_str());
    return good ? 0 : 1;
  }
  node::Supervisor::block_signals();  // one that comes before it runs waits for it
  auto inherited = take_inherited();
  const bool has_served = !inherited.gateway.empty();
  auto prepared = prepare(options, usable_cores(), std::move(inherited));
  if (!prepared) {
    std::fprintf(stderr, "ebb: %s\n", prepared.error().message.c_str());
    return 1;
  }
  cli::UpOptions current = options;  // with what was read again
  node::Supervisor supervisor({.controller = prepared->controller,
                               .front =
                                   [&](UniqueFd socket, std::vector<UniqueFd> busy) {
                                     return run_front(current, std::move(prepared->opened),
                                                      std::move(socket), std::move(busy));
                                   },
                               .keep =
                                   [&](std::vector<UniqueFd> sockets, bool more) {
                                     std::vector<UniqueFd>& kept = prepared->opened.sockets.pods;
                                     if (!more) kept.clear();
                                     if (kept.size() + sockets.size() > kMostSockets)
                                       return;  // it is not to be trusted
                                     kept.insert(kept.end(), std::move_iterator(sockets.begin()),
                                                 std::move_iterator(sockets.end()));
                                   },
                               .draining =
                                   [&] {
                                     Inherited& sockets = prepared->opened.sockets;
                                     sockets.gateway.clear();
                                     sockets.https.clear();
                                     sockets.pods.clear();
                                     sockets.api.reset();
                                     sockets.metrics.reset();
                                   },
                               .reload = [&] { return reload(current, prepared->opened); },
                               .check_upgrade = [&] { return check_program(program); },
                               .upgrade =
                                   [&](const std::vector<node::LeavingFront>& leaving) {
                                     return execute_again(program, prepared->opened.sockets,
                                                          leaving);
                                   },
                               .has_served = has_served,
                               .leaving = std::move(prepared->opened.sockets.leaving)});
  return supervisor.run();
}

}  // namespace
}  // namespace ebb

int main(int argc, char** argv) {
  if (auto engine = ebb::net::check_io_engine(); !engine) {
    std::fprintf(stderr, "ebb: %s\n", engine.error().message.c_str());
    return 2;
  }
  const ebb::Program program = ebb::this_program(argc, argv);
  return ebb::cli::run(
      argc, argv, [&](const ebb::cli::UpOptions& options) { return ebb::up(options, program); });
}
