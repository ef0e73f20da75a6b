#include "workloads/tokens.hpp"

#include <numeric>

#include "workloads/random.hpp"

namespace deformer {

void fill_tokens(std::uint64_t seed, Segment segment, std::int64_t index, std::int64_t vocab,
                 std::span<std::int32_t> out) {
  // One stream a text: seed, segment and index are mixed through the generator itself.
  SplitMix64 mixer(seed);
  SplitMix64 stream(mixer.next() ^ (static_cast<std::uint64_t>(segment) << 60U) ^
                    (static_cast<std::uint64_t>(index) * 0x9e3779b97f4a7c15U));
  for (std::int32_t& id : out) {
    id = static_cast<std::int32_t>(stream.below(static_cast<std::uint64_t>(vocab)));
  }
}

std::vector<std::int32_t> seeded_tokens(std::uint64_t seed, Segment segment,
                                        std::int64_t first_index, std::int64_t vocab,
                                        std::span<const std::int64_t> lengths) {
  std::vector<std::int32_t> ids(
      static_cast<std::size_t>(std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0})));
  std::size_t begin = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const auto tokens = static_cast<std::size_t>(lengths[i]);
    fill_tokens(seed, segment, first_index + static_cast<std::int64_t>(i), vocab,
                std::span(ids).subspan(begin, tokens));
    begin += tokens;
  }
  return ids;
}

}  // namespace deformer
