#include "http/head_parser.h"

#include <llhttp.h>

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

ParseResult<void> check_request_line(std::string_view line) {
  const size_t method_end = line.find(' ');
  const size_t target_end = line.rfind(' ');
  if (method_end == std::string_view::npos || method_end == target_end) {
    return refuse("request line is not METHOD TARGET VERSION");
  }
  const auto method = line.substr(0, method_end);
  const auto target = line.substr(method_end + 1, target_end - method_end - 1);
  if (!is_token(method)) return refuse("bad method");
  if (auto ok = check_version(line.substr(target_end + 1)); !ok) return ok;
  // A target is not decoded here: a function may want it as it came.
  if (!is_target(target)) return refuse("space, fragment or bad byte in the request target");
  // CONNECT would make a tunnel; the others belong to protocols that llhttp also knows.
  if (method == "CONNECT" || method == "SOURCE" || method == "PRI") {
    return refuse("method not supported", HttpError::kUnsupported);
  }
  if (target == "*" && method != "OPTIONS") return refuse("target * is for OPTIONS only");
  return {};
}

ParseResult<void> check_status_line(std::string_view line) {
  if (auto ok = check_version(line.substr(0, 8)); !ok) return ok;
  const bool good = line.size() >= 12 && line[8] == ' ' && line[9] >= '1' && line[9] <= '9' &&
                    is_digit(line[10]) && is_digit(line[11]) &&
                    (line.size() == 12 || line[12] == ' ');
  if (!good) return refuse("bad status line");
  return {};
}

// What the llhttp callbacks fill. Spans are contiguous: the head is given at once.
struct Collected {
  Collected(Fields& f, size_t max) : fields(&f), max_fields(max) {}
  Fields* fields;
  size_t max_fields;
  std::string_view method;
  std::string_view target;
  std::string_view reason;
  std::string_view name;
  std::string_view value;
  bool too_many = false;
};

Collected& collected(llhttp_t* parser) { return *static_cast<Collected*>(parser->data); }

void extend(std::string_view& span, const char* at, size_t size) {
  span = span.empty() ? std::string_view(at, size) : std::string_view(span.begin(), at + size);
}

llhttp_settings_t make_settings() {
  llhttp_settings_t s;
  llhttp_settings_init(&s);
  s.on_method = [](llhttp_t* p, const char* at, size_t n) {
    extend(collected(p).method, at, n);
    return 0;
  };
  s.on_url = [](llhttp_t* p, const char* at, size_t n) {
    extend(collected(p).target, at, n);
    return 0;
  };
  s.on_status = [](llhttp_t* p, const char* at, size_t n) {
    extend(collected(p).reason, at, n);
    return 0;
  };
  s.on_header_field = [](llhttp_t* p, const char* at, size_t n) {
    extend(collected(p).name, at, n);
    return 0;
  };
  s.on_header_value = [](llhttp_t* p, const char* at, size_t n) {
    extend(collected(p).value, at, n);
    return 0;
  };
  s.on_header_value_complete = [](llhttp_t* p) -> int {
    Collected& c = collected(p);
    if (c.fields->size() == c.max_fields) {
      c.too_many = true;
      return -1;
    }
    c.fields->add(c.name, trim(c.value));
    c.name = c.value = {};
    return 0;
  };
  // The body is not llhttp's business (see body_decoder.h).
  s.on_headers_complete = [](llhttp_t*) -> int { return HPE_PAUSED; };
  return s;
}

ParseResult<void> run_llhttp(llhttp_t& parser, llhttp_type_t type, std::string_view bytes,
                             Collected& into) {
  static const llhttp_settings_t settings = make_settings();
  llhttp_init(&parser, type, &settings);
  parser.data = &into;
  const llhttp_errno_t err = llhttp_execute(&parser, bytes.data(), bytes.size());
  if (err == HPE_PAUSED) return {};
  if (into.too_many) return refuse("too many header fields", HttpError::kHeadTooLarge);
  // The constant is the protocol that a known method belongs to, such as RTSP.
  if (err == HPE_INVALID_METHOD || err == HPE_INVALID_CONSTANT) {
    return refuse("method not supported", HttpError::kUnsupported);
  }
  if (err == HPE_OK) return refuse("incomplete head");  // llhttp saw no end where we did
  return refuse(llhttp_get_error_reason(&parser));
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

ParseResult<void> read_field(const Field& field, Meaning& m) {
  if (!is_token(field.name)) return refuse("bad header name");
  if (!is_field_value(field.value)) return refuse("bad byte in a header value");
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

ParseResult<Meaning> read_fields(const Fields& fields) {
  Meaning meaning;
  for (const Field& field : fields) {
    if (auto ok = read_field(field, meaning); !ok) return fail(ok.error());
  }
  return meaning;
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

ParseResult<void> finish_request(RequestHead& head) {
  const auto meaning = read_fields(head.fields);
  if (!meaning) return fail(meaning.error());
  const auto body = read_framing(*meaning, head.minor_version);
  if (!body) return fail(body.error());
  head.body = *body;

  if (!meaning->host && head.minor_version > 0) return refuse("missing Host");
  head.authority = meaning->host.value_or("");
  if (meaning->host && !is_authority(*meaning->host)) return refuse("bad Host");
  const auto target = split_target(head.target);
  if (!target) return refuse("bad request target");
  if (!target->authority.empty()) {
    const std::string_view port = head.target.starts_with("https") ? ":443" : ":80";
    if (meaning->host &&
        !iequals(without_end(target->authority, port), without_end(*meaning->host, port))) {
      return refuse("Host differs from the request target");
    }
    head.authority = target->authority;
  }

  head.keep_alive = keeps_alive(*meaning, head.minor_version);
  head.expects_continue = meaning->expects_continue && head.minor_version > 0 &&
                          head.body != BodyLength::none() && head.body != BodyLength::sized(0);
  head.upgrade = meaning->connection_upgrade && meaning->has_upgrade;
  return {};
}

ParseResult<void> finish_response(ResponseHead& head, bool to_head) {
  const auto meaning = read_fields(head.fields);
  if (!meaning) return fail(meaning.error());
  const auto framing = read_framing(*meaning, head.minor_version);
  if (!framing) return fail(framing.error());
  head.keep_alive = keeps_alive(*meaning, head.minor_version);
  head.body = *framing;
  const bool bodiless = head.status < 200 || head.status == 204;
  if (bodiless || head.status == 304 || to_head) {
    // A peer that announces a body where none can be may also send it: what
    // follows on this connection is not to be trusted.
    const bool announced = *framing != BodyLength::none() && *framing != BodyLength::sized(0);
    if ((bodiless && announced) || head.status == 101) head.keep_alive = false;
    head.body = BodyLength::none();
  } else if (*framing == BodyLength::none()) {
    head.body = BodyLength::until_close();
    head.keep_alive = false;
  }
  return {};
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
      auto ok = is_request ? check_request_line(line) : check_status_line(line);
      if (!ok) return fail(ok.error());
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
  head.fields.clear();
  Collected into(head.fields, limits_.fields);
  llhttp_t parser;
  const auto message = bytes.substr(start_, *size - start_);
  if (auto ok = run_llhttp(parser, HTTP_REQUEST, message, into); !ok) return fail(ok.error());
  head.method = into.method;
  head.target = into.target;
  head.minor_version = parser.http_minor;
  if (auto ok = finish_request(head); !ok) return fail(ok.error());
  return size;
}

ParseResult<size_t> HeadParser::response(std::string_view bytes, bool to_head, ResponseHead& head) {
  const auto size = scan(bytes, false);
  if (!size || *size == 0) return size;
  head.fields.clear();
  Collected into(head.fields, limits_.fields);
  llhttp_t parser;
  if (auto ok = run_llhttp(parser, HTTP_RESPONSE, bytes.substr(0, *size), into); !ok) {
    return fail(ok.error());
  }
  head.status = parser.status_code;
  head.reason = into.reason;
  head.minor_version = parser.http_minor;
  if (auto ok = finish_response(head, to_head); !ok) return fail(ok.error());
  return size;
}

}  // namespace ebb::http
