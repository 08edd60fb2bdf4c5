#include "cli/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string_view>

namespace ebb::cli {

namespace {

constexpr std::string_view kEnter = "\033[?1049h\033[?25l";  // other screen, no cursor
constexpr std::string_view kLeave = "\033[?25h\033[?1049l";
constexpr std::string_view kHome = "\033[H";
constexpr std::string_view kRestOfLine = "\033[K";
constexpr std::string_view kRest = "\033[J";

volatile std::sig_atomic_t ended = 0;

void on_signal(int /*number*/) { ended = 1; }

void put(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

void handle(void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;  // without SA_RESTART: poll returns
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);
}

}  // namespace

Terminal::Terminal() {
  ended = 0;
  handle(on_signal);
  if (::tcgetattr(STDIN_FILENO, &before_) == 0) {
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  put(kEnter);
}

Terminal::~Terminal() {
  put(kLeave);
  if (changed_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  handle(SIG_DFL);
}

Terminal::Size Terminal::size() const {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return {};
  return {size.ws_row, size.ws_col};
}

void Terminal::draw(const std::string& text) {
  // In place and in one write, so that nothing flickers.
  std::string out(kHome);
  for (const char c : text) {
    if (c == '\n') out += kRestOfLine;
    out += c;
  }
  out += kRest;
  put(out);
}

std::optional<char> Terminal::key(Duration wait) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  const int ready = ::poll(&input, 1, static_cast<int>(wait / std::chrono::milliseconds(1)));
  if (ended != 0) return 'q';
  if (ready <= 0) return std::nullopt;
  char c = 0;
  return ::read(STDIN_FILENO, &c, 1) == 1 ? c : 'q';
}

}  // namespace ebb::cli
