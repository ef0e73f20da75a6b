#include "harness/interrupt.hpp"

#include <csignal>

namespace deformer {
namespace {

volatile std::sig_atomic_t signals_seen = 0;

extern "C" void remember_signal(int signal_number) {
  signals_seen = 1;
  std::signal(signal_number, SIG_DFL);
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, remember_signal);
  std::signal(SIGTERM, remember_signal);
}

bool interrupted() {
  return signals_seen != 0;
}

}  // namespace deformer
