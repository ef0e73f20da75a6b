#include "harness/interrupt.hpp"

#include <csignal>
#include <initializer_list>

namespace deformer {
namespace {

volatile std::sig_atomic_t signals_seen = 0;

extern "C" void remember_signal(int signal_number) {
  signals_seen = 1;
  std::signal(signal_number, SIG_DFL);
}

}  // namespace

void catch_interrupts() {
  for (const int signal_number : {SIGINT, SIGTERM}) {
    if (std::signal(signal_number, remember_signal) == SIG_IGN) {
      std::signal(signal_number, SIG_IGN);  // ignored by who started us: it stays so
    }
  }
}

bool interrupted() {
  return signals_seen != 0;
}

}  // namespace deformer
