#include "http/body_decoder.h"

#include <algorithm>
#include <cstring>

#include "http/chars.h"

namespace ebb::http {

BodyDecoder::BodyDecoder(BodyLength length) {
  switch (length.kind) {
    case BodyLength::Kind::kNone:
      break;
    case BodyLength::Kind::kSized:
      remaining_ = length.size;
      if (remaining_ > 0) state_ = State::kSized;
      break;
    case BodyLength::Kind::kChunked:
      state_ = State::kChunkSize;
      break;
    case BodyLength::Kind::kUntilClose:
      state_ = State::kUntilClose;
      break;
  }
}

ParseResult<BodyDecoder::Step> BodyDecoder::decode(std::span<char> bytes) {
  Step step;
  switch (state_) {
    case State::kDone:
      return step;
    case State::kUntilClose:
      step.consumed = bytes.size();
      break;
    case State::kSized:
      step.consumed = static_cast<size_t>(std::min<uint64_t>(bytes.size(), remaining_));
      remaining_ -= step.consumed;
      if (remaining_ == 0) state_ = State::kDone;
      break;
    default:
      return decode_chunked(bytes);
  }
  step.data = {bytes.data(), step.consumed};
  received_ += step.consumed;
  return step;
}

ParseResult<BodyDecoder::Step> BodyDecoder::decode_chunked(std::span<char> bytes) {
  size_t in = 0;
  char* out = nullptr;  // start and size of the data joined so far
  size_t out_size = 0;
  while (in < bytes.size() && state_ != State::kDone) {
    if (state_ == State::kChunkData) {
      const auto run = static_cast<size_t>(std::min<uint64_t>(bytes.size() - in, remaining_));
      if (out == nullptr) {
        out = bytes.data() + in;
      } else {
        std::memmove(out + out_size, bytes.data() + in, run);
      }
      out_size += run;
      in += run;
      remaining_ -= run;
      if (remaining_ == 0) state_ = State::kDataCr;
    } else if (const char* what = take_framing(bytes[in++])) {
      return fail(ParseError{HttpError::kMalformed, what});
    }
  }
  received_ += out_size;
  return Step{in, std::string_view(out, out_size)};
}

const char* BodyDecoder::take_framing(char c) {
  switch (state_) {
    case State::kChunkSize:
      return take_size(c);
    case State::kExtension:
      if (++extension_bytes_ > kMaxExtensionBytes) return "chunk extensions are too long";
      if (c == '\r') {
        state_ = State::kSizeLf;
      } else if (!is_value_char(c)) {
        return "bad byte in a chunk extension";
      }
      return nullptr;
    case State::kSizeLf:
      if (c != '\n') return "chunk size line does not end in CR LF";
      digits_ = 0;
      state_ = remaining_ > 0 ? State::kChunkData : State::kTrailerStart;
      return nullptr;
    case State::kDataCr:
      if (c != '\r') return "chunk is longer than its size";
      state_ = State::kDataLf;
      return nullptr;
    case State::kDataLf:
      if (c != '\n') return "chunk does not end in CR LF";
      state_ = State::kChunkSize;
      return nullptr;
    default:
      return take_trailer(c);
  }
}

const char* BodyDecoder::take_size(char c) {
  if (const int digit = hex_value(c); digit >= 0) {
    if (++digits_ > kMaxSizeDigits || remaining_ >= (kMaxChunk >> 4))
      return "chunk size is too large";
    remaining_ = remaining_ * 16 + static_cast<uint64_t>(digit);
    return nullptr;
  }
  if (digits_ == 0) return "chunk size is missing";
  if (c == '\r') {
    state_ = State::kSizeLf;
  } else if (c == ';') {
    state_ = State::kExtension;
  } else {
    return "bad byte in a chunk size";
  }
  return nullptr;
}

const char* BodyDecoder::take_trailer(char c) {
  if (++trailer_bytes_ > kMaxTrailerBytes) return "trailers are too long";
  switch (state_) {
    case State::kTrailerStart:
      if (c == '\r') {
        state_ = State::kLastLf;
        return nullptr;
      }
      state_ = State::kTrailerName;
      if (!trailers_) trailers_ = std::make_unique<Trailers>();
      trailers_->lines.push_back({.begin = trailers_->text.size()});
      trailers_->text += c;
      return is_token_char(c) ? nullptr : "bad trailer name";
    case State::kTrailerName:
      if (c == ':') {
        state_ = State::kTrailerValue;
        auto& line = trailers_->lines.back();
        line.value = trailers_->text.size();
        line.name = line.value - line.begin;
        return nullptr;
      }
      trailers_->text += c;
      return is_token_char(c) ? nullptr : "bad trailer name";
    case State::kTrailerValue:
      if (c == '\r') {
        state_ = State::kTrailerLf;
        trailers_->lines.back().end = trailers_->text.size();
        return nullptr;
      }
      trailers_->text += c;
      return is_value_char(c) ? nullptr : "bad byte in a trailer";
    case State::kTrailerLf:
      state_ = State::kTrailerStart;
      return c == '\n' ? nullptr : "trailer does not end in CR LF";
    default:  // kLastLf
      if (c != '\n') return "chunked body does not end in CR LF";
      state_ = State::kDone;
      end_trailers();
      return nullptr;
  }
}

void BodyDecoder::end_trailers() {
  if (!trailers_) return;
  const std::string_view text = trailers_->text;
  for (const auto& line : trailers_->lines) {
    trailers_->fields.add(text.substr(line.begin, line.name),
                          trim(text.substr(line.value, line.end - line.value)));
  }
}

const Fields& BodyDecoder::trailers() const {
  static const Fields kNone;
  return trailers_ ? trailers_->fields : kNone;
}

bool BodyDecoder::end_of_stream() {
  if (state_ == State::kUntilClose) state_ = State::kDone;
  return state_ == State::kDone;
}

size_t BodyDecoder::wanted(size_t limit) const {
  if (state_ != State::kSized) return limit;
  return static_cast<size_t>(std::min<uint64_t>(limit, remaining_));
}

}  // namespace ebb::http
