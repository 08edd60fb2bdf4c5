// SHA-256, which names code packages by their content.
//
//   Sha256 hash;
//   while (auto piece = next()) hash.update(*piece);
//   std::string name = hash.hex();
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace ebb {

// Not thread-safe. Neither copied nor moved.
class Sha256 final {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::string_view data);
  // 64 hexadecimal digits. Ends the digest: afterwards it stands for "" again.
  [[nodiscard]] std::string hex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

// The digest of one string, as 64 hexadecimal digits.
[[nodiscard]] std::string sha256_hex(std::string_view data);

}  // namespace ebb
