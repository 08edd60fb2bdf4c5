#include "sim/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "sim/trace_calls.h"
#include "sim/trace_files.h"

namespace ebb::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kInvocations =
    "HashOwner,HashApp,HashFunction,Trigger,1,2,3\r\n"
    "o,a,f,http,1,0,2\r\n"
    "o,a,g,\"timer\",0,,0\r\n"
    "o,b,f,queue,0,7,0\r\n";
constexpr std::string_view kDurations =
    "HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,percentile_Average_0,"
    "percentile_Average_1,percentile_Average_25,percentile_Average_50,percentile_Average_75,"
    "percentile_Average_99,percentile_Average_100\n"
    "o,a,f,20.5,3,10,40,10,11,15,20,25,39,40\n"
    "o,a,g,5,1,5,5,5,5,5,5,5,5,5\n"
    "o,b,f,7,1,7,7,7,7,7,7,7,7,7\n"
    "x,y,z,1,1,1,1,1,1,1,1,1,1,1\n";

TEST(Azure2019, ReadsCountsDurationsAndMemoryOfAnApplication) {
  const auto trace =
      parse_azure2019({{"inv.csv", kInvocations},
                       {"run.csv", kDurations},
                       {"mem.csv", "HashOwner,HashApp,AverageAllocatedMb\no,a,300\no,b,96\n"}});
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_EQ(trace->size(), 3);
  EXPECT_EQ(trace->total_calls, 10);
  EXPECT_EQ(trace->length, minutes(3));
  const Function& f = trace->functions[0];
  EXPECT_EQ(f.name, "f");
  EXPECT_FLOAT_EQ(f.mean_ms, 20.5);
  EXPECT_FLOAT_EQ(f.max_ms, 40);
  EXPECT_FLOAT_EQ(f.percentiles_ms[5], 39);
  EXPECT_FLOAT_EQ(f.memory_mb, 150);  // split over two functions
  EXPECT_FLOAT_EQ(trace->functions[2].memory_mb, 96);
  EXPECT_FLOAT_EQ(trace->functions[2].mean_ms, 7);
  EXPECT_EQ(trace->first[1] - trace->first[0], 2);
  EXPECT_EQ(trace->minutes[1].minute, 2);
  EXPECT_EQ(trace->minutes[1].count, 2);
  EXPECT_EQ(trace->first[2] - trace->first[1], 0);
}

TEST(Azure2019, ErrorsSayFileLineAndWhat) {
  const auto invocations = [](std::string_view rows) {
    const std::string text = "HashOwner,HashApp,HashFunction,1,2\n" + std::string(rows);
    const auto trace = parse_azure2019({{"inv.csv", text}, {}, {}});
    return trace ? std::string("none") : trace.error().message;
  };
  EXPECT_EQ(invocations("o,a,f,1,1\no,a,g,1\n"),
            "inv.csv:3:8: minute 2 is missing: the row has 4 fields, this would be field 5");
  EXPECT_EQ(invocations("o,a,f,-1,1\n"), "inv.csv:2:7: minute 1 must be 0 to 20000000, not -1");
  EXPECT_THAT(invocations("o,a,f,9999999999999,1\n"), HasSubstr("inv.csv:2:7: minute 1 must be"));
  EXPECT_THAT(invocations("o,a,f,1,1\no,a,f,1,1\n"), StartsWith("inv.csv:3:1: this owner"));
  EXPECT_THAT(invocations("o,a\n"), StartsWith("inv.csv:2:4: the row has 2 fields"));
  EXPECT_EQ(invocations(""), "inv.csv: no function in it");
  EXPECT_EQ(parse_azure2019({{"inv.csv", "a,b\n"}, {}, {}}).error().message,
            "inv.csv:1:1: there is no column \"HashOwner\"");
  EXPECT_THAT(parse_azure2019({{"inv.csv", ""}, {}, {}}).error().message, HasSubstr("empty"));
  EXPECT_EQ(invocations("o,a,f,1.5,1\n"), "inv.csv:2:7: minute 1 must be whole");
  EXPECT_EQ(invocations("o,a,f,1,nan\n"), "inv.csv:2:9: minute 2 is no number: \"nan\"");
  EXPECT_EQ(invocations("o,a,f,1,\"2\n"), "inv.csv:2:9: a quoted field does not end");
  EXPECT_EQ(invocations("o,a,f,1,20000000\no,a,g,1,1\n"),
            "inv.csv:3:9: minute 2 has more than 20000000 calls of all functions together");
  const auto runs = parse_azure2019({{"inv.csv", kInvocations}, {"run.csv", "HashOwner\n"}, {}});
  EXPECT_EQ(runs.error().message, "run.csv:1:1: there is no column \"HashApp\"");
}

TEST(Azure2019, NothingIsReadFromTheColumnBeside) {
  const auto error = [](std::string_view invocations, std::string_view durations = kDurations) {
    const auto trace = parse_azure2019({{"inv.csv", invocations}, {"run.csv", durations}, {}});
    return trace ? std::string("none") : trace.error().message;
  };
  EXPECT_EQ(error("HashOwner,HashApp,HashFunction,1,3\no,a,f,1,1\n"),
            "inv.csv:1:1: there is no column for minute 2");
  EXPECT_EQ(error("HashOwner,HashApp,HashFunction,1,2\no,a,f,1,1,1\n"),
            "inv.csv:2:11: the row has 6 fields, 5 at most are read");
  EXPECT_EQ(error("HashOwner, HashApp, HashFunction, 1, 2\no, a, f, 1, 1\n"), "none") << "blanks";
  EXPECT_EQ(error("HashOwner,HashApp,HashFunction,1,2\no,a,f,1,1,\n"), "none") << "a comma more";
  EXPECT_EQ(error("HashOwner,HashApp,HashApp,HashFunction,1\no,a,a,f,1\n"),
            "inv.csv:1:19: there are two columns \"HashApp\"");
  std::string falling(kDurations);
  falling.replace(falling.find("20,25,39"), 8, "50,25,39");
  EXPECT_EQ(
      error(kInvocations, falling),
      "run.csv:2:32: percentile_Average_75 must be at least percentile_Average_50, 50, not 25");
}

TEST(Azure2019, AFunctionMustBeInAllFiles) {
  const std::string_view memory = "HashOwner,HashApp,AverageAllocatedMb\no,a,300\n";
  const Azure2019Texts texts{
      {"inv.csv", kInvocations}, {"run.csv", kDurations}, {"mem.csv", memory}};
  EXPECT_EQ(parse_azure2019(texts).error().message,
            "inv.csv:4:5: function f has no memory: there is no row for it in mem.csv");
  const auto rest = parse_azure2019(texts, {.lenient = true});
  ASSERT_TRUE(rest) << rest.error().message;
  EXPECT_EQ(rest->size(), 2);
  EXPECT_EQ(rest->total_calls, 3);
  EXPECT_EQ(rest->skipped.rows, 1);
  const auto none = parse_azure2019({{"inv.csv", kInvocations},
                                     {"run.csv", kDurations.substr(0, kDurations.find('\n') + 1)},
                                     {}});
  EXPECT_EQ(none.error().message,
            "inv.csv:2:5: function f has no duration: there is no row for it in run.csv");
}

TEST(Azure2021, TakesStartsFromEndsAndKeepsThemPositive) {
  const auto trace = parse_azure2021({"calls.csv",
                                      "app,func,end_timestamp,duration\n"
                                      "a,f,10.0,9.0\n"
                                      "a,g,1.5,2.5\n"
                                      "a,f,11,1\n"});
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_EQ(trace->calls.size(), 3);
  EXPECT_EQ(trace->calls[0].function, 1);  // it began a second before the clock
  EXPECT_EQ(trace->calls[0].at_ns, 0);
  EXPECT_EQ(Duration(trace->calls[1].at_ns), seconds(2));
  EXPECT_EQ(Duration(trace->calls[1].service_ns), seconds(9));
  EXPECT_FLOAT_EQ(trace->functions[0].mean_ms, 5000);
  EXPECT_THAT(
      parse_azure2021({"c.csv", "app,func,end_timestamp,duration\na,f,1,-2\n"}).error().message,
      StartsWith("c.csv:2:7: duration must be"));
}

TEST(AccessLog, ReplaysArrivalsInOrderWithoutTheirQueueing) {
  const auto trace = parse_access_log(
      {"access.log",
       R"({"time":"2026-11-24T02:18:10.5Z","namespace":"default","service":"f","duration_us":5000,"queue_us":2000})"
       "\n"
       R"({"time":"2026-11-24T02:18:09.123456Z","namespace":"default","service":"g","duration_us":812,"queue_us":0})"
       "\n"
       R"({"time":"2026-11-24T02:18:11Z","host":"nobody","duration_us":1,"queue_us":0,"refused":"no_route"})"
       "\n"
       R"({"time":"2026-11-24T02:18:12Z","namespace":"default","service":"f","duration_us":9,"queue_us":9,"refused":"queue_full"})"
       "\n{\"time\":\"2026-11"});  // still being written
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_EQ(trace->calls.size(), 3);
  EXPECT_EQ(trace->functions[trace->calls[0].function].name, "default/g");
  EXPECT_EQ(trace->calls[0].at_ns, 0);
  EXPECT_EQ(Duration(trace->calls[1].at_ns), std::chrono::microseconds(1376544));
  EXPECT_EQ(Duration(trace->calls[1].service_ns), milliseconds(3));
  EXPECT_LT(trace->calls[2].service_ns, 0);
  EXPECT_FLOAT_EQ(trace->functions[trace->calls[2].function].mean_ms, 3);
}

TEST(AccessLog, ErrorsSayFileLineAndWhat) {
  const auto error = [](std::string_view text) {
    const auto trace = parse_access_log({"access.log", text});
    return trace ? std::string("none") : trace.error().message;
  };
  EXPECT_EQ(error("{}\nnonsense\n"),
            "access.log:1:1: \"time\" is missing or not like 2026-11-24T02:18:09.123456Z");
  EXPECT_EQ(error("[1]\n"), "access.log:1:1: the line is no JSON object");
  EXPECT_THAT(error(R"({"time":"2026-13-24T02:18:09Z","service":"f"})"
                    "\n"),
              HasSubstr("\"time\""));
  EXPECT_EQ(error(R"({"time":"2026-11-24T02:18:09Z","service":"f","duration_us":"1"})"
                  "\n"),
            "access.log:1:46: \"duration_us\" is missing or no number");
  EXPECT_EQ(error("{\"time\": nonsense}\n"), "access.log:1:11: the line is no JSON");
  EXPECT_EQ(error("{\"duration_us\": 1e999}\n"), "access.log:1:17: the number is out of range");
  EXPECT_EQ(error("{\"duration_us\": NaN}\n"), "access.log:1:17: the line is no JSON");
  EXPECT_THAT(error(R"({"time":"2026-11-24T02:18:09Z","service":"f","duration_us":-1,"queue_us":0})"
                    "\n"),
              HasSubstr("must be 0 to"));
  EXPECT_EQ(error(""), "access.log: no call in it");
}

TEST(Plain, WithAndWithoutAHeader) {
  const auto plain = parse_plain({"p.csv", "0.5,f,20\n1,g,0\n"});
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(Duration(plain->calls[0].at_ns), milliseconds(500));
  EXPECT_EQ(Duration(plain->calls[0].service_ns), milliseconds(20));
  const auto titled =
      parse_plain({"p.csv", "memory_mb,function,duration_ms,start_s\n64,f,20,0.5\n"});
  ASSERT_TRUE(titled) << titled.error().message;
  EXPECT_FLOAT_EQ(titled->functions[0].memory_mb, 64);
  EXPECT_EQ(Duration(titled->calls[0].at_ns), milliseconds(500));
}

TEST(Plain, TakesTimesAndUnits) {
  const auto named = parse_plain({"p.csv",
                                  "timestamp,function,duration,memory\r\n"
                                  "0.5,f,20,64\r\n"
                                  "1, f ,1.5s,64\r\n"
                                  "2,g,250us,1Gi\r\n"});
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_EQ(named->size(), 2);
  EXPECT_EQ(Duration(named->calls[0].at_ns), milliseconds(500));
  EXPECT_EQ(Duration(named->calls[1].service_ns), milliseconds(1500));
  EXPECT_EQ(Duration(named->calls[2].service_ns), std::chrono::microseconds(250));
  EXPECT_FLOAT_EQ(named->functions[0].memory_mb, 64);
  EXPECT_FLOAT_EQ(named->functions[1].memory_mb, 1024);
  for (const char* rows : {"2026-11-24T02:18:09Z,f,20\n2026-11-24T02:18:10.5Z,f,20\n",
                           "1764000000,f,20\n1764000001.5,f,20\n"}) {
    const auto absolute =
        parse_plain({"p.csv", std::string("timestamp,function,duration\n") + rows});
    ASSERT_TRUE(absolute) << absolute.error().message;
    EXPECT_EQ(absolute->calls[0].at_ns, 0);
    EXPECT_EQ(Duration(absolute->calls[1].at_ns), milliseconds(1500));
  }
}

TEST(Plain, ErrorsSayFileLineColumnAndWhat) {
  const auto error = [](std::string_view rows, std::string_view header = "") {
    const std::string text =
        std::string(header.empty() ? "timestamp,function,duration,memory\n" : header) +
        std::string(rows);
    const auto trace = parse_plain({"p.csv", text});
    return trace ? std::string("none") : trace.error().message;
  };
  EXPECT_EQ(error("0,f,20,64\n1,f,abc,64\n"), "p.csv:3:5: duration is no number: \"abc\"");
  EXPECT_EQ(error("0,f,-20,64\n"), "p.csv:2:5: duration must be 0 to 2592000000, not -20");
  EXPECT_EQ(error("-1,f,20,64\n"), "p.csv:2:1: timestamp must be 0 to 7258118400, not -1");
  EXPECT_EQ(error("5,f,20,64\n4,f,20,64\n"),
            "p.csv:3:1: timestamp is before the row above: rows must be ordered by time");
  EXPECT_EQ(error("5,f,,64\n"), "p.csv:2:5: duration is missing");
  EXPECT_EQ(error("5,f,20,\n"), "p.csv:2:8: memory is missing");
  EXPECT_THAT(error("5,f,20\n"), StartsWith("p.csv:2:7: memory is missing"));
  EXPECT_EQ(error("5,,20,64\n"), "p.csv:2:3: function is missing");
  EXPECT_EQ(error("5,f,20,-1Mi\n"), "p.csv:2:8: memory is no number: \"-1Mi\"");
  EXPECT_EQ(error("", "timestamp,function\n"), "p.csv:1:1: there is no column \"duration\"");
  EXPECT_EQ(error("0,f,20\n", "when,what,long\n"), "p.csv:1:1: there is no column \"timestamp\"");
  EXPECT_EQ(error("", "1,,20\n"), "p.csv:1:3: function is missing");
  EXPECT_EQ(error("0,f,nan,64\n"), "p.csv:2:5: duration is no number: \"nan\"");
  EXPECT_EQ(error("inf,f,20,64\n"), "p.csv:2:1: timestamp is no number: \"inf\"");
  EXPECT_EQ(error("0,f,20,nanMi\n"), "p.csv:2:8: memory is no number: \"nanMi\"");
  EXPECT_EQ(error("0,f,721h,64\n"), "p.csv:2:5: duration must be 0 to 720h, not 721h");
  EXPECT_EQ(error("0,f,20,17000Gi\n"), "p.csv:2:8: memory must be 0 to 16384Gi, not 17000Gi");
  EXPECT_EQ(error("0,f,20,\"64\n1,f,20,64\n"), "p.csv:2:8: a quoted field does not end");
  EXPECT_EQ(parse_plain({"p.csv", ""}).error().message, "p.csv: no call in it");
  // A decimal comma.
  EXPECT_EQ(error("1,f,1,5,64\n"), "p.csv:2:9: the row has 5 fields, 4 at most are read");
  EXPECT_EQ(error("", "timestamp,function,duration,memory,memory\n"),
            "p.csv:1:36: there are two columns \"memory\"");
  EXPECT_EQ(error("", "timestamp,function,duration,duration\n"),
            "p.csv:1:29: there are two columns \"duration\"");
}

TEST(Plain, LenientLeavesOutWhatIsWrong) {
  const ReadOptions lenient{.lenient = true};
  const auto some = parse_plain({"p.csv",
                                 "timestamp,function,duration\n"
                                 "0,f,20\n1,f,soon\n2,g,20\n1,f,20\n-3,f,20\n3,f,20\n"},
                                lenient);
  ASSERT_TRUE(some) << some.error().message;
  EXPECT_EQ(some->total_calls, 3);
  EXPECT_EQ(some->skipped.rows, 3);
  EXPECT_EQ(some->skipped.first, "p.csv:3:5: duration is no number: \"soon\"");
  EXPECT_EQ(parse_plain({"p.csv", "0,f\n"}, lenient).error().message,
            "p.csv: no call in it: 1 row was wrong, the first at p.csv:1:4: duration is missing: "
            "the row has 2 fields, this would be field 3");
  // A first row that was cut says nothing of the others.
  const auto cut = parse_plain({"p.csv", "0.0,f\n1,f,20\n2,f,20\n"}, lenient);
  ASSERT_TRUE(cut) << cut.error().message;
  EXPECT_EQ(cut->total_calls, 2);
  // What is wrong with the file as a whole stays an error.
  EXPECT_FALSE(parse_plain({"p.csv", "timestamp,function\n0,f\n"}, lenient));
  EXPECT_FALSE(parse_plain({"p.csv", "0,f,1\n1,\"f,1\n"}, lenient));
}

// --- One time among the others that cannot be right ---

struct Read {
  std::string error;  // of a strict reading
  Trace trace;        // of a lenient one
};

template <class Parse>
Read read_both(Parse parse, std::string_view text) {
  const NamedText file{"t", text};
  Read out;
  const auto strict = parse(file, ReadOptions{});
  out.error = strict ? "none" : strict.error().message;
  auto lenient = parse(file, ReadOptions{.lenient = true});
  EXPECT_TRUE(lenient) << lenient.error().message;
  if (lenient) out.trace = *std::move(lenient);
  return out;
}

TEST(WrongTimes, OfAPlainFileAreNamedWhereverTheyStand) {
  for (const char* where : {"first", "middle", "last"}) {
    SCOPED_TRACE(where);
    const bool first = where[0] == 'f';
    const bool last = where[0] == 'l';
    std::string text = "function,timestamp,duration\n";
    const std::string wrong = "g,1700000000,5000\n";
    if (first) text += wrong;
    text += "f,10,20\n";
    if (!first && !last) text += wrong;
    text += "f,11,20\nf,12,20\n";
    if (last) text += wrong;
    const Read read = read_both(parse_plain, text);
    EXPECT_EQ(read.error,
              last ? "t:5:3: timestamp is 19675 days after the median of all: a trace spans 732 "
                     "days at most"
                   : fmt::format("t:{}:3: timestamp is after the row below: rows must be ordered "
                                 "by time",
                                 first ? 2 : 3));
    EXPECT_EQ(read.trace.skipped.rows, 1);
    EXPECT_EQ(read.trace.skipped.first, read.error);
    ASSERT_EQ(read.trace.calls.size(), 3);
    EXPECT_EQ(Duration(read.trace.calls[0].at_ns), seconds(10));  // still from the start
    ASSERT_EQ(read.trace.size(), 1);                              // g was never called
    EXPECT_EQ(read.trace.functions[0].name, "f");
    EXPECT_FLOAT_EQ(read.trace.functions[0].max_ms, 20);
  }
}

TEST(WrongTimes, ASmallOneAmongUnixTimesToo) {
  const Read read = read_both(parse_plain,
                              "7,f,20\n1764000000,f,20\n1764000001,f,20\n"
                              "2025-11-24T16:00:02Z,f,20\n");
  EXPECT_EQ(read.error,
            "t:1:1: timestamp is 20416 days before the median of all: a trace spans 732 days at "
            "most");
  EXPECT_EQ(read.trace.skipped.rows, 1);
  ASSERT_EQ(read.trace.calls.size(), 3);
  EXPECT_EQ(read.trace.calls[0].at_ns, 0);
  EXPECT_EQ(Duration(read.trace.calls[2].at_ns), seconds(2));
}

TEST(WrongTimes, OfAnAccessLogAreNamed) {
  const auto line = [](const char* time) {
    return fmt::format(R"({{"service":"f","time":"{}","duration_us":5,"queue_us":0}})"
                       "\r\n\n",
                       time);
  };
  const Read read =
      read_both(parse_access_log, line("2026-11-24T02:18:10Z") + line("1970-01-01T00:00:00Z") +
                                      line("2026-11-24T02:18:09Z"));
  EXPECT_EQ(read.error,
            "t:3:16: \"time\" is 20781 days before the median of all: a trace spans 732 days at "
            "most");
  EXPECT_EQ(read.trace.skipped.rows, 1);
  ASSERT_EQ(read.trace.calls.size(), 2);
  EXPECT_EQ(Duration(read.trace.calls[1].at_ns), seconds(1));
}

TEST(WrongTimes, OfAzure2021AreNamed) {
  const Read read = read_both(parse_azure2021,
                              "app,func,end_timestamp,duration\n"
                              "a,f,10,1\na,f,1700000000,1\na,f,-3,1\na,f,11,nan\n");
  EXPECT_EQ(read.error, "t:3:5: end_timestamp must be 0 to 63244800, not 1700000000");
  EXPECT_EQ(read.trace.skipped.rows, 3);
  EXPECT_EQ(read.trace.calls.size(), 1);
}

TEST(Trace, AMinuteHasABoundOverAllFunctions) {
  const auto with = [](uint32_t count) {
    TraceBuilder builder;
    for (const char* name : {"f", "g"}) {
      (void)builder.function({.name = name});
      builder.minute(2, count);
    }
    return std::move(builder).build();
  };
  EXPECT_TRUE(with(kMaxCallsPerMinute / 2));
  const auto over = with(kMaxCallsPerMinute / 2 + 1);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().message, "minute 3 has more than 20000000 calls");
}

TEST(Trace, RepeatedTakesEveryFunctionAgain) {
  const auto trace = parse_azure2019({{"inv.csv", kInvocations}, {}, {}});
  const Trace twice = repeated(*trace, 2);
  EXPECT_EQ(twice.size(), 6);
  EXPECT_EQ(twice.total_calls, 20);
  EXPECT_EQ(twice.functions[3].name, "f#2");
  EXPECT_EQ(twice.minutes[twice.first[5]].count, 7);
}

TEST(TraceFormat, IsToldByTheFirstLine) {
  EXPECT_EQ(format_of(kInvocations), TraceFormat::kAzure2019);
  EXPECT_EQ(format_of("app,func,end_timestamp,duration\n"), TraceFormat::kAzure2021);
  EXPECT_EQ(format_of("{\"time\":"), TraceFormat::kAccessLog);
  EXPECT_EQ(format_of("1,f,2"), TraceFormat::kPlain);
}

TEST(TraceFiles, OpensPublishedSamples) {
  const char* shared = std::getenv("EBB_SHARED");
  if (shared == nullptr) GTEST_SKIP() << "set EBB_SHARED to the folder that holds traces";
  const std::filesystem::path traces = std::filesystem::path(shared) / "traces";
  const auto day = open_trace(traces / "azure2019/50_inv.csv");
  ASSERT_TRUE(day) << day.error().message;
  EXPECT_EQ(day->size(), 50);
  EXPECT_EQ(day->total_calls, 26940);
  EXPECT_EQ(day->length, minutes(1440));
  EXPECT_TRUE(day->functions[0].has_percentiles());
  const std::filesystem::path example = traces / "azure-format-example/data/traces/example";
  const auto with_trigger = open_trace(example / "invocations.csv");
  ASSERT_TRUE(with_trigger) << with_trigger.error().message;
  EXPECT_FLOAT_EQ(with_trigger->functions[0].mean_ms, 100);
  EXPECT_FLOAT_EQ(with_trigger->functions[0].memory_mb, 120);
  const auto calls = open_trace(example / "Azure2021/Azure2021_200.csv");
  ASSERT_TRUE(calls) << calls.error().message;
  EXPECT_EQ(calls->calls.size(), 199);
}

}  // namespace
}  // namespace ebb::sim
