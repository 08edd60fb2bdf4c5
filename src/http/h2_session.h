// One HTTP/2 connection (RFC 9113) over a byte stream, either side of it. Frames, header
// compression and windows are nghttp2's; reading, writing and waiting are ours.
//
// Belongs to one Executor's thread. Two coroutines run it: one reads and takes in what
// comes, the other writes what is to go, so that neither waits for the other and a peer
// that only sends cannot lock itself up with us. nghttp2 must not be called from its own
// callbacks: they only note what happened, and the coroutines that it concerns are
// resumed when they have returned.
//
// Bounds: of a body at most a stream's window is held unread, of a head HeadLimits. Streams do
// not hold each other up: the connection's window is given back as bytes arrive. A client
// that asks for more work than it gives (pings, settings, empty frames, streams that end
// with an error) gets GOAWAY with ENHANCE_YOUR_CALM; who lets too much wait to be sent, or
// has more requests served than streams may be open, is cut or refused.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "http/h2_fields.h"
#include "http/message.h"
#include "net/stream.h"
#include "net/task.h"
#include "net/wakeup.h"

struct nghttp2_session;

namespace ebb::http {

class H2Session;

// What begins a connection that speaks HTTP/2 without having been asked (RFC 9113 3.4).
inline constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// One request and its answer. Destroying it resets it, unless both sides have ended.
class H2Stream final {
 public:
  static constexpr int32_t kNotYet = -1;

  H2Stream(H2Session& session, int32_t id);
  ~H2Stream();
  H2Stream(const H2Stream&) = delete;
  H2Stream& operator=(const H2Stream&) = delete;

  [[nodiscard]] int32_t id() const { return id_; }

  // --- What came ---

  // With its pseudo fields, such as ":path".
  [[nodiscard]] const H2Fields& head() const { return head_; }
  [[nodiscard]] bool head_complete() const { return head_complete_; }
  [[nodiscard]] bool head_too_large() const { return head_too_large_; }
  // Behind the body, once that has ended. Over the limits they are not kept, and read() ends
  // with kHeadTooLarge.
  [[nodiscard]] const H2Fields& trailers() const { return trailers_; }
  // There are some, or may come yet.
  [[nodiscard]] bool may_have_trailers() const {
    return !ended_ || trailers_too_large_ || trailers_.bytes() > 0;
  }
  // Its head was all: no body and no trailers follow.
  [[nodiscard]] bool only_head() const { return only_head_; }
  // All has come.
  [[nodiscard]] bool ended() const { return ended_; }
  // The peer has reset it, or the connection has broken.
  [[nodiscard]] bool broken() const { return closed_ && !(ended_ && sent_all_); }
  // All has come, and read() has given it.
  [[nodiscard]] bool all_read() const {
    return ended_ && received_.empty() && !trailers_too_large_;
  }
  // Bytes of its body that are held here.
  [[nodiscard]] size_t unread() const { return received_.size() + piece_.size(); }
  // Something of an answer has come.
  [[nodiscard]] bool answer_begun() const { return answer_begun_; }
  // It was never looked at by the peer's application, says the peer: it may be sent again.
  [[nodiscard]] bool refused() const { return refused_; }
  // The peer has reset it, and the connection goes on.
  [[nodiscard]] bool reset_by_peer() const { return reset_by_peer_; }

  // The next piece of the body, empty at its end. Valid until the next call.
  [[nodiscard]] net::Task<HttpResult<std::string_view>> read(TimePoint deadline);
  // Whether read() would not have to wait; waits for that until then.
  [[nodiscard]] net::Task<bool> comes(TimePoint until);
  // A read() that waits ends with kClosed. A later one reads on.
  void cancel_read();
  // Waits for the head of an answer, or one that comes before it: kTimeout, kTruncated (reset)
  // or kClosed (never begun).
  [[nodiscard]] net::Task<HttpResult<void>> wait_for_head(TimePoint deadline);
  // The first of those before it that was not taken yet; false: there is none.
  [[nodiscard]] bool take_interim(H2Fields& head);

  // --- What goes ---

  // Sends the piece; `last`: and then ends, with the trailers if there are any. Waits until
  // the kernel has it all, as the peer's window allows. At the deadline the stream is reset.
  [[nodiscard]] net::Task<HttpResult<void>> write(std::string_view piece, bool last,
                                                  const Fields* trailers, TimePoint deadline);
  [[nodiscard]] bool sent_all() const { return sent_all_; }
  // Ends it now, both ways: what waits here ends with an error. `error` is one of RFC 9113
  // section 7.
  void reset(uint32_t error);

 private:
  friend class H2Session;

  H2Session* session_;
  int32_t id_;
  H2Fields head_;
  H2Fields trailers_;
  bool head_complete_ = false;
  bool head_too_large_ = false;
  bool trailers_too_large_ = false;
  bool only_head_ = false;
  bool ended_ = false;
  bool closed_ = false;
  int interims_ = 0;              // heads before the answer's, so far
  std::deque<H2Fields> interim_;  // those not taken, together no larger than a head may be
  bool read_canceled_ = false;
  bool refused_ = false;
  bool reset_by_peer_ = false;
  bool answer_begun_ = false;  // something of the peer's head has come
  std::string received_;       // of the body, not asked for yet
  std::string piece_;          // what read() gave last
  std::string_view to_send_;
  const Fields* trailers_to_send_ = nullptr;
  bool last_ = false;       // to_send_ is the end
  bool taken_ = false;      // by nghttp2
  bool in_buffer_ = false;  // and the kernel has it not yet
  bool sent_all_ = false;
  net::Wakeup readable_;
  net::Wakeup writable_;
};

struct H2Options {
  HeadLimits head = {};
  uint32_t max_streams = 128;                         // that the peer may have open
  uint32_t stream_window = 64 * 1024;                 // bytes
  uint32_t connection_window = 1024 * 1024;           // bytes
  Duration idle_timeout = std::chrono::seconds(75);   // without a stream; then it ends
  Duration head_timeout = std::chrono::seconds(15);   // from the beginning of a head to its end
  Duration write_timeout = std::chrono::seconds(30);  // for the kernel to take what is to go
};

class H2Session final {
 public:
  enum class Role : uint8_t { kServer, kClient };
  // Takes a request whose head has come. On the executor's thread.
  using Serve = std::function<void(std::unique_ptr<H2Stream>)>;

  H2Session(net::Executor& executor, net::Stream stream, Role role, const H2Options& options,
            Serve serve = {});
  ~H2Session();
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

  // Server: the request that asked for the upgrade is stream 1, and has been received. False
  // if `settings` (HTTP2-Settings, decoded) are none. Call before run().
  [[nodiscard]] bool upgrade(std::string_view settings, bool is_head);
  // Runs the connection until it ends; `received` came before. `self` keeps the session alive
  // for both coroutines.
  [[nodiscard]] static net::Task<void> run(std::shared_ptr<H2Session> self,
                                           std::string_view received);

  // Server: the head of an answer; it leaves with what is written next. `more`: a body or
  // trailers follow. False, and nothing done, if a field may not stand there.
  [[nodiscard]] bool submit_answer(H2Stream& stream, int status, const Fields& fields, bool more);
  // Server: a head before the answer's, such as 100. False likewise.
  [[nodiscard]] bool submit_interim(H2Stream& stream, int status, const Fields& fields);
  // Client: a new request, whose fields begin with the pseudo ones. Nullptr if a field may
  // not stand there or the connection takes no more requests.
  [[nodiscard]] std::unique_ptr<H2Stream> submit_request(const std::vector<Field>& fields,
                                                         bool more);
  // Sends what is to go now, if nothing is being sent.
  void flush();
  // Asks the peer for a sign of life. For tests.
  void ping();

  // No new requests: says GOAWAY, and ends when the last one has.
  void drain();
  // Ends it now; who waits is told.
  void cut();
  [[nodiscard]] bool ended() const { return ended_; }
  // Client: it takes another request now.
  [[nodiscard]] bool has_room() const;
  // Frames that wait to be sent, those of bodies apart.
  [[nodiscard]] size_t queued() const;
  // No request is under way.
  [[nodiscard]] bool idle() const { return live_ == 0; }
  // Nothing has come yet, or no request.
  [[nodiscard]] bool is_new() const { return requests_ == 0; }
  [[nodiscard]] net::Executor& executor() const { return executor_; }

 private:
  friend class H2Stream;
  struct Callbacks;  // nghttp2's, in the .cc

  [[nodiscard]] static net::Task<void> write_loop(std::shared_ptr<H2Session> self);
  // False if the connection is at its end.
  [[nodiscard]] bool take_in(std::string_view bytes);
  void run_noted();
  void complete_head(H2Stream& stream);
  void note(net::Wakeup& who);  // who waits there is resumed by run_noted()
  void fill_output();
  void delivered();
  void end();
  void close_after_goodbye();
  void forget(H2Stream& stream);
  void watch_idle();
  // Frames that only make work, and streams that ended with an error: so many at once, and
  // so many a second.
  struct Budget {
    double left;
    TimePoint at;
  };
  [[nodiscard]] bool spend(Budget& budget) const;

  net::Executor& executor_;
  net::Stream stream_;
  const Role role_;
  const H2Options options_;
  const Serve serve_;
  struct Free {
    void operator()(nghttp2_session* session) const;
  };
  std::unique_ptr<nghttp2_session, Free> session_;
  std::vector<H2Stream*> streams_;                 // that nghttp2 knows
  std::unique_ptr<H2Stream> arriving_;             // whose head is being received
  std::deque<std::unique_ptr<H2Stream>> arrived_;  // to be served
  std::deque<net::Wakeup*> noted_;
  std::vector<H2Stream*> in_buffer_;  // their pieces are in output_
  std::string output_;
  net::Wakeup work_;
  net::Timer idle_;
  net::Timer head_;  // and, when all is said, for the peer's end
  net::Timer goodbye_;
  uint64_t requests_ = 0;
  Budget work_budget_;
  Budget reset_budget_;
  int32_t head_id_ = 0;  // of the stream whose head is arriving
  size_t live_ = 0;      // streams that there are, with those that nghttp2 has closed
  bool taking_in_ = false;
  bool draining_ = false;
  bool said_all_ = false;  // nothing goes any more
  bool ended_ = false;
};

}  // namespace ebb::http
