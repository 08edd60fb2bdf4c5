// H2Stream: how the coroutines of one request wait for its bytes to come and to go.
#include <nghttp2/nghttp2.h>

#include "http/h2_session.h"

namespace ebb::http {

H2Stream::H2Stream(H2Session& session, int32_t id)
    : session_(&session), id_(id), readable_(session.executor_), writable_(session.executor_) {
  ++session.live_;
}

H2Stream::~H2Stream() {
  --session_->live_;
  session_->forget(*this);
}

net::Task<HttpResult<std::string_view>> H2Stream::read(TimePoint deadline) {
  if (!piece_.empty()) {  // it has been used
    nghttp2_session_consume_stream(session_->session_.get(), id_, piece_.size());
    piece_.clear();
    session_->flush();
  }
  while (received_.empty() && !ended_) {
    if (closed_) co_return fail(HttpError::kTruncated);
    read_canceled_ = false;
    const bool woken = co_await readable_.wait(deadline);
    if (read_canceled_) co_return fail(HttpError::kClosed);
    if (!woken) co_return fail(HttpError::kTimeout);
  }
  // Without all its trailers, such as the outcome of a call, it must not look whole.
  if (received_.empty() && trailers_too_large_) co_return fail(HttpError::kHeadTooLarge);
  std::swap(piece_, received_);
  co_return std::string_view(piece_);
}

net::Task<bool> H2Stream::comes(TimePoint until) {
  while (received_.empty() && !ended_ && !closed_) {
    const bool woken = co_await readable_.wait(until);
    if (!woken) co_return false;
  }
  co_return true;
}

void H2Stream::cancel_read() {
  read_canceled_ = true;
  readable_.wake();
}

net::Task<HttpResult<void>> H2Stream::wait_for_head(TimePoint deadline) {
  while (!head_complete_ && interim_.empty()) {
    if (closed_) co_return fail(answer_begun_ ? HttpError::kTruncated : HttpError::kClosed);
    const bool woken = co_await readable_.wait(deadline);
    if (!woken) co_return fail(HttpError::kTimeout);
  }
  const bool too_large = head_too_large_ && interim_.empty();
  co_return too_large ? HttpResult<void>(fail(HttpError::kHeadTooLarge)) : HttpResult<void>();
}

bool H2Stream::take_interim(H2Fields& head) {
  if (interim_.empty()) return false;
  head = std::move(interim_.front());
  interim_.pop_front();
  return true;
}

net::Task<HttpResult<void>> H2Stream::write(std::string_view piece, bool last,
                                            const Fields* trailers, TimePoint deadline) {
  if (closed_ || last_) co_return fail(HttpError::kIo);
  to_send_ = piece;
  trailers_to_send_ = trailers;
  last_ = last;
  in_buffer_ = false;
  taken_ = false;
  nghttp2_session_resume_data(session_->session_.get(), id_);
  session_->flush();
  while (!taken_ || in_buffer_) {
    if (closed_ && !in_buffer_) break;
    const bool woken = co_await writable_.wait(deadline);
    if (woken) continue;
    to_send_ = {};
    trailers_to_send_ = nullptr;
    reset(NGHTTP2_CANCEL);
    co_return fail(HttpError::kTimeout);
  }
  to_send_ = {};
  trailers_to_send_ = nullptr;
  if (!taken_) co_return fail(HttpError::kIo);
  sent_all_ = last;
  co_return HttpResult<void>();
}

void H2Stream::reset(uint32_t error) {
  H2Session& session = *session_;
  if (closed_ || session.ended_) return;
  nghttp2_session_set_stream_user_data(session.session_.get(), id_, nullptr);
  nghttp2_submit_rst_stream(session.session_.get(), NGHTTP2_FLAG_NONE, id_, error);
  closed_ = true;
  in_buffer_ = false;
  std::erase(session.in_buffer_, this);
  std::erase(session.streams_, this);
  session.watch_idle();
  session.flush();
  session.note(readable_);
  session.note(writable_);
  session.run_noted();  // which may end this
}

}  // namespace ebb::http
