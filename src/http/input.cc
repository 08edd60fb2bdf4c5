#include "http/input.h"

#include <algorithm>
#include <cstring>

namespace ebb::http {

void InputBuffer::begin_message() {
  const size_t left = end_ - begin_;
  if (left > 0) {
    const char* from = current() + begin_;
    if (in_body_block_ && left > head_.size()) {
      // Only where a head may be smaller than the body block.
      net::Block block(left);
      std::memcpy(block.data(), from, left);
      head_ = std::move(block);
    } else {
      std::memmove(head_.data(), from, left);
    }
  }
  body_.reset();
  if (left == 0 && head_.size() > initial_head_) head_.reset();  // idle ones stay small
  in_body_block_ = false;
  pinned_ = begin_ = 0;
  end_ = left;
}

void InputBuffer::grow_head(size_t at_least) {
  const size_t capacity = std::max(initial_head_, head_.size() * 2);
  net::Block block(std::max(std::min(capacity, max_head_), at_least));
  if (end_ > 0) std::memcpy(block.data(), head_.data(), end_);
  head_ = std::move(block);
}

std::span<char> InputBuffer::head_space() {
  if (end_ == head_.size()) grow_head(end_ + 1);
  return {head_.data() + end_, head_.size() - end_};
}

std::span<char> InputBuffer::body_space(size_t wanted) {
  wanted = std::min(wanted, kBodyBlock);
  if (!in_body_block_ && head_.size() - pinned_ < wanted) {
    if (body_.size() == 0) body_ = net::Block(kBodyBlock);
    in_body_block_ = true;
  }
  begin_ = end_ = in_body_block_ ? 0 : pinned_;
  return {current() + begin_, wanted};
}

HttpError to_http_error(net::IoError error, bool inside) {
  switch (error) {
    case net::IoError::kTimeout:
      return HttpError::kTimeout;
    case net::IoError::kClosed:
      return inside ? HttpError::kTruncated : HttpError::kClosed;
    case net::IoError::kRefused:
    case net::IoError::kCanceled:
    case net::IoError::kExhausted:
    case net::IoError::kOther:
      return HttpError::kIo;
  }
  return HttpError::kIo;
}

net::Task<HttpResult<std::string_view>> read_piece(net::Stream& stream, InputBuffer& input,
                                                   BodyDecoder& decoder, TimePoint deadline) {
  while (!decoder.done()) {
    if (!input.empty()) {
      const auto step = decoder.decode(input.unread());
      if (!step) co_return fail(step.error().code);
      input.consume(step->consumed);
      if (!step->data.empty()) co_return step->data;
      continue;
    }
    const auto space = input.body_space(decoder.wanted(InputBuffer::kBodyBlock));
    const auto received = co_await stream.read_some(space, deadline);
    if (!received) co_return fail(to_http_error(received.error(), true));
    if (*received == 0 && !decoder.end_of_stream()) co_return fail(HttpError::kTruncated);
    input.added(*received);
  }
  co_return std::string_view();
}

}  // namespace ebb::http
