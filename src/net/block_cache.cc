#include "net/block_cache.h"

#include "base/sanitizers.h"

namespace ebb::net {
namespace {

constexpr bool kCaching = !kAddressSanitizer && !kThreadSanitizer;

// Blocks may be made and freed after it has been destroyed, at the thread's end.
thread_local bool gone = false;
thread_local BlockCache cache;

}  // namespace

void* BlockCache::allocate(size_t bytes) {
  if (!kCaching || bytes > kLargest || bytes == 0 || gone) return ::operator new(bytes);
  List& list = cache.lists_[index_of(bytes)];
  if (list.first == nullptr) return ::operator new(size_of(index_of(bytes)));
  Free* block = list.first;
  list.first = block->next;
  --list.size;
  return block;
}

void BlockCache::release(void* block, size_t bytes) noexcept {
  const bool keeps = kCaching && bytes <= kLargest && bytes > 0 && !gone;
  List* list = keeps ? &cache.lists_[index_of(bytes)] : nullptr;
  if (list == nullptr || list->size == (bytes <= kSmall ? kKept : kLargeKept)) {
    ::operator delete(block);
    return;
  }
  list->first = new (block) Free{list->first};
  ++list->size;
}

BlockCache::~BlockCache() {
  gone = true;
  for (List& list : lists_) {
    while (list.first != nullptr) {
      Free* block = list.first;
      list.first = block->next;
      ::operator delete(block);
    }
  }
}

}  // namespace ebb::net
