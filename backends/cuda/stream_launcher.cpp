#include "backends/cuda/stream_launcher.hpp"

#include <optional>
#include <stdexcept>

#include "backends/cuda/capture.hpp"

namespace deformer::cuda {

StreamLauncher::StreamLauncher(Engines& engines, const BranchPlaces& places,
                               std::span<const Event> marks, bool early)
    : engines_(engines),
      places_(places),
      marks_(marks),
      early_(early),
      forked_(make_order()),
      met_(make_order()) {}

void StreamLauncher::launch(const ProductArgs& args, Branch branch) {
  engines_.products.run(args, place(branch).workspace, next_kernel(branch));
}

void StreamLauncher::launch(const AttentionArgs& args, Branch branch) {
  engines_.attention.run(args, place(branch).workspace, next_kernel(branch));
}

void StreamLauncher::launch(const CopyArgs& args, Branch branch) {
  if (args.bytes > 0) {
    check(cudaMemcpyAsync(args.to, args.from, static_cast<std::size_t>(args.bytes),
                          args.upload ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost,
                          place(branch).stream),
          args.upload ? "uploading inputs" : "downloading results");
    order_.other(branch);
  }
}

void StreamLauncher::launch(const Fork&, Branch) {
  check(cudaEventRecord(forked_.get(), place(Branch::main).stream), "forking");
  check(cudaStreamWaitEvent(place(Branch::side).stream, forked_.get(), 0), "forking");
  order_.part();
}

void StreamLauncher::launch(const Meet&, Branch) {
  check(cudaEventRecord(met_.get(), place(Branch::side).stream), "joining");
  check(cudaStreamWaitEvent(place(Branch::main).stream, met_.get(), 0), "joining");
  order_.meet();
}

void StreamLauncher::launch(const Mark& mark, Branch branch) {
  // External: the graph records it at every launch, and the host can read its time afterwards.
  check(cudaEventRecordWithFlags(marks_[static_cast<std::size_t>(mark.number)].get(),
                                 place(branch).stream, cudaEventRecordExternal),
        "marking a time");
  order_.other(branch);
}

namespace {

/// Makes the choices there are, and brings all code to the device.
class Preparer final : public Launcher {
 public:
  Preparer(Engines& engines, const BranchPlaces& places) : engines_(engines), places_(places) {}

  void launch(const ProductArgs& args, Branch) override {
    engines_.products.prepare(args, places_[0].workspace, places_[0].stream);
  }
  void launch(const AttentionArgs& args, Branch) override {
    engines_.attention.prepare(args, places_[0].workspace, kLtWorkspaceBytes, places_[0].stream);
  }
  void launch(const EmbedArgs& args, Branch) override { load(args); }
  void launch(const NormArgs& args, Branch) override { load(args); }
  void launch(const GeluArgs& args, Branch) override { load(args); }
  void launch(const QuantiseArgs& args, Branch) override { load(args); }
  void launch(const DecodeArgs& args, Branch) override { load(args); }
  void launch(const JoinArgs& args, Branch) override { load(args); }
  void launch(const WidenArgs& args, Branch) override { load(args); }
  void launch(const DenseArgs& args, Branch) override { load(args); }
  void launch(const CopyArgs&, Branch) override {}
  void launch(const Fork&, Branch) override {}
  void launch(const Meet&, Branch) override {}
  void launch(const Mark&, Branch) override {}

 private:
  template <class Args>
  void load(const Args& args) {
    launch_kernel(args, {.stream = places_[0].stream, .load_only = true});
  }

  Engines& engines_;
  const BranchPlaces& places_;
};

GraphExec capture_once(std::span<const Step> steps, Engines& engines, const BranchPlaces& places,
                       std::span<const Event> marks, bool early) {
  StreamLauncher launcher(engines, places, marks, early);
  return captured(places[0].stream, [&] { issue(steps, launcher); });
}

}  // namespace

void prepare_steps(std::span<const Step> steps, Engines& engines, const BranchPlaces& places) {
  Preparer preparer(engines, places);
  issue(steps, preparer);
  check(cudaStreamSynchronize(places[0].stream), "choosing algorithms");
  engines.memory.save();
}

GraphExec capture(std::span<const Step> steps, Engines& engines, const BranchPlaces& places,
                  std::span<const Event> marks) {
  if (engines.device.launches_early()) {
    try {
      return capture_once(steps, engines, places, marks, true);
    } catch (const DeviceFault&) {
      throw;
    } catch (const std::runtime_error&) {
      // Some drivers can't put early launches into a graph: without them it is only slower.
      forget(cudaGetLastError());
    }
  }
  return capture_once(steps, engines, places, marks, false);
}

}  // namespace deformer::cuda
