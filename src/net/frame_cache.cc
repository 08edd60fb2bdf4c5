#include "net/frame_cache.h"

namespace ebb::net {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kCaching = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kCaching = false;
#else
constexpr bool kCaching = true;
#endif
#else
constexpr bool kCaching = true;
#endif

constexpr size_t index_of(size_t bytes) { return (bytes - 1) / FrameCache::kClass; }
constexpr size_t size_of(size_t index) { return (index + 1) * FrameCache::kClass; }

// Frames may be made and freed after it has been destroyed, at the thread's end.
thread_local bool gone = false;
thread_local FrameCache cache;

}  // namespace

void* FrameCache::allocate(size_t bytes) {
  if (!kCaching || bytes > kLargest || gone) return ::operator new(bytes);
  List& list = cache.lists_[index_of(bytes)];
  if (list.first == nullptr) return ::operator new(size_of(index_of(bytes)));
  Free* frame = list.first;
  list.first = frame->next;
  --list.size;
  return frame;
}

void FrameCache::release(void* frame, size_t bytes) noexcept {
  if (!kCaching || bytes > kLargest || gone) {
    ::operator delete(frame);
    return;
  }
  List& list = cache.lists_[index_of(bytes)];
  if (list.size == kKept) {
    ::operator delete(frame);
    return;
  }
  list.first = new (frame) Free{list.first};
  ++list.size;
}

FrameCache::~FrameCache() {
  gone = true;
  for (List& list : lists_) {
    while (list.first != nullptr) {
      Free* frame = list.first;
      list.first = frame->next;
      ::operator delete(frame);
    }
  }
}

}  // namespace ebb::net
