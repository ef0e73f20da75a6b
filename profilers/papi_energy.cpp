#include "profilers/papi_energy.hpp"

#include <papi.h>

#include <array>
#include <cctype>
#include <numeric>
#include <vector>

#include <fmt/format.h>

#include "profilers/counters.hpp"

namespace deformer {
namespace {

constexpr std::string_view kComponent = "rapl";

/// Codes of the component's events that are wanted.
std::vector<int> package_events(int component) {
  std::vector<int> codes;
  int code = PAPI_NATIVE_MASK;
  for (int status = PAPI_enum_cmp_event(&code, PAPI_ENUM_FIRST, component); status == PAPI_OK;
       status = PAPI_enum_cmp_event(&code, PAPI_ENUM_EVENTS, component)) {
    std::array<char, PAPI_MAX_STR_LEN> name{};
    if (PAPI_event_code_to_name(code, name.data()) == PAPI_OK && is_package_energy(name.data())) {
      codes.push_back(code);
    }
  }
  return codes;
}

}  // namespace

bool is_package_energy(std::string_view event) {
  constexpr std::string_view kEvent = "PACKAGE_ENERGY:PACKAGE";
  const std::size_t at = event.find(kEvent);
  // "PACKAGE_ENERGY_CNT:..." is the raw count; "PP0_ENERGY:PACKAGE0" that of the cores.
  return at != std::string_view::npos && (at == 0 || event[at - 1] == ':') &&
         at + kEvent.size() < event.size() &&
         std::isdigit(static_cast<unsigned char>(event[at + kEvent.size()])) != 0;
}

struct PapiEnergy::Events {
  int set = PAPI_NULL;
  std::vector<long long> nanojoules;

  ~Events() {
    // Nothing is left to be done about a set that can't be stopped or was never started.
    static_cast<void>(PAPI_stop(set, nullptr));
    static_cast<void>(PAPI_cleanup_eventset(set));
    static_cast<void>(PAPI_destroy_eventset(&set));
  }
};

PapiEnergy::PapiEnergy() : missing_(start()) {
  if (!missing_.empty()) {
    events_.reset();
  }
}

PapiEnergy::~PapiEnergy() = default;

std::string PapiEnergy::start() {
  if (!papi_missing().empty()) {
    return papi_missing();
  }
  const int component = PAPI_get_component_index(kComponent.data());
  const PAPI_component_info_t* info = component < 0 ? nullptr : PAPI_get_component_info(component);
  if (info == nullptr) {
    return fmt::format("PAPI here was built without its {} component", kComponent);
  }
  const std::vector<int> codes = package_events(component);
  if (codes.empty()) {
    return fmt::format("PAPI's {} component has no package: {}", kComponent,
                       info->disabled != PAPI_OK ? info->disabled_reason : "it lists none");
  }
  events_ = std::make_unique<Events>();
  int status = PAPI_create_eventset(&events_->set);
  for (std::size_t i = 0; status == PAPI_OK && i < codes.size(); ++i) {
    status = PAPI_add_event(events_->set, codes[i]);
  }
  status = status == PAPI_OK ? PAPI_start(events_->set) : status;
  events_->nanojoules.resize(codes.size());
  return status == PAPI_OK
             ? ""
             : fmt::format("PAPI's {} component: {}", kComponent, PAPI_strerror(status));
}

std::optional<double> PapiEnergy::joules() {
  if (!events_ || PAPI_read(events_->set, events_->nanojoules.data()) != PAPI_OK) {
    return std::nullopt;
  }
  const auto sum = std::accumulate(events_->nanojoules.begin(), events_->nanojoules.end(), 0LL);
  return static_cast<double>(sum) * 1e-9;
}

}  // namespace deformer
