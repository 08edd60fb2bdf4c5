#include "store/tar_writer.h"

#include <archive.h>
#include <archive_entry.h>

#include <utility>

namespace ebb::store {

struct TarWriter::Impl {
  struct Free {
    void operator()(archive* a) const { archive_write_free(a); }
    void operator()(archive_entry* e) const { archive_entry_free(e); }
  };

  static la_ssize_t append(archive* /*archive*/, void* out, const void* data, size_t size) {
    static_cast<std::string*>(out)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
  }
  void begin(const std::string& name, mode_t type, mode_t permissions) const {
    archive_entry_clear(entry.get());
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_filetype(entry.get(), type);
    archive_entry_set_perm(entry.get(), permissions);
    archive_entry_set_mtime(entry.get(), 0, 0);
    archive_entry_set_uid(entry.get(), 0);
    archive_entry_set_gid(entry.get(), 0);
  }
  Result<void> header() { return check(archive_write_header(tar.get(), entry.get())); }
  Result<void> check(int status) const {
    if (status >= ARCHIVE_WARN) return {};
    const char* why = archive_error_string(tar.get());
    return fail(Errc::kInternal, "cannot write the archive: {}", why == nullptr ? "?" : why);
  }

  std::string out;
  std::unique_ptr<archive, Free> tar{archive_write_new()};
  std::unique_ptr<archive_entry, Free> entry{archive_entry_new()};
};

TarWriter::TarWriter(Names names) : impl_(std::make_unique<Impl>()) {
  archive* tar = impl_->tar.get();
  // Restricted pax is plain ustar wherever a name fits, so old tools read it.
  archive_write_set_format_pax_restricted(tar);
  if (names == Names::kBytes) archive_write_set_options(tar, "hdrcharset=BINARY");
  archive_write_set_bytes_per_block(tar, 0);
  archive_write_open2(tar, &impl_->out, nullptr, &Impl::append, nullptr, nullptr);
}

TarWriter::~TarWriter() = default;

Result<void> TarWriter::add_folder(const std::string& name) {
  impl_->begin(name, AE_IFDIR, 0755);
  return impl_->header();
}

Result<void> TarWriter::add_link(const std::string& name, const std::string& target) {
  impl_->begin(name, AE_IFLNK, 0777);
  archive_entry_set_symlink(impl_->entry.get(), target.c_str());
  return impl_->header();
}

Result<void> TarWriter::add_file(const std::string& name, uint64_t size, bool executable) {
  impl_->begin(name, AE_IFREG, executable ? 0755 : 0644);
  archive_entry_set_size(impl_->entry.get(), static_cast<int64_t>(size));
  return impl_->header();
}

Result<void> TarWriter::data(std::string_view piece) {
  const auto written = archive_write_data(impl_->tar.get(), piece.data(), piece.size());
  if (written != static_cast<ssize_t>(piece.size())) return impl_->check(ARCHIVE_FATAL);
  return {};
}

Result<void> TarWriter::close() { return impl_->check(archive_write_close(impl_->tar.get())); }

std::string TarWriter::take() { return std::exchange(impl_->out, {}); }

}  // namespace ebb::store
