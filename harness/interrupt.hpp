#pragma once
/// Ctrl-C and SIGTERM as a flag: the measurement looks at it between rounds and ends cleanly.

namespace deformer {

/// Routes SIGINT and SIGTERM to the flag. A second signal ends the process at once.
void catch_interrupts();
bool interrupted();

}  // namespace deformer
