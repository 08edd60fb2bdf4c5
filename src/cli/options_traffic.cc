// The command lines of `ebb traffic` and `ebb rollback`.
#include <CLI/CLI.hpp>
#include <charconv>
#include <set>

#include "cli/command_line.h"
#include "cli/flags.h"

namespace ebb::cli {

namespace {

constexpr int kWhole = 100;  // percent

Result<void> check_revision(const std::string& name, const char* option) {
  if (name == kLatest) return {};
  if (name.starts_with('@')) {
    return fail(Errc::kInvalid, "{}: \"{}\" is unknown: write @latest or a revision's name", option,
                name);
  }
  if (auto ok = check_name(name); !ok || name.empty()) {
    return fail(Errc::kInvalid, "{}: \"{}\" is not a revision's name", option, name);
  }
  return {};
}

Result<std::vector<std::pair<std::string, int>>> shares(const std::vector<std::string>& texts) {
  const auto pairs = key_values(texts, "--revision");
  if (!pairs) return fail(pairs.error());
  std::vector<std::pair<std::string, int>> out;
  std::set<std::string> seen;
  int sum = 0;
  for (const auto& [revision, text] : *pairs) {
    if (auto ok = check_revision(revision, "--revision"); !ok) return fail(ok.error());
    std::string_view digits(text);
    if (digits.ends_with('%')) digits.remove_suffix(1);
    int percent = -1;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), percent);
    if (read.ec != std::errc() || read.ptr != digits.data() + digits.size() || percent < 0 ||
        percent > kWhole) {
      return fail(Errc::kInvalid, "--revision: \"{}\" is not a percentage from 0 to 100", text);
    }
    if (!seen.insert(revision).second) {
      return fail(Errc::kInvalid, "--revision: {} is given twice", revision);
    }
    sum += percent;
    out.emplace_back(revision, percent);
  }
  if (!out.empty() && sum != kWhole) {
    return fail(Errc::kInvalid, "--revision: the percentages sum to {}, not to 100", sum);
  }
  return out;
}

class TrafficLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* traffic = app.add_subcommand("traffic", "Split a service's traffic over revisions");
    traffic->add_option("NAME", to_.name, "name of the service")->required();
    flag(traffic, "--revision", revisions_,
         "REVISION=PERCENT, where @latest is the latest ready one; may be repeated; sums to 100")
        ->type_name("REV=PCT");
    flag(traffic, "--tag", tags_, "gives a revision a host of its own; may be repeated")
        ->type_name("TAG=REV");
    flag(traffic, "--untag", to_.untag, "takes a tag away; may be repeated")->type_name("TAG");
    toggle(traffic, "--no-wait", no_wait_, "do not wait until the route has it");
    flag(traffic, "--wait-timeout", wait_timeout_, "how long to wait at most")
        ->type_name("DURATION")
        ->capture_default_str();
    example(traffic,
            "  ebb traffic hello --revision hello-00001=90 --revision @latest=10 "
            "--tag next=@latest\n"
            "Without --revision the shares stay; tags stay unless they move or --untag says so.");
    return traffic;
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    TrafficOptions traffic = to_;
    if (auto ok = check_service_name(traffic.name); !ok) return fail(ok.error());
    if (revisions_.empty() && tags_.empty() && traffic.untag.empty()) {
      return fail(Errc::kInvalid, "say what changes: --revision, --tag or --untag");
    }
    auto revisions = shares(revisions_);
    if (!revisions) return fail(revisions.error());
    traffic.revisions = std::move(*revisions);
    auto tags = key_values(tags_, "--tag");
    if (!tags) return fail(tags.error());
    for (const auto& [tag, revision] : *tags) {
      if (auto ok = check_service_name(tag); !ok) {
        return fail(Errc::kInvalid, "--tag: \"{}\" is not a tag: use a-z, 0-9 and -", tag);
      }
      if (auto ok = check_revision(revision, "--tag"); !ok) return fail(ok.error());
    }
    traffic.tags = std::move(*tags);
    const auto wait_timeout = positive_duration(wait_timeout_, "--wait-timeout", kMaxWait);
    if (!wait_timeout) return fail(wait_timeout.error());
    traffic.wait_timeout = *wait_timeout;
    traffic.wait = !no_wait_;
    return Command(std::move(traffic));
  }

 private:
  TrafficOptions to_;
  std::vector<std::string> revisions_;
  std::vector<std::string> tags_;
  std::string wait_timeout_ = "2m";
  bool no_wait_ = false;
};

class RollbackLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* rollback = app.add_subcommand(
        "rollback", "Send all traffic to the revision before, or to a given one");
    rollback->add_option("NAME", to_.name, "name of the service")->required();
    flag(rollback, "--to", to_.to,
         "revision (default: of several that serve the one before the newest, else the ready one "
         "before the one that serves)")
        ->type_name("REVISION");
    toggle(rollback, "--no-wait", no_wait_, "do not wait until the route has it");
    flag(rollback, "--wait-timeout", wait_timeout_, "how long to wait at most")
        ->type_name("DURATION")
        ->capture_default_str();
    example(rollback,
            "  ebb rollback hello\n"
            "Later deploys get no traffic until: ebb traffic hello --revision @latest=100");
    return rollback;
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    RollbackOptions rollback = to_;
    if (auto ok = check_service_name(rollback.name); !ok) return fail(ok.error());
    if (!rollback.to.empty()) {
      if (auto ok = check_revision(rollback.to, "--to"); !ok) return fail(ok.error());
    }
    const auto wait_timeout = positive_duration(wait_timeout_, "--wait-timeout", kMaxWait);
    if (!wait_timeout) return fail(wait_timeout.error());
    rollback.wait_timeout = *wait_timeout;
    rollback.wait = !no_wait_;
    return Command(std::move(rollback));
  }

 private:
  RollbackOptions to_;
  std::string wait_timeout_ = "2m";
  bool no_wait_ = false;
};

}  // namespace

void add_traffic_lines(CommandLines& lines) {
  lines.push_back(std::make_unique<TrafficLine>());
  lines.push_back(std::make_unique<RollbackLine>());
}

}  // namespace ebb::cli
