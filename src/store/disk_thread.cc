#include "store/disk_thread.h"

namespace ebb::store {

DiskThread::DiskThread() {
  thread_ = std::thread([this] {
    for (auto batch = queue_.take_all(); !batch.empty(); batch = queue_.take_all()) {
      for (auto& job : batch) job->run();
    }
  });
}

DiskThread::~DiskThread() {
  queue_.stop();
  thread_.join();
}

}  // namespace ebb::store
