#include "cli/up_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "api/autoscaling.h"

namespace ebb::cli {
namespace {

using api::Json;
using scheduling::PoolSize;
using testing::AllOf;
using testing::HasSubstr;

class UpSettingsTest : public testing::Test {
 protected:
  UpSettingsTest() {
    std::string pattern = testing::TempDir() + "ebb-settings-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~UpSettingsTest() override { std::filesystem::remove_all(folder_); }
  std::string file(const std::string& text) {
    const std::string path = folder_ + "/ebb.yaml";
    std::ofstream(path) << text;
    return path;
  }
  Result<UpOptions> read(const std::string& text, const Json& flags = Json::object()) {
    auto document = read_settings(file(text), flags);
    if (!document) return fail(document.error());
    return up_options(*document);
  }
  std::string error(const std::string& text) {
    auto options = read(text);
    return options ? "" : options.error().message;
  }

  std::string folder_;
};

TEST_F(UpSettingsTest, NothingMeansTheDefaults) {
  for (const char* text : {"", "# only a comment\n", "---\n"}) {
    const auto up = read(text);
    ASSERT_TRUE(up) << up.error().message;
    EXPECT_EQ(up->gateway.to_string(), "127.0.0.1:8080");
    EXPECT_EQ(up->api.to_string(), "127.0.0.1:8081");
    EXPECT_EQ(up->domain, "localhost");
    EXPECT_FALSE(up->settings.pool);
    EXPECT_FALSE(up->metrics);
    EXPECT_FALSE(up->https);
    EXPECT_FALSE(up->https_redirect);
    EXPECT_TRUE(up->isolation);
    EXPECT_TRUE(up->pod_network);
    EXPECT_EQ(up->gc, control::RevisionGcSettings());
  }
}

TEST_F(UpSettingsTest, EveryKey) {
  const auto up = read(R"(
data: /srv/ebb
gateway: 0.0.0.0:80
api: "[::1]:9000"
metrics: 127.0.0.1:9100
https: 0.0.0.0:443
certificates:
- certificate: /etc/ssl/a.pem
  key: /etc/ssl/a.key
- {certificate: b.pem, key: b.key}
httpsRedirect: true
domain: example.com
runtimes: /opt/runtimes
accessLog: /var/log/ebb.log
isolation: none
podNetwork: false
scaleToZero: false
preload: auto
metricsInterval: 5s
logLevel: debug
maxBody: 5Mi
serverTiming: all
pool: 3
pools: {node: 2, python: 8-40}
autoscaling:
  window: 10s
  target-utilization-percentage: 50
  max-scale: 20
  max-scale-limit: 40
  max-pods-per-namespace: 100
  max-pods-memory: 8Gi
gc:
  retain-since-create-time: 1h
  retain-since-last-active-time: disabled
  min-non-active-revisions: 2
  max-non-active-revisions: 5
)");
  ASSERT_TRUE(up) << up.error().message;
  EXPECT_EQ(up->data, "/srv/ebb");
  EXPECT_EQ(up->gateway.port, 80);
  EXPECT_EQ(up->api.to_string(), "[::1]:9000");
  EXPECT_EQ(up->metrics->port, 9100);
  EXPECT_EQ(up->https->to_string(), "0.0.0.0:443");
  ASSERT_EQ(up->certificates.size(), 2u);
  EXPECT_EQ(up->certificates[0].certificate, "/etc/ssl/a.pem");
  EXPECT_EQ(up->certificates[0].key, "/etc/ssl/a.key");
  EXPECT_EQ(up->certificates[1].key, "b.key");
  EXPECT_TRUE(up->https_redirect);
  EXPECT_EQ(up->domain, "example.com");
  EXPECT_EQ(up->runtimes, "/opt/runtimes");
  EXPECT_EQ(up->access_log, "/var/log/ebb.log");
  EXPECT_FALSE(up->isolation);
  EXPECT_FALSE(up->pod_network);
  EXPECT_FALSE(up->scale_to_zero);
  EXPECT_TRUE(up->preload);
  EXPECT_EQ(up->metrics_interval, std::chrono::seconds(5));
  EXPECT_EQ(up->settings.log_level, log::Level::kDebug);
  EXPECT_EQ(up->requests.max_body, 5u << 20);
  EXPECT_EQ(up->requests.server_timing, serving::ServerTiming::kAll);
  EXPECT_EQ(up->settings.pool, (PoolSize{3, 3}));
  EXPECT_EQ(up->settings.pools,
            (std::map<std::string, PoolSize>{{"node", {2, 2}}, {"python", {8, 40}}}));
  EXPECT_EQ(up->autoscaling.at("autoscaling.knative.dev/window"), "10s");
  EXPECT_EQ(up->autoscaling.at("autoscaling.knative.dev/target-utilization-percentage"), "50");
  EXPECT_EQ(up->autoscaling.size(), 3u) << "limits are no annotations";
  EXPECT_EQ(up->limits, (control::ScaleLimits{
                            .per_revision = 40, .per_namespace = 100, .memory_bytes = 8ull << 30}));
  EXPECT_EQ(up->gc.retain_since_create_time, std::chrono::hours(1));
  EXPECT_FALSE(up->gc.retain_since_last_active_time);
  EXPECT_EQ(up->gc.min_non_active_revisions, 2);
  EXPECT_EQ(up->gc.max_non_active_revisions, 5);
}

// As Knative's config-autoscaler has them, in quotes or not.
TEST_F(UpSettingsTest, TakesTheNamesOfConfigAutoscaler) {
  const auto up = read(R"(
autoscaling:
  pod-autoscaler-class: kpa.autoscaling.knative.dev
  container-concurrency-target-percentage: "0.6"
  container-concurrency-target-default: "50"
  requests-per-second-target-default: 150
  target-burst-capacity: "100"
  stable-window: 30s
  panic-window-percentage: 20
  max-scale-up-rate: "10"
  max-scale-down-rate: 1.5
  enable-scale-to-zero: "False"
  _example: |
    # stable-window: "what stands in a comment"
)");
  ASSERT_TRUE(up) << up.error().message;
  EXPECT_FALSE(up->scale_to_zero);
  std::vector<api::FieldError> errors;
  const auto spec = api::parse_autoscaling(up->autoscaling, "autoscaling", errors);
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(spec.autoscaler_class, "kpa.autoscaling.knative.dev");
  EXPECT_DOUBLE_EQ(spec.target_utilization, 0.6);
  EXPECT_EQ(spec.total_target(0), 50);
  EXPECT_EQ(spec.total_target(8), 8) << "the container's limit is before the cluster's default";
  EXPECT_EQ(spec.target_burst_capacity, 100);
  EXPECT_EQ(spec.stable_window, std::chrono::seconds(30));
  EXPECT_EQ(spec.panic_window_percentage, 20);
  EXPECT_EQ(spec.max_scale_up_rate, 10);
  EXPECT_EQ(spec.max_scale_down_rate, 1.5);

  auto by_requests = up->autoscaling;
  by_requests["autoscaling.knative.dev/metric"] = "rps";
  EXPECT_EQ(api::parse_autoscaling(by_requests, "autoscaling", errors).total_target(8), 150);

  const auto both =
      read("autoscaling: {class: ebb.dev/adaptive, window: 2s, max-scale-up-rate: 5}\n");
  EXPECT_TRUE(both) << both.error().message;
  const auto memory = read("autoscaling: {class: hpa.autoscaling.knative.dev, metric: memory}\n");
  EXPECT_TRUE(memory) << memory.error().message;
}

TEST_F(UpSettingsTest, FlagsWin) {
  const auto up = read("pool: 3\ndomain: example.com\n", {{"pool", 5}, {"gateway", ":0"}});
  ASSERT_TRUE(up) << up.error().message;
  EXPECT_EQ(up->settings.pool, (PoolSize{5, 5}));
  EXPECT_EQ(up->domain, "example.com");
  EXPECT_EQ(up->gateway.port, 0);
}

TEST_F(UpSettingsTest, HttpsMayComeFromAFlagToWhatTheFileSays) {
  const std::string text =
      "certificates: [{certificate: a.pem, key: a.key}]\nhttpsRedirect: true\n";
  const auto up = read(text, {{"https", "127.0.0.1:0"}});
  ASSERT_TRUE(up) << up.error().message;
  EXPECT_EQ(up->https->port, 0);
  EXPECT_EQ(error(text), "httpsRedirect: there is no https to send requests to");
  EXPECT_THAT(error("https: 127.0.0.1:0\n"), HasSubstr("certificates: https needs one"));
}

TEST_F(UpSettingsTest, WhatIsWrongIsNamedWithFileAndKey) {
  EXPECT_THAT(error("gatway: 1\n"), HasSubstr("ebb.yaml: gatway: unknown key"));
  EXPECT_THAT(error("gateway: nowhere\n"), HasSubstr("gateway: "));
  EXPECT_THAT(error("https: nowhere\n"), HasSubstr("ebb.yaml: https: "));
  EXPECT_THAT(error("httpsRedirect: maybe\n"), HasSubstr("httpsRedirect: "));
  EXPECT_THAT(error("certificates: a.pem\n"), HasSubstr("certificates: "));
  EXPECT_THAT(error("certificates: [a.pem]\n"), HasSubstr("certificates[0]: "));
  EXPECT_THAT(error("certificates: [{certificate: a.pem, key: k}, {certificate: b.pem}]\n"),
              HasSubstr("certificates[1].key: name a PEM file"));
  EXPECT_THAT(error("certificates: [{key: k}]\n"),
              HasSubstr("certificates[0].certificate: name a PEM file"));
  EXPECT_THAT(error("certificates: [{certificate: a, key: k, ca: c}]\n"),
              HasSubstr("certificates[0].ca: unknown key"));
  EXPECT_THAT(error("logLevel: loud\n"), HasSubstr("logLevel: \"loud\" is none of debug"));
  EXPECT_THAT(error("preload: always\n"), HasSubstr("preload: \"always\" is neither off nor auto"));
  EXPECT_THAT(error("isolation: some\n"), HasSubstr("isolation: \"some\" is neither"));
  EXPECT_THAT(error("maxBody: big\n"), HasSubstr("maxBody: "));
  EXPECT_THAT(error("serverTiming: some\n"), HasSubstr("serverTiming: \"some\" is none of"));
  EXPECT_THAT(error("metricsInterval: often\n"), HasSubstr("metricsInterval: "));
  EXPECT_THAT(error("metricsInterval: 0.5s\n"),
              HasSubstr("metricsInterval: \"0.5s\" is not within 1s and 10m"));
  EXPECT_THAT(error("metricsInterval: 1h\n"), HasSubstr("is not within 1s and 10m"));
  EXPECT_THAT(error("pool: -1\n"), HasSubstr("pool: -1 is not within 0 and 10000"));
  EXPECT_THAT(error("pool: many\n"),
              HasSubstr("pool: \"many\" is neither a number of pods nor a range like 8-64"));
  EXPECT_THAT(error("pools: {node: few}\n"), HasSubstr("pools.node: "));
  EXPECT_THAT(error("autoscaling: {window: 1s}\n"), HasSubstr("window"));
  EXPECT_THAT(error("autoscaling: {class: ebb.dev/magic}\n"),
              HasSubstr("must be ebb.dev/adaptive"));
  EXPECT_THAT(error("autoscaling: {class: ebb.dev/lua}\n"), HasSubstr("needs ebb.dev/policy-file"));
  EXPECT_THAT(error("autoscaling: {max-scale-up-rate: 1}\n"),
              HasSubstr("autoscaling.max-scale-up-rate: Invalid value: \"1\": must be greater"));
  EXPECT_THAT(error("autoscaling: {enable-scale-to-zero: no}\n"),
              HasSubstr("autoscaling.enable-scale-to-zero: \"no\" is neither true nor false"));
  EXPECT_THAT(error("autoscaling: {stable-window: 9s, window: 10s}\n"),
              HasSubstr("autoscaling.window: is stable-window by another name"));
  EXPECT_THAT(error("autoscaling: {min-scale: 1, minScale: 2}\n"), HasSubstr("by another name"));
  EXPECT_THAT(error("autoscaling: {scale-to-zero-grace-period: 30s}\n"),
              HasSubstr("autoscaling.scale-to-zero-grace-period: the last pod has nothing"));
  EXPECT_THAT(error("autoscaling: {activator-capacity: 100, allow-zero-initial-scale: true}\n"),
              AllOf(HasSubstr("there are no activators"), HasSubstr("it is always allowed")));
  EXPECT_THAT(error("autoscaling: {container-concurrency-target-percentage: 0}\n"),
              HasSubstr("autoscaling.container-concurrency-target-percentage: Invalid value"));
  EXPECT_THAT(error("autoscaling: {stable-window: 3s}\n"),
              HasSubstr("autoscaling.stable-window: Invalid value: \"3s\""));
  EXPECT_THAT(error("autoscaling: {max-scale-limit: -1}\n"),
              HasSubstr("autoscaling.max-scale-limit: \"-1\" is no whole number within 0"));
  EXPECT_THAT(error("autoscaling: {max-pods-memory: much}\n"),
              HasSubstr("autoscaling.max-pods-memory: \"much\""));
  EXPECT_THAT(error("autoscaling: {max-pods-per-namespace: ten}\n"),
              HasSubstr("autoscaling.max-pods-per-namespace: \"ten\" is no whole number"));
  EXPECT_THAT(error("autoscaling: {max-scale-limit: 5, max-scale: 6}\n"),
              HasSubstr("5 is below the default of min-scale or max-scale"));
  EXPECT_THAT(error("gc: {retain-since-create-time: long}\n"),
              HasSubstr("gc.retain-since-create-time: "));
  EXPECT_THAT(error("gc: {foo: 1}\n"), HasSubstr("gc.foo: unknown key"));
  EXPECT_THAT(error("logFormat: xml\n"), HasSubstr("\"xml\" is neither text nor json"));
  for (const char* domain : {"A B", "a..b", ".a", "a.", "-a.b", "a-.b", "\u00e9.de"}) {
    EXPECT_THAT(error(fmt::format("domain: '{}'\n", domain)), HasSubstr("is no domain")) << domain;
  }
  EXPECT_EQ(read("domain: a-1.example.com\nlogFormat: json\n")->domain, "a-1.example.com");
  EXPECT_THAT(error("gc: {min-non-active-revisions: 9, max-non-active-revisions: 3}\n"),
              HasSubstr("gc.max-non-active-revisions: is below"));
  EXPECT_THAT(error("a: 1\na: 2\n"), HasSubstr("line 2"));
  EXPECT_THAT(error("- gateway\n"), HasSubstr("one YAML document with keys and values"));
  EXPECT_THAT(error("pool: 1\n---\npool: 2\n"), HasSubstr("one YAML document"));
  EXPECT_THAT(read_settings(folder_ + "/none", Json::object()).error().message, HasSubstr("none"));
}

TEST_F(UpSettingsTest, WhatARunningEbbCannotTakeOver) {
  const auto running = read("pool: 3\n");
  EXPECT_EQ(needs_restart(*running, *read("pool: 4\nlogLevel: warn\npools: {node: 1}\n"
                                          "autoscaling: {window: 10s}\n"
                                          "certificates: [{certificate: a, key: k}]\n"
                                          "gc: {min-non-active-revisions: 1}\n")),
            "");
  EXPECT_EQ(needs_restart(*running, *read("pool: 3\ndomain: x.org\ngateway: :1\n"
                                          "metricsInterval: 30s\n")),
            "gateway, domain, metricsInterval");
  EXPECT_EQ(needs_restart(*running, *read("pool: 3\nhttps: :443\nhttpsRedirect: true\n"
                                          "certificates: [{certificate: a, key: k}]\n")),
            "https, httpsRedirect");
}

TEST_F(UpSettingsTest, TheRestIsTakenOver) {
  auto running = read("pool: 3\n");
  const auto wanted = read(
      "pool: 4\ndomain: x.org\ncertificates: [{certificate: a, key: k}]\n"
      "autoscaling: {window: 10s, max-scale-limit: 3}\ngc: {min-non-active-revisions: 1}\n");
  take_over(*running, *wanted);
  EXPECT_EQ(running->settings.pool, (PoolSize{4, 4}));
  EXPECT_EQ(running->certificates.size(), 1u);
  EXPECT_EQ(running->autoscaling, wanted->autoscaling);
  EXPECT_EQ(running->limits, wanted->limits);
  EXPECT_EQ(running->gc, wanted->gc);
  EXPECT_EQ(needs_restart(*running, *wanted), "domain");
}

}  // namespace
}  // namespace ebb::cli
