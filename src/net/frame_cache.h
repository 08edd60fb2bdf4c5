// Coroutine frames that were freed, kept for the next of their size.
//
// One cache per thread, bounded; a frame may be freed on another thread than it was
// made on. Sanitized builds go to the heap each time, so that misuse is found.
#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace ebb::net {

class FrameCache final {
 public:
  static constexpr size_t kClass = 64;          // bytes between two sizes
  static constexpr size_t kLargest = 4 * 1024;  // larger frames are not kept
  static constexpr int kKept = 128;             // of each size

  [[nodiscard]] static void* allocate(size_t bytes);
  static void release(void* frame, size_t bytes) noexcept;

  FrameCache() = default;
  FrameCache(const FrameCache&) = delete;
  FrameCache& operator=(const FrameCache&) = delete;
  ~FrameCache();

 private:
  struct Free {
    Free* next;
  };
  struct List {
    Free* first = nullptr;
    int size = 0;
  };
  std::array<List, kLargest / kClass> lists_{};
};

}  // namespace ebb::net
