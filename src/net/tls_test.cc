// Handshakes: who is trusted, and what goes wrong. Reading and writing over TLS is in
// stream_test.cc.
#include "net/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "net/test_util.h"
#include "net/tls_identity.h"

namespace ebb::net {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

struct Outcome {
  bool ended = false;
  Result<void> result;
};

Task<void> serve(Stream& stream, const TlsContext& context, TimePoint deadline, Outcome& out) {
  out.result = co_await accept_tls(stream, context, deadline);
  out.ended = true;
}

Task<void> dial(Stream& stream, const TlsContext& context, std::string host, Outcome& out) {
  out.result = co_await connect_tls(stream, context, std::move(host), soon());
  out.ended = true;
  if (!out.result) stream.close();
}

class TlsTest : public testing::Test {
 protected:
  TlsTest()
      : server_(*TlsContext::server(ours_.identity.certificate_pem, ours_.identity.key_pem)),
        client_(*TlsContext::client(ours_.identity.ca_pem)) {
    auto [a, b] = socket_pair();
    a_ = Stream(executor_, std::move(a));
    b_ = Stream(executor_, std::move(b));
  }
  void shake(const TlsContext& client, const std::string& host) {
    executor_.spawn(serve(a_, server_, soon(), accepted_));
    run_to_end(executor_, dial(b_, client, host, connected_));
  }

  Executor executor_{"test"};
  TestIdentity ours_;
  TlsContext server_;
  TlsContext client_;
  Stream a_;
  Stream b_;
  Outcome accepted_;
  Outcome connected_;
};

TEST_F(TlsTest, TrustsItsAuthorityForEveryName) {
  for (const char* name : {"localhost", "127.0.0.1"}) {
    auto [a, b] = socket_pair();
    a_ = Stream(executor_, std::move(a));
    b_ = Stream(executor_, std::move(b));
    shake(client_, name);
    EXPECT_TRUE(accepted_.result && connected_.result) << name;
  }
}

TEST_F(TlsTest, ANameThatIsNotInTheCertificateIsRefused) {
  shake(client_, "127.0.0.2");
  ASSERT_FALSE(connected_.result);
  EXPECT_EQ(connected_.result.error().code, Errc::kPermission);
  EXPECT_THAT(connected_.result.error().message, HasSubstr("IP address mismatch"));
  EXPECT_FALSE(accepted_.result);
}

TEST_F(TlsTest, AnotherAuthorityIsRefused) {
  const TestIdentity theirs;
  const auto stranger = TlsContext::client(theirs.identity.ca_pem);
  shake(*stranger, "localhost");
  ASSERT_FALSE(connected_.result);
  EXPECT_EQ(connected_.result.error().code, Errc::kPermission);
  EXPECT_FALSE(accepted_.result);
}

Task<void> send_text(Stream& stream, std::string text) {
  auto sent = co_await stream.write_all(text, soon());
  EXPECT_TRUE(sent);
}

TEST_F(TlsTest, PlainHttpIsRecognised) {
  executor_.spawn(send_text(b_, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  run_to_end(executor_, serve(a_, server_, soon(), accepted_));
  ASSERT_FALSE(accepted_.result);
  EXPECT_EQ(accepted_.result.error().code, Errc::kInvalid);
}

TEST_F(TlsTest, GarbageEndsTheHandshake) {
  executor_.spawn(send_text(b_, std::string(100, '\x16')));
  run_to_end(executor_, serve(a_, server_, soon(), accepted_));
  ASSERT_FALSE(accepted_.result);
  EXPECT_EQ(accepted_.result.error().code, Errc::kUnavailable);
}

TEST_F(TlsTest, ASilentClientMeetsTheDeadline) {
  run_to_end(executor_, serve(a_, server_, soon(milliseconds(20)), accepted_));
  ASSERT_FALSE(accepted_.result);
  EXPECT_EQ(accepted_.result.error().code, Errc::kTimeout);
}

TEST_F(TlsTest, AClientThatLeavesEndsTheHandshake) {
  b_ = Stream();
  run_to_end(executor_, serve(a_, server_, soon(), accepted_));
  ASSERT_FALSE(accepted_.result);
  EXPECT_THAT(accepted_.result.error().message, HasSubstr("the TLS handshake failed"));
}

TEST_F(TlsTest, ClosingEndsTheHandshake) {
  executor_.spawn(serve(a_, server_, kNever, accepted_));
  a_.close();
  run_until_true(executor_, [&] { return accepted_.ended; });
  EXPECT_FALSE(accepted_.result);
}

TEST_F(TlsTest, OldVersionsAreRefused) {
  SSL_CTX_set_min_proto_version(client_.native(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(client_.native(), TLS1_1_VERSION);
  shake(client_, "localhost");
  EXPECT_FALSE(connected_.result);
  EXPECT_FALSE(accepted_.result);
}

TEST_F(TlsTest, Version12Works) {
  SSL_CTX_set_max_proto_version(client_.native(), TLS1_2_VERSION);
  shake(client_, "localhost");
  EXPECT_TRUE(connected_.result && accepted_.result);
}

TEST_F(TlsTest, OnlyHttp11IsSpoken) {
  // RFC 7301: each name with its length before it.
  constexpr unsigned char kHttp2[] = {2, 'h', '2'};
  constexpr unsigned char kBoth[] = {2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  SSL_CTX_set_alpn_protos(client_.native(), kBoth, sizeof kBoth);
  shake(client_, "localhost");
  EXPECT_TRUE(connected_.result && accepted_.result);
  auto [a, b] = socket_pair();
  a_ = Stream(executor_, std::move(a));
  b_ = Stream(executor_, std::move(b));
  SSL_CTX_set_alpn_protos(client_.native(), kHttp2, sizeof kHttp2);
  shake(client_, "localhost");
  EXPECT_FALSE(connected_.result || accepted_.result);
}

Task<void> read_once(Stream& stream, IoResult<size_t>& out) {
  char buffer[64];
  out = co_await stream.read_some(buffer, soon());
}

TEST_F(TlsTest, AnEndWithoutGoodbyeIsNoEnd) {
  shake(client_, "localhost");
  b_.close();  // whoever cuts the line could fake a plain end
  IoResult<size_t> got = 1;
  run_to_end(executor_, read_once(a_, got));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error(), IoError::kClosed);
}

TEST_F(TlsTest, WrongTextsAreRefused) {
  const TestIdentity theirs;
  EXPECT_FALSE(TlsContext::server("x", "y"));
  EXPECT_FALSE(TlsContext::server(ours_.identity.certificate_pem, theirs.identity.key_pem));
  EXPECT_FALSE(TlsContext::client("no certificate"));
}

}  // namespace
}  // namespace ebb::net
