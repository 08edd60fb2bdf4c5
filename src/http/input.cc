#include "http/input.h"

#include <algorithm>
#include <cstring>

namespace ebb::http {

void InputBuffer::begin_message() {
  const size_t left = end_ - begin_;
  if (left > 0) {
    const char* from = current() + begin_;
    if (in_body_block_ && left > head_capacity_) {
      // Only where a head may be smaller than the body block.
      auto block = std::make_unique_for_overwrite<char[]>(left);
      std::memcpy(block.get(), from, left);
      head_ = std::move(block);
      head_capacity_ = left;
    } else {
      std::memmove(head_.get(), from, left);
    }
  }
  body_.reset();
  if (left == 0 && head_capacity_ > initial_head_) {  // idle connections stay small
    head_.reset();
    head_capacity_ = 0;
  }
  in_body_block_ = false;
  pinned_ = begin_ = 0;
  end_ = left;
}

void InputBuffer::grow_head(size_t at_least) {
  size_t capacity = std::max(initial_head_, head_capacity_ * 2);
  capacity = std::max(std::min(capacity, max_head_), at_least);
  auto block = std::make_unique_for_overwrite<char[]>(capacity);
  if (end_ > 0) std::memcpy(block.get(), head_.get(), end_);
  head_ = std::move(block);
  head_capacity_ = capacity;
}

std::span<char> InputBuffer::head_space() {
  if (end_ == head_capacity_) grow_head(end_ + 1);
  return {head_.get() + end_, head_capacity_ - end_};
}

std::span<char> InputBuffer::body_space(size_t wanted) {
  wanted = std::min(wanted, kBodyBlock);
  if (!in_body_block_ && head_capacity_ - pinned_ < wanted) {
    if (!body_) body_ = std::make_unique_for_overwrite<char[]>(kBodyBlock);
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
