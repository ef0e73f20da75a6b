#pragma once
/// Counting this program's own instructions where callgrind runs it: what lies between two client
/// requests of valgrind (https://valgrind.org/docs/manual/cl-manual.html, "Client request
/// reference"). A request is a few instructions that do nothing anywhere else. Built without
/// valgrind's header nothing is counted.

#include <string>

namespace deformer {

/// Whether this build has the requests: valgrind/callgrind.h was there.
bool callgrind_known();

/// Whether valgrind runs this process: no time that it measures means anything. False, too, where
/// not callgrind_known().
bool under_valgrind();

/// From here on instructions are counted; what was counted before is forgotten.
void callgrind_start();
/// What was counted since the start or the last dump goes to callgrind's file, under this label.
void callgrind_dump(const char* label);
void callgrind_stop();

/// What the processor offers this process, of what kernels are chosen by: "avx2 fma". Under
/// valgrind less than /proc/cpuinfo says; "generic" where none.
std::string offered_isa();

}  // namespace deformer
