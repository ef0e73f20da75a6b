/// Row kernels one by one, at every width and element they are compiled for.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "backends/cuda/host/encode.hpp"
#include "backends/reference/elementwise.hpp"
#include "tests/cuda_host/host_launcher.hpp"
#include "tests/cuda_host/noise.hpp"

namespace deformer::cuda {
namespace {

constexpr Element kElements[] = {Element::f32, Element::bf16, Element::f16};
/// Each size of rows in registers, rows that end within a warp's reach, rows of no whole 16 bytes.
constexpr std::int64_t kWidths[] = {36, 128, 264, 384, 512, 636, 768, 1024, 1536, 2044, 2048};

double step_of(Element element) {
  return element == Element::f32 ? 1e-6 : element == Element::bf16 ? 0x1p-8 : 0x1p-11;
}

std::vector<float> stored(Element element, const std::vector<float>& values) {
  const auto bytes = encode(element, values);
  return decode(element, bytes.data(), static_cast<std::int64_t>(values.size()));
}

/// LayerNorm in double of rows of d.
std::vector<double> normalised(const std::vector<float>& rows, const std::vector<float>& parameters,
                               std::size_t d) {
  const std::vector<double> weight(parameters.begin(),
                                   parameters.begin() + static_cast<std::ptrdiff_t>(d));
  const std::vector<double> bias(parameters.begin() + static_cast<std::ptrdiff_t>(d),
                                 parameters.end());
  std::vector<double> wide(rows.begin(), rows.end());
  for (std::size_t first = 0; first < wide.size(); first += d) {
    reference::layer_norm(std::span(wide).subspan(first, d), weight, bias, 1e-12);
  }
  return wide;
}

void expect_near(const std::vector<float>& found, const std::vector<double>& expected, double step,
                 std::int64_t d) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(found[i]), expected[i], 2e-5 + step * std::abs(expected[i]))
        << "d " << d << " at " << i;
  }
}

TEST(Norm, IsTheReferencesAtEveryWidthAndAddsWhatItIsGiven) {
  for (const Element element : kElements) {
    for (const std::int64_t d : kWidths) {
      for (const bool added : {false, true}) {
        const auto width = static_cast<std::size_t>(d);
        constexpr std::size_t kRows = 13;  // five warps: three of them have a row more
        const auto hidden = stored(element, noise(kRows * width, 2.0F, 1));
        const auto delta = stored(element, noise(kRows * width, 1.0F, 2));
        const auto parameters = noise(2 * width, 1.0F, 3);
        auto rows = encode(element, hidden);
        const auto more = encode(element, delta);
        HostLauncher().launch(NormArgs{.element = element,
                                       .rows = kRows,
                                       .d = d,
                                       .norm = {parameters.data(), 1e-12F},
                                       .hidden = rows.data(),
                                       .quantised = nullptr,
                                       .scale = nullptr,
                                       .delta = added ? more.data() : nullptr},
                              Branch::main);
        std::vector<float> sum = hidden;
        for (std::size_t i = 0; added && i < sum.size(); ++i) {
          sum[i] += delta[i];
        }
        expect_near(decode(element, rows.data(), static_cast<std::int64_t>(sum.size())),
                    normalised(sum, parameters, width), step_of(element), d);
        EXPECT_EQ(encode(element, delta), more);
      }
    }
  }
}

/// `rows` of `real` numbers each, `padding` zeros behind each of them.
std::vector<float> padded(const std::vector<float>& rows, std::size_t real, std::size_t padding) {
  std::vector<float> wide;
  for (std::size_t first = 0; first < rows.size(); first += real) {
    const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(first);
    wide.insert(wide.end(), begin, begin + static_cast<std::ptrdiff_t>(real));
    wide.resize(wide.size() + padding, 0.0F);
  }
  return wide;
}

/// The mean is a hundred times what rows differ by: one zero too many in the variance would show.
TEST(Norm, OfPaddedRowsIsThatOfTheModelsAndLeavesZeros) {
  for (const auto& [real, padding] :
       {std::pair<std::size_t, std::size_t>{17, 15}, {45, 3}, {101, 11}, {1021, 3}, {2047, 1}}) {
    constexpr std::size_t kRows = 13;
    const std::size_t d = real + padding;
    std::vector<float> hidden = noise(kRows * real, 0.1F, 1);
    std::ranges::for_each(hidden, [](float& value) { value += 10.0F; });
    const auto parameters = noise(2 * real, 1.0F, 3);
    const auto wide_parameters = padded(parameters, real, padding);
    auto rows = encode(Element::f32, padded(hidden, real, padding));
    std::vector<std::byte> quantised(kRows * d);
    const float scale = 0.125F;
    HostLauncher().launch(NormArgs{.element = Element::f32,
                                   .rows = kRows,
                                   .d = static_cast<std::int64_t>(d),
                                   .norm = {wide_parameters.data(), 1e-12F},
                                   .hidden = rows.data(),
                                   .quantised = quantised.data(),
                                   .scale = &scale,
                                   .delta = nullptr,
                                   .padding = static_cast<std::int64_t>(padding)},
                          Branch::main);
    const auto found = decode(Element::f32, rows.data(), static_cast<std::int64_t>(kRows * d));
    const auto expected = normalised(hidden, parameters, real);
    for (std::size_t row = 0; row < kRows; ++row) {
      for (std::size_t i = 0; i < d; ++i) {
        const std::size_t at = row * d + i;
        ASSERT_NEAR(static_cast<double>(found[at]), i < real ? expected[row * real + i] : 0.0,
                    i < real ? 1e-3 : 0.0)
            << "d " << d << " row " << row << " at " << i;
        ASSERT_TRUE(i < real || quantised[at] == std::byte{0});
      }
    }
  }
}

TEST(Norm, LeavesTheSameRowsInE4m3) {
  constexpr std::size_t kD = 768;
  constexpr std::size_t kRows = 7;
  const auto parameters = noise(2 * kD, 1.0F, 3);
  auto rows = encode(Element::bf16, noise(kRows * kD, 2.0F, 1));
  const auto delta = encode(Element::bf16, noise(kRows * kD, 1.0F, 2));
  std::vector<std::byte> quantised(kRows * kD);
  const float scale = 0.125F;
  HostLauncher().launch(NormArgs{.element = Element::bf16,
                                 .rows = kRows,
                                 .d = kD,
                                 .norm = {parameters.data(), 1e-12F},
                                 .hidden = rows.data(),
                                 .quantised = quantised.data(),
                                 .scale = &scale,
                                 .delta = delta.data()},
                        Branch::main);
  const auto left = decode(Element::bf16, rows.data(), kRows * kD);
  const auto found = decode(Element::e4m3, quantised.data(), kRows * kD);
  for (std::size_t i = 0; i < left.size(); ++i) {
    ASSERT_NEAR(found[i] * scale, left[i], 0.07F * std::abs(left[i]) + scale * 0x1p-9F) << i;
  }
}

TEST(Embed, SumsItsTablesAndNormalisesAtEveryWidth) {
  for (const Element element : kElements) {
    for (const std::int64_t d : kWidths) {
      const auto width = static_cast<std::size_t>(d);
      const auto words = stored(element, noise(9 * width, 1.0F, 1));
      const auto positions = stored(element, noise(5 * width, 1.0F, 2));
      const auto types = stored(element, noise(2 * width, 1.0F, 3));
      const auto parameters = noise(2 * width, 1.0F, 4);
      const std::int32_t ids[] = {8, 0, 3, 7, 7, 1, 2};
      // Seven rows for five warps: two have another one after their first.
      const std::vector<TokenPlace> tokens{{2, 4, 1}, {0, 0, 0}, {1, 3, 1}, {6, 2, 0},
                                           {5, 2, 1}, {4, 1, 1}, {3, 0, 0}};
      const auto rows = static_cast<std::int64_t>(tokens.size());
      const auto w = encode(element, words);
      const auto p = encode(element, positions);
      const auto t = encode(element, types);
      std::vector<std::byte> out(tokens.size() * width *
                                 static_cast<std::size_t>(bytes_of(element)));
      EmbedArgs args{.element = element,
                     .rows = rows,
                     .d = d,
                     .ids = ids,
                     .tokens = tokens.data(),
                     .first_id = -1,
                     .words = w.data(),
                     .positions = p.data(),
                     .types = t.data(),
                     .norm = {parameters.data(), 1e-12F},
                     .out = out.data()};
      HostLauncher().launch(args, Branch::main);
      std::vector<float> sums;
      std::vector<float> alone;
      for (const TokenPlace& token : tokens) {
        for (std::size_t i = 0; i < width; ++i) {
          const float word = words[static_cast<std::size_t>(ids[token.id_at]) * width + i];
          alone.push_back(word);
          sums.push_back(word + positions[static_cast<std::size_t>(token.position) * width + i] +
                         types[static_cast<std::size_t>(token.type) * width + i]);
        }
      }
      expect_near(decode(element, out.data(), rows * d), normalised(sums, parameters, width),
                  step_of(element), d);
      args.norm.parameters = nullptr;  // XLNet's: the word alone
      HostLauncher().launch(args, Branch::main);
      EXPECT_EQ(decode(element, out.data(), rows * d), alone);
    }
  }
}

TEST(Embed, TakesIdsInOrderWithoutBeingToldWhere) {
  const std::int32_t ids[] = {9, 5, 6, 7};
  const TokenPlace tokens[] = {{-1, 4, 1}, {-1, 3, 0}, {-1, 2, 1}};
  EmbedArgs args{};
  args.ids = ids;
  args.tokens = tokens;
  args.first_id = 1;
  for (std::int32_t row = 0; row < 3; ++row) {
    const EmbedRow found = find_row(args, row);
    EXPECT_EQ(found.word, 5 + row);
    EXPECT_EQ(found.position, 4 - row);
    EXPECT_EQ(found.type, 1 - row % 2);
  }
}

TEST(Gelu, ForRoundedResultsIsTheReferencesAndKeepsWhatIsNoNumber) {
  double worst = 0;
  for (float x = -12.0F; x < 12.0F; x += 0.003F) {
    for (const Activation activation : {Activation::gelu_erf, Activation::gelu_tanh}) {
      double expected = static_cast<double>(x);
      reference::apply_gelu(activation, {&expected, 1});
      const float found = activation == Activation::gelu_erf ? quick_gelu<Activation::gelu_erf>(x)
                                                             : quick_gelu<Activation::gelu_tanh>(x);
      worst = std::max(worst,
                       std::abs(static_cast<double>(found) - expected) - 1e-6 * std::abs(expected));
    }
  }
  EXPECT_LE(worst, 5e-7);
  EXPECT_EQ(quick_gelu<Activation::gelu_erf>(INFINITY), INFINITY);
  EXPECT_EQ(quick_gelu<Activation::gelu_erf>(-INFINITY), 0.0F);
  EXPECT_TRUE(std::isnan(quick_gelu<Activation::gelu_erf>(NAN)));
  EXPECT_EQ(quick_gelu<Activation::gelu_tanh>(INFINITY), INFINITY);
  EXPECT_TRUE(std::isnan(quick_gelu<Activation::gelu_tanh>(NAN)));
}

/// Counts that end in the middle of a thread's words, of a word, of a block.
TEST(Elements, AreAllDoneAndNothingBeyondThem) {
  for (const Element element : kElements) {
    for (std::int64_t count = 4; count <= 140; count += 4) {
      const auto values = stored(element, noise(static_cast<std::size_t>(count) + 8, 1.0F, 1));
      auto bytes = encode(element, values);
      HostLauncher().launch(
          GeluArgs{element, Activation::gelu_erf, count, bytes.data(), nullptr, nullptr},
          Branch::main);
      const auto found = decode(element, bytes.data(), count + 8);
      const auto original = encode(element, values);
      std::vector<float> wide(values.size(), -1.0F);
      HostLauncher().launch(WidenArgs{element, count, original.data(), wide.data()}, Branch::main);
      const float scale = 0.5F;
      std::vector<std::byte> small(values.size(), std::byte{0x55});
      HostLauncher().launch(QuantiseArgs{element, count, original.data(), small.data(), &scale},
                            Branch::main);
      const auto coarse = decode(Element::e4m3, small.data(), count + 8);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const bool done = i < static_cast<std::size_t>(count);
        const double x = static_cast<double>(values[i]);
        const double expected = done ? 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))) : x;
        ASSERT_NEAR(static_cast<double>(found[i]), expected,
                    1e-6 + step_of(element) * std::abs(expected));
        ASSERT_EQ(wide[i], done ? values[i] : -1.0F);
        ASSERT_TRUE(done ? std::abs(coarse[i] * scale - values[i]) <=
                               0.07F * std::abs(values[i]) + scale * 0x1p-9F
                         : small[i] == std::byte{0x55});
      }
    }
  }
}

/// At any multiple of 8 bytes: rows of 36 elements of 2 bytes are 72.
TEST(Copies, AreOfEveryByteWhereverTheyLie) {
  struct alignas(16) Room {
    std::byte bytes[16384 + 32];
  };
  const auto from = std::make_unique<Room>();
  for (std::size_t i = 0; i < sizeof from->bytes; ++i) {
    from->bytes[i] = static_cast<std::byte>(i * 31 + i / 256);
  }
  for (const std::int64_t bytes : {8, 16, 72, 1536, 2048, 2056, 6160, 16384}) {
    for (const std::int64_t source : {0, 8, 16}) {
      for (const std::int64_t target : {0, 8}) {
        for (const std::int64_t parts : {1, 3, 20}) {
          const auto to = std::make_unique<Room>();
          std::memset(to->bytes, 0xEE, sizeof to->bytes);
          HostWarp warp;
          for (std::int64_t part = 0; part < parts; ++part) {
            copy_part(warp, from->bytes + source, to->bytes + target, bytes, part, parts);
          }
          EXPECT_EQ(std::memcmp(to->bytes + target, from->bytes + source,
                                static_cast<std::size_t>(bytes)),
                    0);
          EXPECT_EQ(to->bytes[target + bytes], std::byte{0xEE});
          EXPECT_TRUE(target == 0 || to->bytes[target - 1] == std::byte{0xEE});
        }
      }
    }
  }
}

}  // namespace
}  // namespace deformer::cuda
