// The command line of `ebb up`.
#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/flags.h"
#include "cli/up_settings.h"

namespace ebb::cli {

namespace {

class UpLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* up = app.add_subcommand("up", "Run Ebb on this machine");
    example(up,
            "  sudo ebb up\n"
            "  sudo ebb up --data /srv/ebb --gateway 0.0.0.0:80 --domain example.com\n"
            "  sudo ebb up --config /etc/ebb/ebb.yaml\n"
            "--data DIR says where everything is kept. A flag wins over its environment variable,\n"
            "and that over the file of --config, which is read again on SIGHUP.");
    flag(up, "--config", config_, "file with settings: see docs/configuration.md");
    setting(up, "--gateway", "gateway", "where functions are reached (default 127.0.0.1:8080)")
        ->type_name("ADDR:PORT");
    setting(up, "--https", "https",
            "where functions are reached by TLS (default: nowhere); certificates are named in the "
            "file of --config")
        ->type_name("ADDR:PORT");
    setting(up, "--api", "api", "where the API is reached (default 127.0.0.1:8081)")
        ->type_name("ADDR:PORT");
    setting(up, "--metrics", "metrics",
            "where /metrics is served without a token (default: nowhere)")
        ->type_name("ADDR:PORT");
    setting(up, "--domain", "domain", "functions are at NAME.NAMESPACE.DOMAIN (default localhost)");
    setting(up, "--access-log", "accessLog", "file that gets a line for each request");
    setting(up, "--runtimes", "runtimes", "folder of the runtimes (default: the installed ones)");
    setting(up, "--policies", "policies",
            "folder of scaling policies in Lua (default: policies in the data folder)");
    setting(up, "--isolation", "isolation",
            "full (default); none runs functions unprotected, for trying Ebb out");
    setting(up, "--log-level", "logLevel", "debug, info (default), warn or error");
    setting(up, "--log-format", "logFormat",
            "text (default), or json: each line an object with time, level, process, component "
            "and message");
    setting(up, "--pool", "pool",
            "cold pods of each runtime in use: 16, or 8-64 to follow what is asked for (default: "
            "its manifest's, up to four times that)");
    return up;
  }

  [[nodiscard]] Result<Command> command(const ConnectionOptions& connection) const override {
    api::Json flags = api::Json::object();
    for (const auto& [key, value] : texts_) {
      if (!value.empty()) flags[key] = value;
    }
    if (!connection.data.empty()) flags["data"] = connection.data;
    auto document = read_settings(config_, flags);
    if (!document) return fail(document.error());
    auto up = up_options(*document);
    if (!up) return fail(up.error());
    up->config = config_;
    up->flags = std::move(flags);
    return Command(std::move(*up));
  }

 private:
  // A flag whose text is the value of `key` in the document of settings.
  CLI::Option* setting(CLI::App* app, const char* names, const char* key, const char* help) {
    return flag(app, names, texts_[key], help);
  }

  std::string config_;
  std::map<std::string, std::string> texts_;
};

}  // namespace

void add_up_line(CommandLines& lines) { lines.push_back(std::make_unique<UpLine>()); }

}  // namespace ebb::cli
