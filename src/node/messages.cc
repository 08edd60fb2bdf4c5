#include "node/messages.h"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace ebb::node {
namespace {

constexpr size_t kHeaderBytes = 12;
constexpr uint16_t kFromControllerBase = 0x100;  // tells the two directions apart

class Writer {
 public:
  template <class... T>
  void operator()(T&... fields) {
    (put(fields), ...);
  }
  template <class T>
    requires std::is_integral_v<T>
  void put(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) {
      out.push_back(static_cast<char>((static_cast<uint64_t>(value) >> (8 * i)) & 0xff));
    }
  }
  void put(const std::string& text) {
    // Longer ones are cut: only messages for people can be that long.
    const size_t n = std::min(text.size(), kMaxString);
    put(static_cast<uint32_t>(n));
    out.append(text, 0, n);
  }
  void put(const std::map<std::string, std::string>& map) {
    put(static_cast<uint32_t>(map.size()));
    for (const auto& [key, value] : map) {
      put(key);
      put(value);
    }
  }
  void put(std::vector<std::string>& list) {
    put(static_cast<uint32_t>(list.size()));
    for (auto& item : list) put(item);
  }
  template <class T>
  void put(std::vector<T>& list) {
    put(static_cast<uint32_t>(list.size()));
    for (auto& item : list) item.fields(*this);
  }
  std::string out;
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  template <class... T>
  void operator()(T&... fields) {
    (get(fields), ...);
  }
  template <class T>
    requires std::is_integral_v<T>
  void get(T& value) {
    const std::string_view bytes = take(sizeof(T));
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes.size(); ++i) {
      sum |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    }
    value = static_cast<T>(sum);
  }
  void get(std::string& text) {
    uint32_t n = 0;
    get(n);
    if (n > kMaxString) ok_ = false;
    text = take(n);
  }
  void get(std::map<std::string, std::string>& map) {
    const uint32_t n = count();
    for (uint32_t i = 0; ok_ && i < n; ++i) {
      std::string key;
      std::string value;
      get(key);
      get(value);
      ok_ = ok_ && map.emplace(std::move(key), std::move(value)).second;
    }
  }
  void get(std::vector<std::string>& list) {
    const uint32_t n = count();
    for (uint32_t i = 0; ok_ && i < n; ++i) get(list.emplace_back());
  }
  template <class T>
  void get(std::vector<T>& list) {
    const uint32_t n = count();
    for (uint32_t i = 0; ok_ && i < n; ++i) list.emplace_back().fields(*this);
  }
  [[nodiscard]] bool ended_well() const { return ok_ && in_.empty(); }

 private:
  uint32_t count() {
    uint32_t n = 0;
    get(n);
    if (n > kMaxList) ok_ = false;
    return n;
  }
  std::string_view take(size_t n) {
    if (!ok_ || n > in_.size()) {
      ok_ = false;
      return {};
    }
    const auto piece = in_.substr(0, n);
    in_.remove_prefix(n);
    return piece;
  }
  std::string_view in_;
  bool ok_ = true;
};

template <class Variant>
std::string encode_any(const Variant& message, uint16_t base) {
  Writer payload;
  Variant copy = message;  // `fields` serves reading too, so it wants a mutable one
  std::visit([&](auto& m) { m.fields(payload); }, copy);
  Writer header;
  header.put(kMagic);
  header.put(kProtocolVersion);
  header.put(static_cast<uint16_t>(base + message.index()));
  header.put(uint16_t{0});
  header.put(static_cast<uint32_t>(payload.out.size()));
  return header.out + payload.out;
}

template <class Variant, size_t... I>
bool read_as(size_t type, Reader& reader, Variant& out, std::index_sequence<I...> /*types*/) {
  const auto try_one = [&]<size_t N>() {
    if (type != N) return false;
    out.template emplace<N>().fields(reader);
    return true;
  };
  return (try_one.template operator()<I>() || ...);
}

template <class Variant>
Result<Variant> decode_any(std::string_view packet, uint16_t base) {
  if (packet.size() < kHeaderBytes || packet.size() > kMaxMessage) {
    return fail(Errc::kInvalid, "a control message of {} bytes", packet.size());
  }
  Reader header(packet.substr(0, kHeaderBytes));
  uint16_t magic = 0;
  uint16_t version = 0;
  uint16_t type = 0;
  uint16_t zero = 0;
  uint32_t length = 0;
  header(magic, version, type, zero, length);
  if (magic != kMagic || zero != 0) return fail(Errc::kInvalid, "not a control message");
  if (version != kProtocolVersion) {
    return fail(Errc::kInvalid, "a control message of version {}, this program speaks {}", version,
                kProtocolVersion);
  }
  if (length != packet.size() - kHeaderBytes) {
    return fail(Errc::kInvalid, "a control message with a wrong length");
  }
  Variant out;
  Reader payload(packet.substr(kHeaderBytes));
  const bool known =
      type >= base && read_as(static_cast<size_t>(type - base), payload, out,
                              std::make_index_sequence<std::variant_size_v<Variant>>());
  if (!known || !payload.ended_well()) {
    return fail(Errc::kInvalid, "a malformed control message of type {}", type);
  }
  return out;
}

}  // namespace

std::string encode(const ToController& message) { return encode_any(message, 0); }
std::string encode(const FromController& message) {
  return encode_any(message, kFromControllerBase);
}
Result<ToController> decode_to_controller(std::string_view packet) {
  return decode_any<ToController>(packet, 0);
}
Result<FromController> decode_from_controller(std::string_view packet) {
  return decode_any<FromController>(packet, kFromControllerBase);
}

std::string whole_message(const PodGone& gone) {
  return gone.output.empty() ? gone.message : gone.message + "\nits last output:\n" + gone.output;
}

bool is_safe_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

bool is_code_hash(std::string_view hash) {
  return hash.size() == 64 && std::all_of(hash.begin(), hash.end(), [](char c) {
           return (c >= 'a' && c <= 'f') || (c >= '0' && c <= '9');
         });
}

}  // namespace ebb::node
