#include "http/h2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <new>

#include "base/log.h"
#include "http/chars.h"
#include "http/client_exchange.h"
#include "net/executor.h"

namespace ebb::http {
namespace {

constexpr size_t kReadBlock = 16 * 1024;
constexpr size_t kWriteBatch = 32 * 1024;  // handed to the kernel at once, about
// From the first word of a drain to the refusal of what comes after it: what was sent before
// the peer had heard of it is still served.
constexpr Duration kGoodbyeTime = std::chrono::milliseconds(100);
// After the last word, for the peer to close.
constexpr Duration kLingerTime = std::chrono::seconds(1);
// So many requests are served at most, for each stream that may be open.
constexpr size_t kLivePerStream = 2;
// Frames that may wait to be sent; the peer reads nothing, or provokes more than it reads.
constexpr size_t kMostQueued = 4096;
constexpr double kBudget = 2000;
constexpr double kBudgetPerSecond = 200;

const uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

std::string_view view_of(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

nghttp2_nv to_nv(std::string_view name, std::string_view value) {
  return {.name = const_cast<uint8_t*>(bytes_of(name)),  // it only reads them
          .value = const_cast<uint8_t*>(bytes_of(value)),
          .namelen = name.size(),
          .valuelen = value.size(),
          .flags = NGHTTP2_NV_FLAG_NONE};
}

bool is_sound(std::string_view name, std::string_view value) {
  return is_token(name) && is_field_value(value) && trim(value).size() == value.size();
}

// Fields to send; nghttp2 makes names lower case and copies all.
bool append(std::vector<nghttp2_nv>& to, const Fields& fields) {
  for (const Field& field : fields) {
    const std::string_view value = trim(field.value);
    if (!is_sound(field.name, value)) return false;
    to.push_back(to_nv(field.name, value));
  }
  return true;
}

}  // namespace

// --- nghttp2's callbacks: they note, and nothing else ---

struct H2Session::Callbacks {
  static H2Session& of(void* user) { return *static_cast<H2Session*>(user); }
  static H2Stream* stream(nghttp2_session* session, int32_t id) {
    return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static int begin_head(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Session& self = of(user);
    self.head_id_ = frame->hd.stream_id;
    self.executor_.arm(self.head_, self.executor_.turn_time() + self.options_.head_timeout);
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST || self.role_ != Role::kServer) return 0;
    if (self.live_ >= kLivePerStream * self.options_.max_streams) {
      if (!self.spend(self.reset_budget_)) {
        nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
      }
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // whose handlers have not returned
    }
    ++self.requests_;
    self.arriving_.reset();  // one that was refused meanwhile
    self.idle_.disarm();
    self.arriving_ = std::make_unique<H2Stream>(self, frame->hd.stream_id);
    self.streams_.push_back(self.arriving_.get());
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, self.arriving_.get());
    return 0;
  }

  static int field(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                   size_t name_size, const uint8_t* value, size_t value_size, uint8_t /*flags*/,
                   void* user) {
    H2Stream* stream = Callbacks::stream(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->answer_begun_ = true;
    H2Fields& fields = stream->head_complete_ ? stream->trailers_ : stream->head_;
    const bool added =
        fields.add(view_of(name, name_size), view_of(value, value_size), of(user).options_.head);
    if (!added) {
      (stream->head_complete_ ? stream->trailers_too_large_ : stream->head_too_large_) = true;
    }
    return 0;
  }

  static int frame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Session& self = of(user);
    const bool carries =
        frame->hd.type == NGHTTP2_HEADERS ||
        (frame->hd.type == NGHTTP2_DATA &&
         (frame->hd.length > 0 || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0));
    const bool answers = (frame->hd.type == NGHTTP2_PING || frame->hd.type == NGHTTP2_SETTINGS) &&
                         (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    const bool costs = !carries && !answers && frame->hd.type != NGHTTP2_WINDOW_UPDATE &&
                       frame->hd.type != NGHTTP2_RST_STREAM;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
      if (auto* reset = Callbacks::stream(session, frame->hd.stream_id)) {
        reset->reset_by_peer_ = true;
      }
    }
    // Some measure the line with a ping for each piece of a body.
    if (carries) self.work_budget_.left = std::min(kBudget, self.work_budget_.left + 1);
    if (costs && self.role_ == Role::kServer && !self.spend(self.work_budget_)) {
      nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
      return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS) self.head_.disarm();
    H2Stream* stream = Callbacks::stream(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && !stream->head_complete_) {
      stream->only_head_ = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
      self.complete_head(*stream);
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) stream->ended_ = true;
    self.note(stream->readable_);
    return 0;
  }

  static int data(nghttp2_session* session, uint8_t /*flags*/, int32_t id, const uint8_t* bytes,
                  size_t size, void* /*user*/) {
    nghttp2_session_consume_connection(session, size);
    H2Stream* stream = Callbacks::stream(session, id);
    if (stream != nullptr) stream->received_.append(view_of(bytes, size));
    return 0;
  }

  static int closed(nghttp2_session* session, int32_t id, uint32_t error, void* user) {
    H2Session& self = of(user);
    if (id == self.head_id_) self.head_.disarm();
    H2Stream* stream = Callbacks::stream(session, id);
    if (stream == nullptr) return 0;  // we have ended it
    if (error != NGHTTP2_NO_ERROR && self.role_ == Role::kServer &&
        !self.spend(self.reset_budget_)) {
      nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
    }
    stream->closed_ = true;
    stream->refused_ = error == NGHTTP2_REFUSED_STREAM;
    std::erase(self.streams_, stream);
    self.note(stream->readable_);
    self.note(stream->writable_);
    if (self.arriving_.get() == stream) self.arriving_.reset();
    self.watch_idle();
    return 0;
  }

  static ssize_t to_send(nghttp2_session* session, int32_t id, uint8_t* buffer, size_t size,
                         uint32_t* flags, nghttp2_data_source* /*source*/, void* user) {
    H2Stream* stream = Callbacks::stream(session, id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (stream->taken_ || (stream->to_send_.empty() && !stream->last_)) {
      return NGHTTP2_ERR_DEFERRED;
    }
    const size_t taken = std::min(size, stream->to_send_.size());
    std::ranges::copy(stream->to_send_.substr(0, taken), buffer);
    stream->to_send_.remove_prefix(taken);
    if (!stream->to_send_.empty()) return static_cast<ssize_t>(taken);
    stream->taken_ = true;
    stream->in_buffer_ = true;
    of(user).in_buffer_.push_back(stream);
    if (!stream->last_) return static_cast<ssize_t>(taken);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    std::vector<nghttp2_nv> trailers;
    const Fields* fields = stream->trailers_to_send_;
    if (fields != nullptr && append(trailers, *fields) && !trailers.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      nghttp2_submit_trailer(session, id, trailers.data(), trailers.size());
    }
    return static_cast<ssize_t>(taken);
  }

  static const nghttp2_session_callbacks* all() {
    static const nghttp2_session_callbacks* const kAll = [] {
      nghttp2_session_callbacks* made = nullptr;
      if (nghttp2_session_callbacks_new(&made) != 0) throw std::bad_alloc();
      nghttp2_session_callbacks_set_on_begin_headers_callback(made, begin_head);
      nghttp2_session_callbacks_set_on_header_callback(made, field);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, frame);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, data);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, closed);
      return made;
    }();
    return kAll;
  }

  static const nghttp2_option* option() {
    static const nghttp2_option* const kOption = [] {
      nghttp2_option* made = nullptr;
      if (nghttp2_option_new(&made) != 0) throw std::bad_alloc();
      nghttp2_option_set_no_auto_window_update(made, 1);
      nghttp2_option_set_no_closed_streams(made, 1);
      nghttp2_option_set_stream_reset_rate_limit(made, static_cast<uint64_t>(kBudget),
                                                 static_cast<uint64_t>(kBudgetPerSecond));
      return made;
    }();
    return kOption;
  }
};

// --- H2Session ---

void H2Session::Free::operator()(nghttp2_session* session) const { nghttp2_session_del(session); }

H2Session::H2Session(net::Executor& executor, net::Stream stream, Role role,
                     const H2Options& options, Serve serve)
    : executor_(executor),
      stream_(std::move(stream)),
      role_(role),
      options_(options),
      serve_(std::move(serve)),
      work_(executor),
      work_budget_{.left = kBudget, .at = executor.turn_time()},
      reset_budget_(work_budget_) {
  nghttp2_session* made = nullptr;
  const int failed =
      role == Role::kServer
          ? nghttp2_session_server_new2(&made, Callbacks::all(), this, Callbacks::option())
          : nghttp2_session_client_new2(&made, Callbacks::all(), this, Callbacks::option());
  if (failed != 0) throw std::bad_alloc();
  session_.reset(made);
  std::vector<nghttp2_settings_entry> settings{
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(options.head.bytes)}};
  if (role == Role::kServer) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_streams});
  } else {
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  }
  nghttp2_submit_settings(made, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(made, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(options.connection_window));
  idle_.fire = [this] { drain(); };
  head_.fire = [this] { cut(); };
  goodbye_.fire = [this] { close_after_goodbye(); };
}

H2Session::~H2Session() {
  ended_ = true;  // whose streams end with it have nobody to tell
  arriving_.reset();
  arrived_.clear();
}

bool H2Session::upgrade(std::string_view settings, bool is_head) {
  auto stream = std::make_unique<H2Stream>(*this, 1);
  if (nghttp2_session_upgrade2(session_.get(), bytes_of(settings), settings.size(), is_head ? 1 : 0,
                               nullptr) != 0) {
    return false;
  }
  nghttp2_session_set_stream_user_data(session_.get(), 1, stream.get());
  ++requests_;
  stream->head_complete_ = true;
  stream->only_head_ = true;
  stream->ended_ = true;
  streams_.push_back(stream.get());
  arrived_.push_back(std::move(stream));
  return true;
}

net::Task<void> H2Session::run(std::shared_ptr<H2Session> self, std::string_view received) {
  auto writing = write_loop(self);
  self->executor_.spawn(std::move(writing));
  self->watch_idle();
  bool goes_on = self->take_in(received);
  std::vector<char> buffer(kReadBlock);
  while (goes_on) {
    const auto size = co_await self->stream_.read_some(buffer, kNever);
    if (!size || *size == 0) break;
    goes_on = self->take_in({buffer.data(), *size});
  }
  self->end();
}

net::Task<void> H2Session::write_loop(std::shared_ptr<H2Session> self) {
  H2Session& s = *self;
  while (!s.ended_) {
    s.fill_output();
    if (s.output_.empty() && !s.noted_.empty()) {  // streams that nghttp2 has closed meanwhile
      s.run_noted();
      continue;
    }
    if (s.output_.empty()) {
      if (nghttp2_session_want_read(s.session_.get()) == 0 && !s.said_all_) {
        s.said_all_ = true;
        s.stream_.shutdown_write();
        s.executor_.arm(s.head_, s.executor_.turn_time() + kLingerTime);
      }
      if (s.streams_.empty()) s.output_ = std::string();  // an idle one holds little
      auto more = s.work_.wait(kNever);
      static_cast<void>(co_await more);
      continue;
    }
    const auto sent =
        co_await s.stream_.write_all(s.output_, s.executor_.turn_time() + s.options_.write_timeout);
    if (!sent) {
      s.cut();
      co_return;
    }
    s.delivered();
  }
}

void H2Session::fill_output() {
  output_.clear();
  if (ended_) return;
  while (output_.size() < kWriteBatch) {
    const uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_.get(), &bytes);
    if (size <= 0) break;
    output_.append(view_of(bytes, static_cast<size_t>(size)));
  }
}

void H2Session::delivered() {
  for (H2Stream* stream : in_buffer_) {
    stream->in_buffer_ = false;
    note(stream->writable_);
  }
  in_buffer_.clear();
  run_noted();
}

bool H2Session::take_in(std::string_view bytes) {
  if (ended_) return false;
  if (said_all_) return true;  // only the peer's end is waited for
  taking_in_ = true;
  const ssize_t taken =
      bytes.empty() ? 0 : nghttp2_session_mem_recv(session_.get(), bytes_of(bytes), bytes.size());
  taking_in_ = false;
  if (taken < 0) {
    log::debug("http", "HTTP/2 from {}: {}", stream_.peer().to_string(),
               nghttp2_strerror(static_cast<int>(taken)));
  }
  run_noted();
  flush();
  if (!ended_ && queued() > kMostQueued) cut();
  return taken >= 0 && !ended_;
}

size_t H2Session::queued() const { return nghttp2_session_get_outbound_queue_size(session_.get()); }

void H2Session::complete_head(H2Stream& stream) {
  if (role_ == Role::kServer) {
    stream.head_complete_ = true;
    if (arriving_.get() == &stream) arrived_.push_back(std::move(arriving_));
    return;
  }
  if (!stream.head_.get(":status").starts_with('1') ||
      ++stream.interims_ > ClientExchange::kMaxInterim) {
    stream.head_complete_ = true;
    return;
  }
  size_t bytes = stream.head_.bytes();
  for (const H2Fields& head : stream.interim_) bytes += head.bytes();
  if (!std::exchange(stream.head_too_large_, false) && bytes <= options_.head.bytes) {
    stream.interim_.push_back(std::move(stream.head_));
  }
  stream.head_ = H2Fields();
}

void H2Session::note(net::Wakeup& who) {
  if (who.waiting()) noted_.push_back(&who);
}

void H2Session::run_noted() {
  while (!arrived_.empty()) {
    auto stream = std::move(arrived_.front());
    arrived_.pop_front();
    serve_(std::move(stream));
  }
  while (!noted_.empty()) {
    net::Wakeup* who = noted_.front();
    noted_.pop_front();
    who->wake();
  }
}

bool H2Session::submit_answer(H2Stream& stream, int status, const Fields& fields, bool more) {
  const std::string text = std::to_string(status);
  std::vector<nghttp2_nv> nv{to_nv(":status", text)};
  if (!append(nv, fields)) return false;
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::to_send;
  nghttp2_submit_response(session_.get(), stream.id_, nv.data(), nv.size(), more ? &body : nullptr);
  if (!more) stream.last_ = stream.sent_all_ = true;
  return true;
}

bool H2Session::submit_interim(H2Stream& stream, int status, const Fields& fields) {
  const std::string text = std::to_string(status);
  std::vector<nghttp2_nv> nv{to_nv(":status", text)};
  if (!append(nv, fields)) return false;
  nghttp2_submit_headers(session_.get(), NGHTTP2_FLAG_NONE, stream.id_, nullptr, nv.data(),
                         nv.size(), nullptr);
  flush();
  return true;
}

std::unique_ptr<H2Stream> H2Session::submit_request(const std::vector<Field>& fields, bool more) {
  if (!has_room()) return nullptr;
  std::vector<nghttp2_nv> nv;
  for (const Field& field : fields) {
    const bool pseudo = field.name.starts_with(':');
    if (!is_sound(pseudo ? field.name.substr(1) : field.name, field.value)) return nullptr;
    nv.push_back(to_nv(field.name, field.value));
  }
  auto stream = std::make_unique<H2Stream>(*this, H2Stream::kNotYet);
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::to_send;
  const int32_t id = nghttp2_submit_request(session_.get(), nullptr, nv.data(), nv.size(),
                                            more ? &body : nullptr, stream.get());
  if (id < 0) return nullptr;
  ++requests_;
  stream->id_ = id;
  if (!more) stream->last_ = stream->sent_all_ = true;
  streams_.push_back(stream.get());
  idle_.disarm();
  return stream;
}

void H2Session::flush() {
  if (!taking_in_) work_.wake();
}

void H2Session::ping() {
  nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);
  flush();
}

bool H2Session::has_room() const {
  return !ended_ && !draining_ && nghttp2_session_check_request_allowed(session_.get()) != 0 &&
         streams_.size() < nghttp2_session_get_remote_settings(
                               session_.get(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

void H2Session::drain() {
  if (ended_ || draining_) return;
  draining_ = true;
  if (role_ == Role::kServer) {
    nghttp2_submit_shutdown_notice(session_.get());
    executor_.arm(goodbye_, executor_.now() + kGoodbyeTime);
  } else {
    close_after_goodbye();
  }
  flush();
}

void H2Session::close_after_goodbye() {
  if (ended_) return;
  nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_.get()), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  flush();
}

void H2Session::cut() {
  stream_.close();
  end();
}

void H2Session::end() {
  if (std::exchange(ended_, true)) return;
  idle_.disarm();
  head_.disarm();
  goodbye_.disarm();
  stream_.close();
  for (H2Stream* stream : std::exchange(streams_, {})) {
    stream->closed_ = true;
    note(stream->readable_);
    note(stream->writable_);
  }
  for (H2Stream* stream : std::exchange(in_buffer_, {})) {
    stream->in_buffer_ = false;
    note(stream->writable_);
  }
  arriving_.reset();
  arrived_.clear();
  note(work_);
  run_noted();
}

void H2Session::forget(H2Stream& stream) {
  std::erase(in_buffer_, &stream);
  std::erase(noted_, &stream.readable_);
  std::erase(noted_, &stream.writable_);
  std::erase(streams_, &stream);
  if (ended_) return;
  if (!stream.closed_) {
    nghttp2_session_set_stream_user_data(session_.get(), stream.id_, nullptr);
    const bool said_all = stream.last_ && (stream.taken_ || stream.sent_all_);
    if (!said_all || !stream.ended_) {
      nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream.id_,
                                said_all ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
    }
    watch_idle();
  }
  flush();
}

void H2Session::watch_idle() {
  if (streams_.empty() && !draining_) {
    executor_.arm(idle_, executor_.turn_time() + options_.idle_timeout);
  }
}

bool H2Session::spend(Budget& budget) const {
  const TimePoint now = executor_.turn_time();
  const double passed = std::chrono::duration<double>(now - budget.at).count();
  budget.left = std::min(kBudget, budget.left + passed * kBudgetPerSecond) - 1;
  budget.at = now;
  return budget.left >= 0;
}

}  // namespace ebb::http
