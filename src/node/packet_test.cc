#include "node/packet.h"

#include <gtest/gtest.h>

#include <array>

namespace ebb::node {
namespace {

TEST(PacketTest, ALongTextGoesAsAFile) {
  auto pair = make_packet_pair();
  ASSERT_TRUE(pair);
  const std::string text(5u << 20, 'x');
  {
    auto file = make_text_file(text);
    ASSERT_TRUE(file) << file.error().message;
    const int fds[] = {file->get()};
    ASSERT_TRUE(send_packet(pair->ours.get(), "name", fds));
  }
  std::array<char, 16> buffer;
  std::vector<UniqueFd> files;
  const auto packet = receive_packet(pair->theirs.get(), buffer, &files);
  ASSERT_TRUE(packet && *packet);
  EXPECT_EQ(**packet, "name");
  ASSERT_EQ(files.size(), 1u);
  for (int i = 0; i < 2; ++i) {  // from its beginning each time
    const auto got = read_text_file(files.front().get(), text.size());
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_TRUE(*got == text);
  }
  EXPECT_EQ(read_text_file(files.front().get(), text.size() - 1).error().code, Errc::kExhausted);
}

TEST(PacketTest, AnEmptyText) {
  const auto file = make_text_file("");
  ASSERT_TRUE(file);
  EXPECT_EQ(read_text_file(file->get(), 0).value_or("?"), "");
}

}  // namespace
}  // namespace ebb::node
