// Handshakes: who is trusted, and what goes wrong. Reading and writing over TLS is in
// stream_test.cc.
#include "net/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <filesystem>

#include "base/file.h"
#include "net/test_util.h"
#include "net/tls_identity.h"
#include "net/tls_pem.h"

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

constexpr auto kHttp11 = std::to_array<std::string_view>({"http/1.1"});
constexpr auto kHttp2First = std::to_array<std::string_view>({"h2", "http/1.1"});

class TlsTest : public testing::Test {
 protected:
  TlsTest()
      : server_(*TlsContext::server({ours()}, kHttp11)),
        client_(*TlsContext::client(ours_.identity.ca_pem)) {
    auto [a, b] = socket_pair();
    a_ = Stream(executor_, std::move(a));
    b_ = Stream(executor_, std::move(b));
  }
  [[nodiscard]] TlsCertificate ours() const {
    return {ours_.identity.certificate_pem, ours_.identity.key_pem};
  }
  // On a new connection.
  void shake_anew(const TlsContext& client, const std::string& host) {
    auto [a, b] = socket_pair();
    a_ = Stream(executor_, std::move(a));
    b_ = Stream(executor_, std::move(b));
    shake(client, host);
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
    shake_anew(client_, name);
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

void offer(const TlsContext& client, std::vector<std::string> protocols) {
  std::string list;  // RFC 7301: each name with its length before it
  for (const auto& name : protocols) list += static_cast<char>(name.size()) + name;
  SSL_CTX_set_alpn_protos(client.native(), reinterpret_cast<const unsigned char*>(list.data()),
                          static_cast<unsigned>(list.size()));
}

TEST_F(TlsTest, WhatTheServerLikesBestIsSpoken) {
  EXPECT_EQ(a_.protocol(), "");
  shake_anew(client_, "localhost");
  EXPECT_TRUE(connected_.result && accepted_.result) << "a client without a wish is served";
  EXPECT_EQ(a_.protocol(), "");
  offer(client_, {"h2", "http/1.1"});
  shake_anew(client_, "localhost");
  EXPECT_EQ(a_.protocol(), "http/1.1");
  EXPECT_EQ(b_.protocol(), "http/1.1");
  server_ = *TlsContext::server({ours()}, kHttp2First);
  offer(client_, {"http/1.1", "h2"});
  shake_anew(client_, "localhost");
  EXPECT_EQ(a_.protocol(), "h2");
  offer(client_, {"http/1.1"});
  shake_anew(client_, "localhost");
  EXPECT_EQ(a_.protocol(), "http/1.1");
}

TEST_F(TlsTest, AClientThatSpeaksOnlyOtherProtocolsIsRefused) {
  offer(client_, {"h2", "spdy/1"});
  shake(client_, "localhost");
  EXPECT_FALSE(connected_.result || accepted_.result);
}

// --- Which certificate ---

using testing::IsEmpty;

// For DNS names: "DNS:a.test,DNS:*.b.test". Signed by `issuer`, or by itself.
struct Issued {
  explicit Issued(const std::string& names, const Issued* issuer = nullptr,
                  std::chrono::seconds from = std::chrono::hours(-1),
                  std::chrono::seconds until = std::chrono::hours(1))
      : certificate(X509_new()), key(EVP_EC_gen("P-256")) {
    X509* x = certificate.get();
    static long serial = 0;
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), from.count());
    X509_gmtime_adj(X509_getm_notAfter(x), until.count());
    const std::string name = "test " + std::to_string(serial);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    const Issued& by = issuer != nullptr ? *issuer : *this;
    X509_set_issuer_name(x, X509_get_subject_name(by.certificate.get()));
    X509_set_pubkey(x, key.get());
    extend(NID_basic_constraints, names.empty() ? "critical,CA:TRUE" : "CA:FALSE");
    if (!names.empty()) extend(NID_subject_alt_name, names);
    X509_sign(x, by.key.get(), EVP_sha256());
  }
  void extend(int nid, const std::string& value) const {
    X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    X509_add_ext(certificate.get(), made, -1);
    X509_EXTENSION_free(made);
  }
  [[nodiscard]] std::string certificate_pem() const {
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate.get());
    return text_of(bio);
  }
  [[nodiscard]] std::string key_pem(const char* pass_phrase = nullptr) const {
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(bio.get(), key.get(),
                             pass_phrase != nullptr ? EVP_aes_128_cbc() : nullptr, nullptr, 0,
                             nullptr, const_cast<char*>(pass_phrase));
    return text_of(bio);
  }
  [[nodiscard]] TlsCertificate pair() const { return {certificate_pem(), key_pem()}; }
  static std::string text_of(const Bio& bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<size_t>(size)};
  }

  Certificate certificate;
  PrivateKey key;
};

class TlsNamesTest : public TlsTest {
 protected:
  // What a client that trusts only `expected` finds wrong with what it is shown.
  std::string problem(const Issued& expected, const std::string& host) {
    const auto client = TlsContext::client(expected.certificate_pem());
    shake_anew(*client, host);
    return connected_.result ? "" : connected_.result.error().message;
  }
};

TEST_F(TlsNamesTest, TheNameAskedForChoosesTheCertificate) {
  const Issued first("DNS:first.test");
  const Issued wildcard("DNS:*.apps.test");
  const Issued exact("DNS:A.apps.test,DNS:other.test");
  server_ = *TlsContext::server({first.pair(), wildcard.pair(), exact.pair()}, kHttp11);
  EXPECT_THAT(problem(first, "first.test"), IsEmpty());
  EXPECT_THAT(problem(exact, "a.apps.test"), IsEmpty()) << "before the wildcard";
  EXPECT_THAT(problem(exact, "OTHER.test"), IsEmpty());
  EXPECT_THAT(problem(wildcard, "b.apps.test"), IsEmpty());
  // Of a wrong one it would say that it is not trusted.
  EXPECT_THAT(problem(first, "c.b.apps.test"), HasSubstr("hostname mismatch")) << "two labels";
  EXPECT_THAT(problem(first, "apps.test"), HasSubstr("hostname mismatch"));
  EXPECT_THAT(problem(first, "unknown.test"), HasSubstr("hostname mismatch"));
  EXPECT_THAT(problem(first, "127.0.0.1"), HasSubstr("IP address mismatch")) << "no name sent";
}

TEST_F(TlsNamesTest, TheProtocolIsChosenUnderEveryCertificate) {
  const Issued first("DNS:first.test");
  const Issued second("DNS:second.test");
  server_ = *TlsContext::server({first.pair(), second.pair()}, kHttp2First);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto client = TlsContext::client(second.certificate_pem());
    SSL_CTX_set_max_proto_version(client->native(), version);
    offer(*client, {"http/1.1", "h2"});
    shake_anew(*client, "second.test");
    EXPECT_TRUE(connected_.result && accepted_.result);
    EXPECT_EQ(a_.protocol(), "h2");
  }
}

TEST_F(TlsNamesTest, TheChainIsSent) {
  const Issued root("");
  const Issued middle("", &root);
  const Issued leaf("DNS:leaf.test", &middle);
  const std::string whole = leaf.certificate_pem() + middle.certificate_pem();
  const Issued other("DNS:other.test");
  server_ = *TlsContext::server({other.pair(), {whole, leaf.key_pem()}}, kHttp11);
  EXPECT_THAT(problem(root, "leaf.test"), IsEmpty());
  server_ = *TlsContext::server({leaf.pair()}, kHttp11);
  EXPECT_THAT(problem(root, "leaf.test"), HasSubstr("unable to get local issuer certificate"));
}

TEST_F(TlsNamesTest, AContextMayGoWhileItsStreamsLive) {
  const Issued first("DNS:first.test");
  const Issued second("DNS:second.test");
  TlsContexts contexts(*TlsContext::server({first.pair(), second.pair()}, kHttp11));
  const auto client = TlsContext::client(second.certificate_pem());
  executor_.spawn(serve(a_, *contexts.current(), soon(), accepted_));
  contexts.set(*TlsContext::server({first.pair()}, kHttp11));  // in the midst of a handshake
  run_to_end(executor_, dial(b_, *client, "second.test", connected_));
  EXPECT_TRUE(connected_.result && accepted_.result);
}

// --- Wrong texts ---

std::string why(const TlsCertificate& certificate) {
  const auto made = TlsContext::server({certificate}, kHttp11);
  return made ? "" : made.error().message;
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
  const Issued one("DNS:one.test");
  const Issued two("DNS:two.test");
  EXPECT_THAT(why({"x", one.key_pem()}), HasSubstr("no certificate in it"));
  EXPECT_THAT(why({one.certificate_pem(), "y"}), HasSubstr("no key in it"));
  EXPECT_THAT(why({one.certificate_pem(), two.key_pem()}), HasSubstr("does not belong"));
  EXPECT_THAT(why({two.certificate_pem() + one.certificate_pem(), one.key_pem()}),
              HasSubstr("put the server's own certificate first"));
  EXPECT_THAT(why({one.certificate_pem(), one.key_pem("secret")}), HasSubstr("pass phrase"));
  std::string broken = two.certificate_pem();
  broken[broken.find('\n') + 5] = '!';
  EXPECT_THAT(why({one.certificate_pem() + broken, one.key_pem()}),
              HasSubstr("certificate 2 in it is broken"));
  // Text around is nothing wrong, nor both in one file.
  const std::string both = "A comment\n" + one.key_pem() + "another\n" + one.certificate_pem();
  EXPECT_EQ(why({both, both}), "");
  EXPECT_FALSE(TlsContext::server({}, kHttp11));
  EXPECT_FALSE(TlsContext::client("no certificate"));
}

class TlsFilesTest : public testing::Test {
 protected:
  TlsFilesTest() {
    std::string pattern = testing::TempDir() + "ebb-pem-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~TlsFilesTest() override { std::filesystem::remove_all(folder_); }
  std::string file(const std::string& name, const std::string& text) {
    EXPECT_TRUE(write_file_atomic(folder_ + "/" + name, text, 0600));
    return folder_ + "/" + name;
  }
  static std::string error(const std::string& certificate, const std::string& key) {
    const auto read = read_tls_certificate(certificate, key);
    return read ? "" : read.error().message;
  }
  std::string folder_;
};

TEST_F(TlsFilesTest, AreReadAndNamedWhenTheyAreWrong) {
  const Issued one("DNS:one.test");
  const std::string certificate = file("one.pem", one.certificate_pem());
  const std::string key = file("one.key", one.key_pem());
  const auto read = read_tls_certificate(certificate, key);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->certificate_pem, one.certificate_pem());
  EXPECT_EQ(read->key_pem, one.key_pem());
  EXPECT_THAT(error(folder_ + "/missing.pem", key), HasSubstr("missing.pem"));
  EXPECT_THAT(error(certificate, folder_ + "/missing.key"), HasSubstr("missing.key"));
  EXPECT_THAT(error(key, key), HasSubstr(key + ": no certificate in it"));
  EXPECT_THAT(error(certificate, certificate), HasSubstr(certificate + ": no key in it"));
  const std::string other = file("other.key", Issued("DNS:two.test").key_pem());
  EXPECT_THAT(error(certificate, other),
              HasSubstr(certificate + " with " + other + ": the key does not belong"));
  EXPECT_THAT(error(folder_, key), HasSubstr("no regular file"));
}

TEST_F(TlsFilesTest, ALifetimeThatClientsRefuseIsTold) {
  using std::chrono::hours;
  const WallTime now = std::chrono::system_clock::now();
  EXPECT_EQ(lifetime_problem(Issued("DNS:a.test").pair(), now), "");
  EXPECT_THAT(lifetime_problem(Issued("DNS:a.test", nullptr, hours(-9), hours(-8)).pair(), now),
              HasSubstr("has expired ("));
  EXPECT_THAT(lifetime_problem(Issued("DNS:a.test", nullptr, hours(8), hours(9)).pair(), now),
              HasSubstr("is not valid before "));
}

}  // namespace
}  // namespace ebb::net
