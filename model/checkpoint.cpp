#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "model/error.hpp"
#include "model/hf_names.hpp"
#include "model/json_input.hpp"
#include "model/safetensors.hpp"
#include "model/sha256.hpp"
#include "model/weights.hpp"

namespace deformer {
namespace {

constexpr std::array<std::string_view, 4> kPrefixes = {"", "bert.", "transformer.", "model."};
constexpr std::size_t kNamesShown = 5;

/// The older spelling, LayerNorm.gamma / .beta, of a LayerNorm's tensor.
std::optional<std::string> old_spelling(std::string_view name) {
  const auto replaced = [&](std::string_view ending, std::string_view by) {
    return fmt::format("{}{}", name.substr(0, name.size() - ending.size()), by);
  };
  if (name.ends_with("LayerNorm.weight")) return replaced("weight", "gamma");
  if (name.ends_with("LayerNorm.bias")) return replaced("bias", "beta");
  return std::nullopt;
}

/// "a, b, c and 12 more"
std::string first_names(const std::vector<std::string>& names) {
  const std::size_t shown = std::min(names.size(), kNamesShown);
  const auto head = std::span(names).first(shown);
  return names.size() == shown
             ? fmt::format("{}", fmt::join(head, ", "))
             : fmt::format("{} and {} more", fmt::join(head, ", "), names.size() - shown);
}

/// The prefix the encoder's tensors carry; "" when no word embedding is found, so that the message
/// about missing tensors names the plain ones.
std::string_view find_prefix(const SafetensorsFile& file, Family family) {
  const std::string_view words = hf_word_embedding(family);
  std::vector<std::string_view> found;
  for (const std::string_view prefix : kPrefixes) {
    if (file.find(fmt::format("{}{}", prefix, words)) != nullptr) found.push_back(prefix);
  }
  if (found.size() > 1) {
    throw BadInput(fmt::format("{}: holds two encoders: {}{} and {}{}; expected one",
                               file.path().string(), found[0], words, found[1], words));
  }
  return found.empty() ? "" : found[0];
}

/// What head the file holds. A pooler without a classifier, as bare encoders have, is no head; nor
/// is a classifier without a pooler (token classification).
void detect_head(const SafetensorsFile& file, std::string_view prefix, ModelConfig& config) {
  if (file.find("qa_outputs.weight") != nullptr) {
    config.head = HeadKind::span;
    config.classes = 2;
    return;
  }
  const HfClassifier names = hf_classifier(config.family, prefix);
  const StoredTensor* classifier = file.find(names.classifier);
  if (classifier == nullptr || file.find(names.pooler) == nullptr) {
    config.head = HeadKind::none;
    return;
  }
  config.head = HeadKind::classes;
  // A classifier of another rank keeps the default, and fails the check of its shape.
  if (classifier->shape.size() == 2) config.classes = classifier->shape[0];
}

/// The folder's own name: without a trailing slash, and real for "." and "..". Links are not
/// followed, because the link's name is the one the user chose.
std::string folder_name(const std::filesystem::path& folder) {
  std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.has_filename() ? path.filename().string() : "model";
}

void require_finite(std::string_view where, std::size_t first, std::span<const float> values) {
  const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  if (bad == values.end()) return;
  throw BadInput(fmt::format("{}: expected finite values, found {} at element {}", where, *bad,
                             first + static_cast<std::size_t>(bad - values.begin())));
}

/// Says what to do about the common other ways of storing weights.
void require_one_safetensors_file(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (std::filesystem::exists(folder / "model.safetensors", ignored)) return;
  for (const char* other : {"model.safetensors.index.json", "pytorch_model.bin"}) {
    if (std::filesystem::exists(folder / other, ignored)) {
      throw BadInput(
          fmt::format("{}: expected one file model.safetensors, found {}; load the model "
                      "and save it again as a single safetensors file",
                      folder.string(), other));
    }
  }
}

class Checkpoint final : public WeightSource {
 public:
  Checkpoint(ModelConfig config, SafetensorsFile file, std::string_view prefix)
      : WeightSource(std::move(config), ""), file_(std::move(file)) {
    if (!prefix.empty()) {
      notes_.push_back(fmt::format("tensor names carry the prefix \"{}\"", prefix));
    }
    bind(prefix);
    hash_ = sha256_hex(file_.bytes());  // last: it reads the whole file
    config_.name = fmt::format("{}@{}", config_.name, hash_.substr(0, 8));
  }

 private:
  using Key = std::pair<Role, std::int64_t>;
  struct Bound {
    const StoredTensor* stored;
    bool transposed;
  };

  /// Finds every needed tensor and checks its dtype and shape; notes what is left over.
  void bind(std::string_view prefix) {
    std::vector<std::string> missing;
    std::set<const StoredTensor*> used;
    for (const TensorId id : needed_tensors(config_)) {
      const HfTensor wanted = hf_tensor(config_, prefix, id);
      const StoredTensor* stored = file_.find(wanted.name);
      if (const auto old = old_spelling(wanted.name); stored == nullptr && old) {
        stored = file_.find(*old);
      }
      if (stored == nullptr) {
        missing.push_back(wanted.name);
        continue;
      }
      require_fit(wanted, *stored);
      tensors_.emplace(Key{id.role, id.layer}, Bound{stored, wanted.transposed});
      used.insert(stored);
    }
    if (!missing.empty()) {
      throw BadInput(fmt::format("{}: missing {} of the tensors that config.json asks for: {}",
                                 file_.path().string(), missing.size(), first_names(missing)));
    }
    note_unneeded(used);
  }

  void require_fit(const HfTensor& wanted, const StoredTensor& stored) const {
    if (stored.dtype != "F32" && stored.dtype != "F16" && stored.dtype != "BF16") {
      throw BadInput(fmt::format("{}: expected dtype F32, F16 or BF16, found {}", where(stored),
                                 stored.dtype));
    }
    if (stored.shape != wanted.shape) {
      throw BadInput(fmt::format("{}: expected shape {} from config.json, found {}", where(stored),
                                 shape_text(wanted.shape), shape_text(stored.shape)));
    }
  }

  void note_unneeded(const std::set<const StoredTensor*>& used) {
    std::vector<std::string> unneeded;
    for (const StoredTensor& tensor : file_.tensors()) {
      if (!used.contains(&tensor)) unneeded.push_back(in_quotes(tensor.name));
    }
    if (unneeded.empty()) return;
    notes_.push_back(fmt::format("{} {} not needed: {}", unneeded.size(),
                                 unneeded.size() == 1 ? "tensor is" : "tensors are",
                                 first_names(unneeded)));
  }

  std::string where(const StoredTensor& stored) const {
    return fmt::format("{}: tensor {}", file_.path().string(), in_quotes(stored.name));
  }

  void do_read(TensorId id, std::int64_t first_element, std::span<float> out) const override {
    const Bound& bound = tensors_.at({id.role, id.layer});
    if (!bound.transposed) {
      read_part(*bound.stored, first_element, out);
      return;
    }
    // Only whole matrices are transposed, and matrices are read whole.
    std::vector<float> turned(out.size());
    read_part(*bound.stored, 0, turned);
    const auto shape = tensor_shape(config_, id);
    const auto rows = static_cast<std::size_t>(shape[0]);
    const auto columns = static_cast<std::size_t>(shape[1]);
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t column = 0; column < columns; ++column) {
        out[row * columns + column] = turned[column * rows + row];
      }
    }
  }

  void read_part(const StoredTensor& stored, std::int64_t first_element,
                 std::span<float> out) const {
    const std::size_t width = stored.dtype == "F32" ? 4 : 2;
    const auto first = static_cast<std::size_t>(first_element);
    StoredTensor part{stored.name,
                      stored.dtype,
                      {static_cast<std::int64_t>(out.size())},
                      stored.bytes.subspan(first * width, out.size() * width)};
    widen(part, out);
    require_finite(where(stored), first, out);
  }

  SafetensorsFile file_;
  std::map<Key, Bound> tensors_;
};

}  // namespace

std::unique_ptr<WeightSource> open_checkpoint(const std::filesystem::path& config_dir,
                                              const std::filesystem::path& weights_dir) {
  const auto config_path = config_dir / "config.json";
  ModelConfig config = read_hf_config(config_path);
  const auto weights_path = weights_dir / "model.safetensors";
  require_one_safetensors_file(weights_dir);
  SafetensorsFile file = SafetensorsFile::open(weights_path);
  const std::string_view prefix = find_prefix(file, config.family);
  detect_head(file, prefix, config);
  validate(config, weights_path.string());
  config.name = folder_name(weights_dir);
  return std::make_unique<Checkpoint>(std::move(config), std::move(file), prefix);
}

}  // namespace deformer
