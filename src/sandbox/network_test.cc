#include "sandbox/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "sandbox/netlink.h"

namespace ebb::sandbox {
namespace {

Ipv4Range range(const char* text) { return Ipv4Range::parse(text).value(); }

TEST(Ipv4Range, ReadsWhatItWrites) {
  for (const char* text : {"10.203.0.0/16", "0.0.0.0/0", "255.255.255.255/32", "192.0.2.128/25"}) {
    EXPECT_EQ(range(text).to_string(), text);
  }
  for (const char* text : {"", "10.203.0.0", "10.203.0.0/33", "10.203.0.1/16", "10.203.0/16",
                           "10.203.0.0.0/16", "256.0.0.0/8", "10.203.0.0/16 ", " 10.0.0.0/8",
                           "10.203.0.0/", "1000.0.0.0/8", "0010.0.0.0/8", "-1.0.0.0/8"}) {
    EXPECT_FALSE(Ipv4Range::parse(text)) << text;
  }
}

TEST(Ipv4Range, Overlaps) {
  EXPECT_TRUE(range("10.0.0.0/8").overlaps(range("10.203.4.0/22")));
  EXPECT_TRUE(range("10.203.4.0/22").overlaps(range("10.0.0.0/8")));
  EXPECT_FALSE(range("10.203.4.0/22").overlaps(range("10.203.8.0/22")));
  EXPECT_TRUE(range("0.0.0.0/0").overlaps(range("255.255.255.255/32")));
}

TEST(ChooseRange, HoldsAllSlotsAndIsTheSameAgain) {
  const std::vector<Ipv4Range> pools = {range("10.203.0.0/16")};
  const auto chosen = choose_range(pools, 1000, 5, {});
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->to_string(), "10.203.20.0/22");  // 1024 addresses: 1000, 3 that no pod gets
  EXPECT_EQ(*choose_range(pools, 1000, 5, {}), *chosen);
  EXPECT_EQ(choose_range(pools, 1022, 5, {})->prefix, 21);
  EXPECT_EQ(choose_range(pools, 1021, 5, {})->prefix, 22);
}

TEST(ChooseRange, EvadesWhatIsTaken) {
  const std::vector<Ipv4Range> pools = {range("10.203.0.0/22"), range("172.29.0.0/16")};
  EXPECT_EQ(choose_range(pools, 1000, 7, {range("10.203.3.9/32")})->to_string(), "172.29.28.0/22");
  const auto none = choose_range(pools, 1000, 7, {range("10.0.0.0/8"), range("172.16.0.0/12")});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::kExhausted);
  EXPECT_THAT(none.error().message, testing::HasSubstr("10.203.0.0/22, 172.29.0.0/16"));
}

TEST(NetworkNames, ComeFromTheDataFolder) {
  const NetworkNames names("a1b2c3d4e5f6");
  EXPECT_EQ(names.table, "ebb-a1b2c3d4e5f6");
  EXPECT_EQ(names.links, "ebba1b2c3-");
  EXPECT_EQ(names.number, 0xa1b2c3U);
}

TEST(Netlink, RefusesAttributesThatDoNotFit) {
  NetlinkBatch batch;
  batch.begin(16, 0);
  const std::string large(NetlinkBatch::kBytes, 'x');
  batch.attribute(1, large.data(), large.size());
  EXPECT_TRUE(batch.overflowed());
  EXPECT_EQ(netlink_transact(-1, batch), -EMSGSIZE);
}

TEST(Netlink, StopsAtAttributesThatLie) {
  // The second says that it is longer than what there is.
  const uint16_t lies[] = {8, 1, 7, 0, 9, 2, 1, 0};
  int seen = 0;
  for_each_attribute(lies, sizeof lies, [&](uint16_t type, const char*, size_t bytes) {
    ++seen;
    EXPECT_EQ(type, 1);
    EXPECT_EQ(bytes, 4U);
  });
  EXPECT_EQ(seen, 1);
}

// The rest changes the network: each in a process with a network of its own.
class NetworkTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    ASSERT_NE(::mkdtemp(folder_), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Runs `body` in a fresh network namespace; it returns what is wrong, or "".
  template <class Body>
  std::string inside(Body body) {
    int out[2];
    if (::pipe(out) != 0) return "no pipe";
    const pid_t pid = ::fork();
    if (pid == 0) {
      std::string wrong = "cannot make a network namespace";
      if (::unshare(CLONE_NEWNET) == 0) {
        loopback_up();
        // A new namespace begins with the machine's setting.
        std::ofstream("/proc/sys/net/ipv4/ip_forward") << "0";
        wrong = body();
      }
      static_cast<void>(!::write(out[1], wrong.data(), wrong.size()));
      ::_exit(0);
    }
    ::close(out[1]);
    std::string said;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(out[0], buffer, sizeof buffer)) > 0;) said.append(buffer, n);
    ::close(out[0]);
    ::waitpid(pid, nullptr, 0);
    return said;
  }

  static void loopback_up() {
    const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
    ifreq request = {};
    request.ifr_name[0] = 'l';
    request.ifr_name[1] = 'o';
    request.ifr_flags = IFF_UP;
    ::ioctl(fd, SIOCSIFFLAGS, &request);
    ::close(fd);
  }

  Result<std::unique_ptr<Network>> open(const std::string& id) {
    return Network::open({.data_id = id, .slots = 1000, .run_folder = folder_});
  }
  static std::string forwarding() {
    return read_file("/proc/sys/net/ipv4/ip_forward", 16).value().substr(0, 1);
  }
  size_t notes() {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      if (entry.path().filename().string().starts_with("ebb-forwarding")) ++count;
    }
    return count;
  }

  char folder_[32] = "/tmp/ebb-network-XXXXXX";
};

TEST_F(NetworkTest, SetsUpAndTakesAway) {
  EXPECT_EQ(inside([&]() -> std::string {
              if (forwarding() != "0") return "forwards already";
              {
                auto network = open("a1b2c3d4e5f6");
                if (!network) return network.error().message;
                if (forwarding() != "1") return "does not forward";
                auto served =
                    (*network)->serve({.gateway = 40000, .public_gateway = 8080, .dns = 40001});
                if (!served) return served.error().message;
                auto closed = (*network)->close(7);
                if (!closed) return closed.error().message;
                if (!(*network)->close(8)) return "cannot close a second";
              }
              if (forwarding() != "0") return "still forwards";
              return notes() == 0 ? "" : "the note is left";
            }),
            "");
}

TEST_F(NetworkTest, TwoShareAMachine) {
  EXPECT_EQ(inside([&]() -> std::string {
              auto one = open("a1b2c3000001");
              if (!one) return one.error().message;
              // The same place to begin the search.
              auto two = open("e1b2c3000002");
              if (!two) return two.error().message;
              if ((*one)->range().overlaps((*two)->range())) return "overlap";
              one->reset();
              if (forwarding() != "1") return "the first took forwarding from the second";
              two->reset();
              return forwarding() == "0" ? "" : "still forwards";
            }),
            "");
}

TEST_F(NetworkTest, SweepsWhatADeadOneLeft) {
  EXPECT_EQ(inside([&]() -> std::string {
              const pid_t pid = ::fork();
              if (pid == 0) {
                auto killed = open("a1b2c3d4e5f6");
                ::_exit(killed ? 0 : 1);  // no destructor
              }
              int status = 0;
              ::waitpid(pid, &status, 0);
              if (status != 0) return "the first did not start";
              if (forwarding() != "1" || notes() != 1) return "nothing was left";
              auto again = open("a1b2c3d4e5f6");
              if (!again) return again.error().message;
              if ((*again)->range().to_string() !=
                  choose_range(NetworkOptions::default_pools(), 1000, 0xa1b2c3, {})->to_string()) {
                return "another range: the old one is still there";
              }
              again->reset();
              return forwarding() == "0" && notes() == 0 ? "" : "something is left";
            }),
            "");
}

TEST_F(NetworkTest, ComesBackAfterAFlush) {
  EXPECT_EQ(inside([&]() -> std::string {
              auto network = open("a1b2c3d4e5f6");
              if (!network) return network.error().message;
              auto closed = (*network)->close(7);
              if (!closed || !(*network)->serve({.gateway = 40000, .dns = 40001})) return "no";
              if ((*network)->put_back()) return "put back what was there";
              nft_ctx* nft = nft_ctx_new(NFT_CTX_DEFAULT);
              if (nft_run_cmd_from_buffer(nft, "flush ruleset") != 0) return "cannot flush";
              pollfd changed = {.fd = (*network)->watch_fd(), .events = POLLIN, .revents = 0};
              if (::poll(&changed, 1, 10'000) != 1) return "the change is not noticed";
              if (!(*network)->put_back()) return "not put back";
              nft_ctx_buffer_output(nft);
              nft_run_cmd_from_buffer(nft, "list ruleset");
              const std::string text = nft_ctx_get_output_buffer(nft);
              nft_ctx_free(nft);
              if (text.find("tcp dport 40000 accept") == std::string::npos) return "no services";
              const std::string pod = ipv4_to_string((*network)->range().first + 2 + 7);
              if (text.find("elements = { " + pod + " }") == std::string::npos) return text;
              return (*network)->put_back() ? "put back twice" : "";
            }),
            "");
}

TEST_F(NetworkTest, SaysWhatIsMissing) {
  EXPECT_THAT(inside([&]() -> std::string {
                if (::seteuid(12345) != 0) return "cannot drop rights";
                auto network = open("a1b2c3d4e5f6");
                return network ? "it opened" : network.error().message;
              }),
              testing::HasSubstr("--cap-add NET_ADMIN"));
}

}  // namespace
}  // namespace ebb::sandbox
