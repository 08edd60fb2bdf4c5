// What this program was built with.
#pragma once

namespace ebb {

#if defined(__has_feature)
#define EBB_HAS_FEATURE(x) __has_feature(x)
#else
#define EBB_HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || EBB_HAS_FEATURE(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

#if defined(__SANITIZE_THREAD__) || EBB_HAS_FEATURE(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

#undef EBB_HAS_FEATURE

}  // namespace ebb
