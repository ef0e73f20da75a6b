#include "model/safetensors.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <limits>

#include "tests/model/files.hpp"

namespace deformer {
namespace {

using test::bad_input_of;
using test::bytes_of;
using test::container;
using test::TempDir;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string error_of(std::string_view content) {
  const TempDir dir;
  const auto file = dir.write("t.safetensors", content);
  return bad_input_of([&] { SafetensorsFile::open(file); });
}

/// Error of a file whose header is `{"a": {...}}` with these members, before `data_bytes` zeros.
std::string error_of_tensor(std::string_view dtype, std::string_view shape,
                            std::string_view offsets, std::size_t data_bytes) {
  return error_of(container(
      fmt::format(R"({{"a":{{"dtype":{},"shape":{},"data_offsets":{}}}}})", dtype, shape, offsets),
      std::string(data_bytes, '\0')));
}

TEST(Safetensors, ReadsEveryTensorsNameTypeShapeAndBytes) {
  const TempDir dir;
  const auto content =
      test::safetensors({{"b", "F32", {2, 3}, bytes_of(std::vector<float>{1, 2, 3, 4, 5, 6})},
                         {"a", "I64", {}, bytes_of(std::vector<std::int64_t>{-7})},
                         {"empty", "F16", {0, 4}, ""}});
  const SafetensorsFile file = SafetensorsFile::open(dir.write("t.safetensors", content));
  ASSERT_EQ(file.tensors().size(), 3U);
  const StoredTensor* b = file.find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->dtype, "F32");
  EXPECT_THAT(b->shape, ElementsAre(2, 3));
  EXPECT_EQ(b->elements(), 6);
  std::vector<float> values(6);
  widen(*b, values);
  EXPECT_THAT(values, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(read_int32(*file.find("a")), ElementsAre(-7));
  EXPECT_EQ(file.find("empty")->elements(), 0);
  EXPECT_EQ(file.find("__metadata__"), nullptr);
  EXPECT_EQ(file.find("c"), nullptr);
  EXPECT_EQ(file.bytes().size(), content.size());
}

TEST(Safetensors, MayHoldNoTensors) {
  EXPECT_EQ(error_of(container("{}", "")), "");
  EXPECT_EQ(error_of(container("{}      ", "")), "");
}

TEST(Safetensors, StaysValidAfterBeingMoved) {
  const TempDir dir;
  const auto path = dir.write("t", test::safetensors({{"a", "U8", {1}, "x"}}));
  SafetensorsFile first = SafetensorsFile::open(path);
  const SafetensorsFile second = std::move(first);
  EXPECT_EQ(second.find("a")->bytes[0], std::byte{'x'});
}

TEST(Safetensors, RefusesWhatIsNoRegularFile) {
  const TempDir dir;
  const auto error = [](const auto& path) {
    return bad_input_of([&] { SafetensorsFile::open(path); });
  };
  EXPECT_THAT(error(dir.path() / "none"), HasSubstr("No such file"));
  EXPECT_THAT(error(dir.path()), HasSubstr("a directory"));
  const auto pipe = dir.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(error(pipe), HasSubstr("a special file"));
}

TEST(Safetensors, RefusesEveryTruncation) {
  const auto whole = test::safetensors({{"a", "F32", {3}, bytes_of(std::vector<float>{1, 2, 3})}});
  EXPECT_EQ(error_of(whole), "");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(error_of(whole.substr(0, size)), HasSubstr("t.safetensors")) << size;
  }
}

TEST(Safetensors, RefusesAHeaderLengthBeyondTheFileOrTheLimit) {
  const auto with_length = [](std::uint64_t length) {
    std::string content = container("{}", "");
    std::memcpy(content.data(), &length, 8);
    return content;
  };
  for (const std::uint64_t length :
       {std::uint64_t{3}, std::uint64_t{1}, std::uint64_t{0}, std::uint64_t{1} << 62U,
        ~std::uint64_t{0}, ~std::uint64_t{7}}) {
    EXPECT_THAT(error_of(with_length(length)),
                AllOf(HasSubstr("header length"), HasSubstr(std::to_string(length))));
  }
}

TEST(Safetensors, RefusesAHeaderOver100MegabytesBeforeReadingIt) {
  const TempDir dir;
  std::string content = container("{}", "");
  const std::uint64_t length = 100'000'001;
  std::memcpy(content.data(), &length, 8);
  const auto path = dir.write("t", content);
  std::filesystem::resize_file(path, 200'000'000);  // sparse
  EXPECT_THAT(bad_input_of([&] { SafetensorsFile::open(path); }),
              AllOf(HasSubstr("header length"), HasSubstr("100000001")));
}

TEST(Safetensors, RefusesMalformedHeaders) {
  EXPECT_THAT(error_of(container("{\"a\":", "")), HasSubstr("malformed JSON"));
  EXPECT_THAT(error_of(container("[]", "")), HasSubstr("'{'"));
  EXPECT_THAT(error_of(container(" {}", "")), HasSubstr("'{'"));
  EXPECT_THAT(error_of(container(std::string("{}\0{", 4), "")), HasSubstr("NUL"));
  EXPECT_THAT(error_of(container("{}x", "")), HasSubstr("malformed JSON"));
  EXPECT_THAT(error_of(container("{\"\xff\":1}", "")), HasSubstr("malformed JSON"));
  EXPECT_THAT(error_of(container(R"({"a":7})", "")), HasSubstr("tensor \"a\""));
  EXPECT_THAT(error_of(container(R"({"__metadata__":{"a":7}})", "")), HasSubstr("__metadata__"));
  EXPECT_THAT(error_of(container(R"({"a":{"shape":[],"data_offsets":[0,0]}})", "")),
              HasSubstr("\"dtype\""));
}

TEST(Safetensors, SurvivesHostileNesting) {
  EXPECT_THAT(error_of(container("{\"a\":" + std::string(10'000'000, '['), "")),
              HasSubstr("nested"));
  std::string objects = "{";
  for (int i = 0; i < 100'000; ++i) objects += "\"a\":{";
  EXPECT_THAT(error_of(container(objects, "")), HasSubstr("nested"));
}

TEST(Safetensors, RefusesATensorNamedTwice) {
  const char* header =
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  EXPECT_THAT(error_of(container(header, "x")), AllOf(HasSubstr("\"a\""), HasSubstr("twice")));
}

TEST(Safetensors, RefusesUnknownTypes) {
  EXPECT_THAT(error_of_tensor("\"F33\"", "[1]", "[0,4]", 4), HasSubstr("F33"));
  EXPECT_THAT(error_of_tensor("32", "[1]", "[0,4]", 4), HasSubstr("unknown dtype 32"));
}

TEST(Safetensors, RefusesOffsetsThatAreNotUnsignedIntegersInsideTheFile) {
  for (const char* offsets :
       {"[-4,0]", "[-0,4]", "[0.0,4]", "[0,4e0]", "[\"0\",4]", "[4,0]", "[0,8]", "[0]", "[0,4,8]",
        "{}", "[0,18446744073709551615]", "[null,4]", "[0,99999999999999999999999]",
        "[9223372036854775807,4]"}) {
    EXPECT_THAT(error_of_tensor("\"F32\"", "[1]", offsets, 4), HasSubstr("data_offsets: expected"))
        << offsets;
  }
  EXPECT_THAT(error_of_tensor("\"F32\"", "[2]", "[0,8]", 4), HasSubstr("data_offsets: expected"));
  EXPECT_EQ(error_of_tensor("\"F32\"", "[1]", "[0,4]", 4), "");
}

TEST(Safetensors, RefusesShapesThatDoNotMatchTheirBytes) {
  EXPECT_THAT(error_of_tensor("\"F32\"", "[2]", "[0,4]", 4),
              AllOf(HasSubstr("expected 8 bytes"), HasSubstr("found 4")));
  EXPECT_THAT(error_of_tensor("\"F4\"", "[3]", "[0,1]", 1), HasSubstr("whole bytes"));
  EXPECT_EQ(error_of_tensor("\"F4\"", "[4]", "[0,2]", 2), "");
  for (const char* shape : {"[-1]", "[1.0]", "[\"1\"]", "1", "null", "[[1]]", "[true]"}) {
    EXPECT_THAT(error_of_tensor("\"F32\"", shape, "[0,4]", 4), HasSubstr("shape")) << shape;
  }
}

TEST(Safetensors, RefusesShapesWhoseProductOverflows) {
  // 2^32 x 2^32 elements wrap to none at all.
  EXPECT_THAT(error_of_tensor("\"U8\"", "[4294967296,4294967296]", "[0,0]", 0),
              HasSubstr("overflow"));
  EXPECT_THAT(error_of_tensor("\"F32\"", "[4611686018427387905]", "[0,4]", 4),
              HasSubstr("overflow"));
}

TEST(Safetensors, RefusesGapsOverlapsAndLeftovers) {
  const auto two = [](std::string_view first, std::string_view second, std::size_t data_bytes) {
    return error_of(container(fmt::format(R"({{"a":{{"dtype":"U8","shape":[4],"data_offsets":{}}},)"
                                          R"("b":{{"dtype":"U8","shape":[4],"data_offsets":{}}}}})",
                                          first, second),
                              std::string(data_bytes, '\0')));
  };
  EXPECT_EQ(two("[0,4]", "[4,8]", 8), "");
  EXPECT_EQ(two("[4,8]", "[0,4]", 8), "") << "the header's order is free";
  EXPECT_THAT(two("[0,4]", "[2,6]", 6), HasSubstr("overlap"));
  EXPECT_THAT(two("[0,4]", "[0,4]", 4), HasSubstr("overlap"));
  EXPECT_THAT(two("[0,4]", "[5,9]", 9), HasSubstr("gap"));
  EXPECT_THAT(two("[1,5]", "[5,9]", 9), HasSubstr("gap"));
  EXPECT_THAT(two("[0,4]", "[4,8]", 9), HasSubstr("1 bytes after the last tensor"));
}

StoredTensor stored(std::string dtype, std::int64_t elements, const std::string& bytes) {
  return {"t", std::move(dtype), {elements}, std::as_bytes(std::span(bytes))};
}

TEST(Widen, OfBfloatIsExact) {
  const std::string bytes = bytes_of(std::vector<std::uint16_t>{0x3F80, 0xC040, 0x0001, 0x7F80});
  std::vector<float> out(4);
  widen(stored("BF16", 4, bytes), out);
  EXPECT_THAT(out, ElementsAre(1.0F, -3.0F, 0x1p-133F, std::numeric_limits<float>::infinity()));
}

TEST(Widen, OfHalfIsExactForEveryBitPattern) {
  std::vector<std::uint16_t> patterns(65'536);
  for (std::size_t i = 0; i < patterns.size(); ++i) patterns[i] = static_cast<std::uint16_t>(i);
  const std::string bytes = bytes_of(patterns);
  std::vector<float> out(patterns.size());
  widen(stored("F16", 65'536, bytes), out);
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    const int exponent = static_cast<int>(i >> 10U & 31U);
    const auto mantissa = static_cast<double>(i & 1023U);
    double expected =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024.0 + mantissa, exponent - 25);
    if (exponent == 31) expected = mantissa == 0 ? HUGE_VAL : NAN;
    if (i >= 32'768) expected = -expected;
    ASSERT_EQ(std::isnan(out[i]), std::isnan(expected)) << i;
    if (std::isnan(expected)) continue;
    ASSERT_EQ(static_cast<double>(out[i]), expected) << i;
    ASSERT_EQ(std::signbit(out[i]), i >= 32'768) << i;
  }
}

TEST(Widen, RefusesOtherTypesAndWrongRoom) {
  const std::string bytes(8, '\0');
  std::vector<float> out(1);
  EXPECT_THAT(bad_input_of([&] { widen(stored("F64", 1, bytes), out); }), HasSubstr("F64"));
  EXPECT_THROW(widen(stored("F32", 2, bytes), out), std::invalid_argument);
}

TEST(ReadInt32, TakesI64ThatFitAndNothingElse) {
  const auto of = [](std::int64_t value) { return bytes_of(std::vector<std::int64_t>{value}); };
  const std::string fits = of(std::numeric_limits<std::int32_t>::min());
  EXPECT_THAT(read_int32(stored("I64", 1, fits)),
              ElementsAre(std::numeric_limits<std::int32_t>::min()));
  const std::string large = of(std::int64_t{1} << 31U);
  EXPECT_THAT(bad_input_of([&] { read_int32(stored("I64", 1, large)); }), HasSubstr("2147483648"));
  EXPECT_THAT(bad_input_of([&] { read_int32(stored("F32", 2, large)); }), HasSubstr("F32"));
}

}  // namespace
}  // namespace deformer
