// Takes the framing off a message body, in place and incrementally.
//
// Refuses folded trailers, a bare line feed at their end, and extensions and trailers of
// any length, which other parsers take; joins chunks that came together. The fuzz targets
// check that llhttp reads no other body. No I/O, and no allocation but for trailers; belongs
// to one connection.
//
//   BodyDecoder decoder(head.body);
//   while (!decoder.done()) {
//     auto step = decoder.decode(bytes);   // std::span<char> of what arrived
//     if (!step) return fail(step.error());
//     use(step->data);
//     bytes = bytes.subspan(step->consumed);
//   }
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace ebb::http {

// A fault of the peer with words for its answer; `what` is a literal.
struct ParseError {
  HttpError code = HttpError::kMalformed;
  const char* what = "";
};

template <class T>
using ParseResult = Result<T, ParseError>;

class BodyDecoder final {
 public:
  static constexpr uint64_t kMaxChunk = 1ull << 60;
  static constexpr size_t kMaxSizeDigits = 16;
  static constexpr size_t kMaxExtensionBytes = 16 * 1024;  // over the whole body
  static constexpr size_t kMaxTrailerBytes = 8 * 1024;

  struct Step {
    size_t consumed = 0;    // all of the bytes, unless the body ended before
    std::string_view data;  // may be empty while the body is not done
  };

  BodyDecoder() = default;  // no body
  explicit BodyDecoder(BodyLength length);

  // Decodes what arrived. Data of several chunks is joined by moving it together
  // inside `bytes`; `data` points into it.
  [[nodiscard]] ParseResult<Step> decode(std::span<char> bytes);
  [[nodiscard]] bool done() const { return state_ == State::kDone; }
  // The peer ended the stream: true if that ends the body rightly; then done().
  [[nodiscard]] bool end_of_stream();
  // How many bytes the next read can use, at most `limit`, without going beyond a
  // body whose end is known.
  [[nodiscard]] size_t wanted(size_t limit) const;
  // The fields behind a chunked body; none before it is done. Valid until the decoder
  // is assigned to.
  [[nodiscard]] const Fields& trailers() const;
  // Data bytes given out so far.
  [[nodiscard]] uint64_t received() const { return received_; }

 private:
  enum class State : uint8_t {
    kDone,
    kSized,
    kUntilClose,
    kChunkSize,
    kExtension,
    kSizeLf,
    kChunkData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailerName,
    kTrailerValue,
    kTrailerLf,
    kLastLf,
  };

  [[nodiscard]] ParseResult<Step> decode_chunked(std::span<char> bytes);
  // Takes one byte of chunk framing; a message if it may not stand there.
  [[nodiscard]] const char* take_framing(char c);
  [[nodiscard]] const char* take_size(char c);
  [[nodiscard]] const char* take_trailer(char c);

  State state_ = State::kDone;
  uint8_t digits_ = 0;
  uint64_t remaining_ = 0;  // of the sized body or of the chunk
  uint64_t received_ = 0;
  size_t extension_bytes_ = 0;
  size_t trailer_bytes_ = 0;
  struct Trailers {
    struct Line {
      size_t begin = 0;  // in text
      size_t name = 0;   // its size
      size_t value = 0;  // where that begins
      size_t end = 0;
    };
    std::string text{};
    std::vector<Line> lines{};
    Fields fields{};
  };
  void end_trailers();
  std::unique_ptr<Trailers> trailers_;  // null: none has come
};

}  // namespace ebb::http
