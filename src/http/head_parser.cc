#include "http/head_parser.h"

#include <algorithm>
#include <cstring>

#include "http/chars.h"
#include "http/uri.h"

namespace ebb::http {
namespace {

tl::unexpected<ParseError> refuse(const char* what, HttpError code = HttpError::kMalformed) {
  return fail(ParseError{code, what});
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "HTTP/1.1" and "HTTP/1.0" pass, other versions are told from other protocols.
ParseResult<void> check_version(std::string_view text) {
  const bool http = text.size() == 8 && text.starts_with("HTTP/") && is_digit(text[5]) &&
                    text[6] == '.' && is_digit(text[7]);
  if (!http) return refuse("not an HTTP/1.x message");
  if (text[5] != '1' || text[7] > '1') return refuse("only HTTP/1.0 and 1.1", HttpError::kVersion);
  return {};
}

struct RequestLine {
  std::string_view method;
  std::string_view target;
  int minor_version = 1;
};

ParseResult<RequestLine> read_request_line(std::string_view line) {
  const size_t method_end = line.find(' ');
  const size_t target_end = line.rfind(' ');
  if (method_end == std::string_view::npos || method_end == target_end) {
    return refuse("request line is not METHOD TARGET VERSION");
  }
  const auto method = line.substr(0, method_end);
  const auto target = line.substr(method_end + 1, target_end - method_end - 1);
  if (!is_token(method)) return refuse("bad method");
  if (auto ok = check_version(line.substr(target_end + 1)); !ok) return fail(ok.error());
  // A target is not decoded here: a function may want it as it came.
  if (!is_target(target)) return refuse("space, fragment or bad byte in the request target");
  // CONNECT would make a tunnel; PRI begins another protocol.
  if (method == "CONNECT" || method == "PRI") {
    return refuse("method not supported", HttpError::kUnsupported);
  }
  if (target == "*" && method != "OPTIONS") return refuse("target * is for OPTIONS only");
  return RequestLine{method, target, line.back() - '0'};
}

struct StatusLine {
  int status = 0;
  std::string_view reason;
  int minor_version = 1;
};

ParseResult<StatusLine> read_status_line(std::string_view line) {
  if (auto ok = check_version(line.substr(0, 8)); !ok) return fail(ok.error());
  const bool good = line.size() >= 12 && line[8] == ' ' && line[9] >= '1' && line[9] <= '9' &&
                    is_digit(line[10]) && is_digit(line[11]) &&
                    (line.size() == 12 || line[12] == ' ');
  if (!good) return refuse("bad status line");
  return StatusLine{.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'),
                    .reason = line.substr(std::min<size_t>(line.size(), 13)),
                    .minor_version = line[7] - '0'};
}

// What the fields say that decides about framing and the connection.
struct Meaning {
  std::optional<std::string_view> transfer_encoding;
  std::optional<uint64_t> content_length;
  std::optional<std::string_view> host;
  bool close = false;
  bool keep_alive = false;
  bool connection_upgrade = false;
  bool has_upgrade = false;
  bool expects_continue = false;
};

std::optional<uint64_t> parse_length(std::string_view text) {
  if (text.empty() || text.size() > 18) return std::nullopt;  // 18 digits always fit
  uint64_t value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

ParseResult<void> note_meaning(const Field& field, Meaning& m) {
  switch (field.name.size()) {
    case 4:
      if (iequals(field.name, "host")) {
        if (m.host) return refuse("repeated Host");
        m.host = field.value;
      }
      break;
    case 6:
      if (iequals(field.name, "expect")) {
        m.expects_continue = m.expects_continue || iequals(field.value, "100-continue");
      }
      break;
    case 7:
      m.has_upgrade = m.has_upgrade || iequals(field.name, "upgrade");
      break;
    case 10:
      if (iequals(field.name, "connection")) {
        m.close = m.close || list_has_token(field.value, "close");
        m.keep_alive = m.keep_alive || list_has_token(field.value, "keep-alive");
        m.connection_upgrade = m.connection_upgrade || list_has_token(field.value, "upgrade");
      }
      break;
    case 14:
      if (iequals(field.name, "content-length")) {
        if (m.content_length) return refuse("repeated Content-Length");
        m.content_length = parse_length(field.value);
        if (!m.content_length) return refuse("bad Content-Length");
      }
      break;
    case 17:
      if (iequals(field.name, "transfer-encoding")) {
        if (m.transfer_encoding) return refuse("repeated Transfer-Encoding");
        m.transfer_encoding = field.value;
      }
      break;
    default:
      break;
  }
  return {};
}

// `lines` are those of the fields and the empty one behind them; each ends with CR LF.
ParseResult<Meaning> read_fields(std::string_view lines, size_t limit, Fields& fields) {
  Meaning meaning;
  fields.clear();
  for (;;) {
    const size_t end = lines.find('\n');
    const auto line = lines.substr(0, end - 1);
    lines.remove_prefix(end + 1);
    if (line.empty()) return meaning;
    const auto colon = static_cast<size_t>(
        std::find_if_not(line.begin(), line.end(), is_token_char) - line.begin());
    if (colon == 0 || colon == line.size() || line[colon] != ':') return refuse("bad header name");
    const Field field{line.substr(0, colon), trim(line.substr(colon + 1))};
    if (!is_field_value(field.value)) return refuse("bad byte in a header value");
    if (fields.size() == limit) return refuse("too many header fields", HttpError::kHeadTooLarge);
    fields.add(field.name, field.value);
    if (auto ok = note_meaning(field, meaning); !ok) return fail(ok.error());
  }
}

// Chunked alone is spoken. A list that names chunked anywhere but once at its end
// hides where the body ends; other well-formed codings are merely not supported.
ParseResult<void> check_transfer_encoding(std::string_view list) {
  if (iequals(list, "chunked")) return {};
  bool chunked_before = false;
  for (std::string_view rest = list;;) {
    const size_t comma = rest.find(',');
    const auto coding = trim(rest.substr(0, comma));
    if (!is_token(coding) || chunked_before) return refuse("bad Transfer-Encoding");
    chunked_before = iequals(coding, "chunked");
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return refuse("only the transfer coding chunked is supported", HttpError::kUnsupported);
}

// The framing fields of both kinds of messages; kNone if there are none.
ParseResult<BodyLength> read_framing(const Meaning& m, int minor_version) {
  if (m.transfer_encoding) {
    if (minor_version == 0) return refuse("Transfer-Encoding in HTTP/1.0");
    if (m.content_length) return refuse("both Transfer-Encoding and Content-Length");
    if (auto ok = check_transfer_encoding(*m.transfer_encoding); !ok) return fail(ok.error());
    return BodyLength::chunked();
  }
  if (m.content_length) return BodyLength::sized(*m.content_length);
  return BodyLength::none();
}

bool keeps_alive(const Meaning& m, int minor_version) {
  return !m.close && (minor_version > 0 || m.keep_alive);
}

std::string_view without_end(std::string_view text, std::string_view end) {
  if (text.ends_with(end)) text.remove_suffix(end.size());
  return text;
}

ParseResult<void> finish_request(RequestHead& head, const Meaning& meaning) {
  const auto body = read_framing(meaning, head.minor_version);
  if (!body) return fail(body.error());
  head.body = *body;

  if (!meaning.host && head.minor_version > 0) return refuse("missing Host");
  head.authority = meaning.host.value_or("");
  if (meaning.host && !is_authority(*meaning.host)) return refuse("bad Host");
  const auto target = split_target(head.target);
  if (!target) return refuse("bad request target");
  if (!target->authority.empty()) {
    const std::string_view port = head.target.starts_with("https") ? ":443" : ":80";
    if (meaning.host &&
        !iequals(without_end(target->authority, port), without_end(*meaning.host, port))) {
      return refuse("Host differs from the request target");
    }
    head.authority = target->authority;
  }

  head.keep_alive = keeps_alive(meaning, head.minor_version);
  head.expects_continue = meaning.expects_continue && head.minor_version > 0 &&
                          head.body != BodyLength::none() && head.body != BodyLength::sized(0);
  head.upgrade = meaning.connection_upgrade && meaning.has_upgrade;
  return {};
}

ParseResult<void> finish_response(ResponseHead& head, const Meaning& meaning, bool to_head) {
  const auto framing = read_framing(meaning, head.minor_version);
  if (!framing) return fail(framing.error());
  head.keep_alive = keeps_alive(meaning, head.minor_version);
  head.body = *framing;
  const bool bodiless = head.status < 200 || head.status == 204;
  if (bodiless || head.status == 304 || to_head) {
    // Where a body is named and none may come, a careless peer may send it all the same, later
    // perhaps: what follows on this connection is not to be taken for the next answer.
    if (!framing->is_empty() || head.status == 101) head.keep_alive = false;
    head.body = BodyLength::none();
  } else if (*framing == BodyLength::none()) {
    head.body = BodyLength::until_close();
    head.keep_alive = false;
  }
  return {};
}

template <class T>
std::optional<ParseError> error_of(const ParseResult<T>& result) {
  if (result) return std::nullopt;
  return result.error();
}

// A head of which the first line and the ends of all others were checked.
struct Lines {
  std::string_view first;
  std::string_view fields;
};
Lines split_lines(std::string_view head) {
  const size_t end = head.find('\n');
  return {.first = head.substr(0, end - 1), .fields = head.substr(end + 1)};
}

}  // namespace

ParseResult<size_t> HeadParser::scan(std::string_view bytes, bool is_request) {
  const auto seen = bytes.substr(0, std::min(bytes.size(), limits_.bytes));
  if (is_request && start_ == 0 && seen.starts_with("\r\n")) {
    start_ = line_ = 2;
    scanned_ = std::max<size_t>(scanned_, 2);
  }
  while (scanned_ < seen.size()) {
    const auto* lf =
        static_cast<const char*>(std::memchr(seen.data() + scanned_, '\n', seen.size() - scanned_));
    const size_t end = lf != nullptr ? static_cast<size_t>(lf - seen.data()) : seen.size();
    const bool first = line_ == start_;
    if (lf == nullptr) {
      // Garbage (say, a TLS client) is refused at its first control byte. A CR may
      // still turn out to end the line.
      auto fresh = seen.substr(scanned_);
      if (fresh.back() == '\r') fresh.remove_suffix(1);
      if (first && !is_field_value(fresh)) return refuse("control byte in the first line");
      scanned_ += first ? fresh.size() : seen.size() - scanned_;
      break;
    }
    auto line = seen.substr(line_, end - line_);
    const bool has_cr = line.ends_with('\r');
    if (has_cr) line.remove_suffix(1);
    if (first && !is_field_value(line)) return refuse("control byte in the first line");
    if (!has_cr) return refuse("line does not end in CR LF");
    if (first) {
      // Read again when the head is complete: the bytes may move until then.
      const auto error =
          is_request ? error_of(read_request_line(line)) : error_of(read_status_line(line));
      if (error) return fail(*error);
    } else if (line.empty()) {
      return end + 1;
    } else {
      if (line.front() == ' ' || line.front() == '\t') return refuse("folded header line");
      if (line.find('\r') != std::string_view::npos) return refuse("bare CR in a header line");
    }
    scanned_ = line_ = end + 1;
  }
  if (seen.size() == limits_.bytes) {
    return refuse("request line and header fields are too large", HttpError::kHeadTooLarge);
  }
  return 0;
}

ParseResult<size_t> HeadParser::request(std::string_view bytes, RequestHead& head) {
  const auto size = scan(bytes, true);
  if (!size || *size == 0) return size;
  const Lines lines = split_lines(bytes.substr(start_, *size - start_));
  const auto first = read_request_line(lines.first);
  if (!first) return fail(first.error());
  head.method = first->method;
  head.target = first->target;
  head.minor_version = first->minor_version;
  const auto meaning = read_fields(lines.fields, limits_.fields, head.fields);
  if (!meaning) return fail(meaning.error());
  if (auto ok = finish_request(head, *meaning); !ok) return fail(ok.error());
  return size;
}

ParseResult<size_t> HeadParser::response(std::string_view bytes, bool to_head, ResponseHead& head) {
  const auto size = scan(bytes, false);
  if (!size || *size == 0) return size;
  const Lines lines = split_lines(bytes.substr(0, *size));
  const auto first = read_status_line(lines.first);
  if (!first) return fail(first.error());
  head.status = first->status;
  head.reason = first->reason;
  head.minor_version = first->minor_version;
  const auto meaning = read_fields(lines.fields, limits_.fields, head.fields);
  if (!meaning) return fail(meaning.error());
  if (auto ok = finish_response(head, *meaning, to_head); !ok) return fail(ok.error());
  return size;
}

}  // namespace ebb::http
