#include "control/outside_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::control {
namespace {

using testing::HasSubstr;
using Kind = OutsideMetricSpec::Kind;

std::string error_of(const Result<double>& value) {
  return value ? "no error" : value.error().message;
}

TEST(OutsideValue, PrometheusVectorAndScalar) {
  EXPECT_EQ(prometheus_value(R"({"status":"success","data":{"resultType":"vector","result":[
      {"metric":{"job":"a"},"value":[1435781451.781,"12.5"]}]}})"),
            12.5);
  EXPECT_EQ(
      prometheus_value(
          R"({"status":"success","data":{"resultType":"scalar","result":[1435781451,"-3e2"]}})"),
      -300);
}

TEST(OutsideValue, PrometheusWithoutOneNumberSaysWhy) {
  const auto vector = [](const std::string& result) {
    return error_of(prometheus_value(
        R"({"status":"success","data":{"resultType":"vector","result":)" + result + "}}"));
  };
  EXPECT_EQ(vector("[]"), "the query finds no series");
  EXPECT_THAT(vector(R"([{"value":[1,"1"]},{"value":[1,"2"]}])"), HasSubstr("finds 2 series"));
  EXPECT_THAT(vector(R"([{"value":[1,"NaN"]}])"), HasSubstr("the value is nan"));
  EXPECT_THAT(vector(R"([{"value":[1,"+Inf"]}])"), HasSubstr("the value is +Inf"));
  EXPECT_THAT(vector(R"([{"value":[1,"x"]}])"),
              HasSubstr("a text of 1 bytes that is not a number"));
  EXPECT_THAT(vector(R"([{"value":[1,2]}])"), HasSubstr("[time, \"value\"]"));
  EXPECT_THAT(vector("[5]"), HasSubstr("has no value"));
  EXPECT_THAT(vector("5"), HasSubstr("it must give a scalar or a vector"));
  EXPECT_THAT(
      error_of(prometheus_value(
          R"({"status":"error","errorType":"bad_data","error":"parse error: unexpected end"})")),
      HasSubstr("Prometheus says: parse error"));
  EXPECT_THAT(error_of(prometheus_value(
                  R"({"status":"success","data":{"resultType":"matrix","result":[]}})")),
              HasSubstr("gives a matrix"));
  EXPECT_THAT(error_of(prometheus_value(R"({"status":"success"})")), HasSubstr("no data.result"));
  EXPECT_EQ(error_of(prometheus_value("<html>")),
            "the answer, of 6 bytes, is not Prometheus' JSON");
}

TEST(OutsideValue, JsonByPointer) {
  const char* body = R"({"queue":[{"length":7},{"length":"8.5"}],"a/b":{"~":1},"":3})";
  EXPECT_EQ(json_value(body, "/queue/0/length"), 7);
  EXPECT_EQ(json_value(body, "/queue/1/length"), 8.5);
  EXPECT_EQ(json_value(body, "/a~1b/~0"), 1);
  EXPECT_EQ(json_value(body, "/"), 3);
  EXPECT_EQ(json_value("5", ""), 5);
}

TEST(OutsideValue, JsonWithoutANumberSaysWhy) {
  const char* body = R"({"queue":[1],"text":"many","yes":true})";
  for (const char* missing :
       {"/none", "/queue/1", "/queue/01", "/queue/-", "/queue/x", "/text/a"}) {
    const auto value = json_value(body, missing);
    ASSERT_FALSE(value) << missing;
    EXPECT_EQ(value.error().code, Errc::kNotFound) << missing;
  }
  EXPECT_THAT(error_of(json_value(body, "/text")),
              HasSubstr("a text of 4 bytes that is not a number"));
  EXPECT_THAT(error_of(json_value(body, "/yes")), HasSubstr("of type boolean"));
  EXPECT_THAT(error_of(json_value(body, "queue")), HasSubstr("not a JSON pointer"));
  EXPECT_THAT(error_of(json_value(body, "/~2")), HasSubstr("not a JSON pointer"));
  EXPECT_EQ(error_of(json_value("{", "")), "the answer, of 1 bytes, is not JSON");
}

TEST(OutsideValue, Urls) {
  EXPECT_EQ(parse_http_url("http://Example.com:9090/a/b?c=d"),
            (HttpUrl{"example.com", 9090, "Example.com:9090", "/a/b?c=d"}));
  EXPECT_EQ(parse_http_url("http://[::1]"), (HttpUrl{"::1", 80, "[::1]", "/"}));
  EXPECT_EQ(parse_http_url("http://10.0.0.1:8000")->port, 8000);
  for (const char* bad :
       {"", "example.com", "https://example.com", "http://", "http:///a", "http://a:0/",
        "http://a:99999/", "http://u:p@a/", "http://a/#x", "http://a/b c", "http://a/\r\nX: 1"}) {
    EXPECT_FALSE(parse_http_url(bad)) << bad;
  }
}

TEST(OutsideValue, Metrics) {
  const auto prometheus = parse_outside_metric(
      " prometheus http://127.0.0.1:9090/  sum(rate(jobs_total{a=\"b\"}[1m])) ");
  ASSERT_TRUE(prometheus);
  EXPECT_EQ(prometheus->kind, Kind::kPrometheus);
  EXPECT_EQ(prometheus->query, "sum(rate(jobs_total{a=\"b\"}[1m]))");
  EXPECT_EQ(url_of(*prometheus),
            "http://127.0.0.1:9090/api/v1/query?query="
            "sum%28rate%28jobs_total%7Ba%3D%22b%22%7D%5B1m%5D%29%29");
  const auto json = parse_outside_metric("json http://127.0.0.1:8000/stats /queue/length");
  ASSERT_TRUE(json);
  EXPECT_EQ(json->kind, Kind::kJson);
  EXPECT_EQ(url_of(*json), "http://127.0.0.1:8000/stats");
  EXPECT_EQ(value_of(*json, R"({"queue":{"length":4}})"), 4);
  const auto error = [](const char* text) {
    const auto spec = parse_outside_metric(text);
    return spec ? std::string("no error") : spec.error().message;
  };
  EXPECT_THAT(error(""), HasSubstr("prometheus URL QUERY"));
  EXPECT_THAT(error("graphite http://a x"), HasSubstr("json URL POINTER"));
  EXPECT_THAT(error("prometheus http://a"), HasSubstr("has no query"));
  EXPECT_THAT(error("prometheus http://a?b=c up"), HasSubstr("without a query"));
  EXPECT_THAT(error("json http://a length"), HasSubstr("not a JSON pointer"));
  EXPECT_THAT(error("json ftp://a /length"), HasSubstr("must begin with http://"));
}

}  // namespace
}  // namespace ebb::control
