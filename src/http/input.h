// The receiving side of one HTTP/1.1 connection, for server and client alike: the
// bytes received and not yet used, and reading a body from them.
//
// Two blocks of memory. The first starts small, grows up to HeadLimits.bytes and
// holds the head, which must not move while its message is under way. A body is
// read into what is left of it, or, if it is larger, into a second block that is
// given back between messages. Belongs to one connection.
//
//   input.begin_message();
//   stream.read_some(input.head_space(), ...); input.added(n);
//   size = parser.request(input.unread_view(), head); input.consume(*size);
//   piece = co_await read_piece(stream, input, decoder, deadline);
#pragma once

#include <algorithm>
#include <span>
#include <string_view>

#include "http/body_decoder.h"
#include "http/message.h"
#include "net/block_cache.h"
#include "net/stream.h"
#include "net/task.h"

namespace ebb::http {

class InputBuffer final {
 public:
  static constexpr size_t kInitialHead = 4 * 1024;
  static constexpr size_t kBodyBlock = 16 * 1024;

  explicit InputBuffer(size_t max_head, size_t initial_head = kInitialHead)
      : max_head_(max_head), initial_head_(std::min(initial_head, max_head)) {}

  // Moves what is left of the last read to the front and frees the body block.
  // Ends the life of every view into the buffer.
  void begin_message();
  // Room for more of a head, never empty while less than the limit is unread. Views
  // into the head under way may end; the parser works on offsets.
  [[nodiscard]] std::span<char> head_space();
  // Room for up to `wanted` bytes of a body, 1..kBodyBlock; call only when nothing
  // is unread. Ends the life of the last piece, never of the head.
  [[nodiscard]] std::span<char> body_space(size_t wanted);

  void added(size_t bytes) { end_ += bytes; }
  void consume(size_t bytes) { begin_ += bytes; }
  // The rest of the first block belongs to the body: called once the head is read.
  void pin_head() { pinned_ = begin_; }

  [[nodiscard]] std::span<char> unread() const { return {current() + begin_, end_ - begin_}; }
  [[nodiscard]] std::string_view unread_view() const { return {current() + begin_, end_ - begin_}; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  // Bytes allocated.
  [[nodiscard]] size_t memory() const { return head_.size() + body_.size(); }

 private:
  [[nodiscard]] char* current() const { return in_body_block_ ? body_.data() : head_.data(); }
  void grow_head(size_t at_least);

  size_t max_head_;
  size_t initial_head_;
  net::Block head_;
  net::Block body_;
  bool in_body_block_ = false;
  size_t pinned_ = 0;  // size of the head in the first block
  size_t begin_ = 0;   // the unread bytes of the current block
  size_t end_ = 0;
};

// What an error of the stream means for a message of which something (`inside`)
// or nothing has been received.
[[nodiscard]] HttpError to_http_error(net::IoError error, bool inside);

// The next piece of the body, at most InputBuffer::kBodyBlock bytes; empty at its
// end. Valid until the next call. All three must outlive the task.
[[nodiscard]] net::Task<HttpResult<std::string_view>> read_piece(net::Stream& stream,
                                                                 InputBuffer& input,
                                                                 BodyDecoder& decoder,
                                                                 TimePoint deadline);

}  // namespace ebb::http
