// What a server and its open connections know of each other, whichever protocol they
// speak. Internal to the server.
#pragma once

#include <memory>
#include <optional>
#include <unordered_set>

#include "http/head_writer.h"
#include "http/server.h"
#include "net/listener.h"
#include "net/one_shot.h"

namespace ebb::http {

class OpenConnection {
 public:
  virtual ~OpenConnection() = default;
  // Closes it if it waits for a request of which nothing has arrived. HTTP/2: says that no
  // new ones are taken, and closes it after the last.
  virtual void close_if_idle() = 0;
  // Waits for its first request.
  [[nodiscard]] virtual bool is_new() const = 0;
  // It has left HTTP.
  [[nodiscard]] virtual bool is_tunnel() const = 0;
  // Ends it so that the client cannot take a partial answer for a whole one.
  virtual void cut() = 0;
};

struct ServerState {
  net::Executor& executor;
  Handler& handler;
  ServerOptions options;
  net::Listener listener;
  net::Address address;
  DateCache date;
  std::unordered_set<OpenConnection*> open;
  bool draining = false;
  bool cutting = false;  // the drain's time is over
  std::optional<net::OneShot<bool>::Sender> when_empty;

  void opened(OpenConnection& connection) {
    open.insert(&connection);
    if (options.connection_gauge != nullptr) ++*options.connection_gauge;
  }
  void closed(OpenConnection& connection) {
    open.erase(&connection);
    if (options.connection_gauge != nullptr) --*options.connection_gauge;
    if (open.empty() && when_empty) when_empty->set(true);
  }
};

}  // namespace ebb::http
