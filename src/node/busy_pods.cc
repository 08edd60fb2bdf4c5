#include "node/busy_pods.h"

#include <fcntl.h>

#include <array>
#include <charconv>

#include "base/log.h"
#include "base/quote.h"
#include "node/packet.h"

namespace ebb::node {
namespace {

constexpr size_t kMaxText = 16 << 20;  // bytes: some 500,000 pods

}  // namespace

std::string to_text(const BusyPods& busy) {
  std::string out;
  for (const auto& [pod, requests] : busy) out += pod + ' ' + std::to_string(requests) + '\n';
  return out;
}

Result<BusyPods> parse_busy_pods(std::string_view text) {
  BusyPods out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t space = std::min(line.find(' '), line.size());
    int requests = 0;
    const char* last = line.data() + line.size();
    const char* number = std::min(line.data() + space + 1, last);
    const auto read = std::from_chars(number, last, requests);
    if (space == 0 || read.ec != std::errc() || read.ptr != last || requests <= 0) {
      return fail(Errc::kInvalid, "{} is not a pod and its requests", in_quotes(line));
    }
    out.insert_or_assign(std::string(line.substr(0, space)), requests);
  }
  return out;
}

Result<void> send_busy_pods(int socket, const BusyPods& busy) {
  auto file = make_text_file(to_text(busy));
  if (!file) return fail(file.error());
  const int fds[] = {file->get()};
  return send_packet(socket, "busy", fds);
}

PredecessorPods::PredecessorPods(net::Executor& executor, UniqueFd socket,
                                 std::function<void()> changed)
    : executor_(executor), socket_(std::move(socket)), changed_(std::move(changed)) {
  ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
  watch_ = std::make_unique<net::FdWatch>(executor, socket_.get(), [this] {
    bool news = false;
    while (watch_ && read()) news = true;
    if (news) changed_();
  });
  while (watch_ && read()) {
  }
}

bool PredecessorPods::read() {
  std::array<char, 64> buffer;
  std::vector<UniqueFd> files;
  const auto packet = receive_packet(socket_.get(), buffer, &files);
  if (packet && !*packet) return false;
  if (!packet || (*packet)->empty()) {
    busy_.clear();
    // It may be what has called us.
    executor_.post([ended = std::shared_ptr<net::FdWatch>(std::move(watch_))] {});
    return true;
  }
  const auto text = files.empty() ? fail(Errc::kInvalid, "no text")
                                  : read_text_file(files.front().get(), kMaxText);
  auto busy = text ? parse_busy_pods(*text) : fail(text.error());
  if (busy) {
    busy_ = std::move(*busy);
  } else {
    log::error("front", "what the front before has in flight: {}", busy.error().message);
  }
  return true;
}

}  // namespace ebb::node
