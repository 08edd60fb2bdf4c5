// Blocks of memory that were freed, kept for the next of their size: a request makes the
// same few coroutine frames, strings and buffers as the one before it.
//
// One cache per thread, bounded; a block may be freed on another thread than it was
// made on. Sanitized builds go to the heap each time, so that misuse is found.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <string>
#include <utility>

namespace ebb::net {

class BlockCache final {
 public:
  static constexpr size_t kLargest = 16 * 1024;  // larger blocks are not kept

  [[nodiscard]] static void* allocate(size_t bytes);
  static void release(void* block, size_t bytes) noexcept;

  BlockCache() = default;
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;
  ~BlockCache();

 private:
  struct Free {
    Free* next;
  };
  struct List {
    Free* first = nullptr;
    int size = 0;
  };
  static constexpr size_t kClass = 64;        // bytes between the sizes of small ones
  static constexpr size_t kSmall = 4 * 1024;  // larger ones are all of kLargest
  static constexpr int kKept = 128;           // of each size
  static constexpr int kLargeKept = 32;

  static size_t index_of(size_t bytes) {
    return bytes <= kSmall ? (bytes - 1) / kClass : kSmall / kClass;
  }
  static size_t size_of(size_t index) {
    return index < kSmall / kClass ? (index + 1) * kClass : kLargest;
  }

  std::array<List, kSmall / kClass + 1> lists_{};
};

// A standard allocator for what lives as long as a request.
template <class T>
struct Recycled {
  using value_type = T;
  Recycled() = default;
  template <class U>
  Recycled(const Recycled<U>& /*other*/) {}  // NOLINT(google-explicit-constructor)
  [[nodiscard]] T* allocate(size_t count) {
    return static_cast<T*>(BlockCache::allocate(count * sizeof(T)));
  }
  void deallocate(T* block, size_t count) noexcept {
    BlockCache::release(block, count * sizeof(T));
  }
  friend bool operator==(const Recycled&, const Recycled&) { return true; }
};

using RecycledString = std::basic_string<char, std::char_traits<char>, Recycled<char>>;

// Bytes, not initialised.
class Block final {
 public:
  Block() = default;
  explicit Block(size_t size)
      : data_(static_cast<char*>(BlockCache::allocate(size))), size_(size) {}
  Block(Block&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Block& operator=(Block&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Block() { reset(); }

  void reset() {
    if (data_ != nullptr) BlockCache::release(data_, size_);
    data_ = nullptr;
    size_ = 0;
  }
  [[nodiscard]] char* data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace ebb::net
