#include "http/grpc.h"

#include <gtest/gtest.h>

namespace ebb::http {
namespace {

TEST(GrpcTest, KnowsItsCallsByTheirContent) {
  RequestHead head;
  EXPECT_FALSE(is_grpc(head));
  head.fields.add("content-type", "application/grpc+proto");
  EXPECT_TRUE(is_grpc(head));
  head.fields.clear();
  head.fields.add("content-type", "application/json");
  EXPECT_FALSE(is_grpc(head));
}

TEST(GrpcTest, EveryStatusHasOneOfGrpc) {
  const std::vector<std::pair<int, int>> all{{400, 13}, {404, 12}, {408, 4},  {413, 8},
                                             {418, 2},  {431, 8},  {500, 13}, {501, 12},
                                             {502, 14}, {503, 14}, {504, 4}};
  for (const auto& [http, grpc] : all) EXPECT_EQ(to_grpc_status(http), grpc) << http;
}

TEST(GrpcTest, MessagesArePercentEncoded) {
  EXPECT_EQ(to_grpc_message("all of it, 100 %"), "all of it, 100 %25");
  EXPECT_EQ(to_grpc_message("\xc3\xa4\n"), "%C3%A4%0A");
}

}  // namespace
}  // namespace ebb::http
