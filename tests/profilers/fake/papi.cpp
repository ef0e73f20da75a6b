// In place of PAPI, by LD_PRELOAD: one counter of instructions that grows by $FAKE_PAPI at each
// read, on machines that have none. "broken": it can be started and not be read. Signatures as in
// papi.h.

#include <papi.h>

#include <cstdlib>
#include <cstring>

namespace {

constexpr int kInstructions = 7;
thread_local long long counted = 0;

const char* wanted() {
  const char* what = std::getenv("FAKE_PAPI");
  return what == nullptr ? "0" : what;
}

}  // namespace

extern "C" {
int PAPI_library_init(int version) {
  return version;
}
int PAPI_thread_init(unsigned long (*)()) {
  return PAPI_OK;
}
char* PAPI_strerror(int) {
  static char text[] = "it broke";
  return text;
}
int PAPI_event_name_to_code(const char* name, int* code) {
  *code = kInstructions;
  return std::strcmp(name, "PAPI_TOT_INS") == 0 ? PAPI_OK : PAPI_ENOEVNT;
}
int PAPI_create_eventset(int* set) {
  *set = 1;
  return PAPI_OK;
}
int PAPI_add_event(int set, int code) {
  return set == 1 && code == kInstructions ? PAPI_OK : PAPI_EINVAL;
}
int PAPI_start(int) {
  return PAPI_OK;
}
int PAPI_read(int, long long* values) {
  counted += std::atoll(wanted());
  *values = counted;
  return std::strcmp(wanted(), "broken") == 0 ? PAPI_ESYS : PAPI_OK;
}
int PAPI_stop(int, long long* values) {
  *values = counted;
  return PAPI_OK;
}
int PAPI_cleanup_eventset(int) {
  return PAPI_OK;
}
int PAPI_destroy_eventset(int* set) {
  *set = PAPI_NULL;
  return PAPI_OK;
}
}
