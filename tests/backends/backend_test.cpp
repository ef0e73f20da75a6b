#include "backends/backend.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/registry.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

using testing::HasSubstr;

class CheckInputs : public testing::Test {
 protected:
  void expect_bad(const Plan& plan, const Inputs& inputs, const std::string& part) {
    try {
      check_inputs(config_, plan, shape_, inputs);
      FAIL() << "expected BadInput with: " << part;
    } catch (const BadInput& error) {
      EXPECT_THAT(error.what(), HasSubstr(part));
    }
  }

  ModelConfig config_ = *builtin_model("bert-tiny");
  Shape shape_ = uniform_shape(2, 2, 3);
  std::vector<std::int32_t> questions_ = {0, 1, 2, 3};
  std::vector<std::int32_t> passages_ = {0, 1, 2, 3, 4, 5};
  Plan full_ = make_plan(config_, Variant::full, 0, Order::question_first);
  Plan cached_ = make_plan(config_, Variant::cached, 1, Order::question_first);
  Plan prefill_ = make_prefill_plan(config_, 1, Order::question_first);
};

TEST_F(CheckInputs, AcceptsWhatFits) {
  const std::byte stored{};
  const std::vector<const std::byte*> cached = {&stored, &stored};
  EXPECT_NO_THROW(check_inputs(config_, full_, shape_, {questions_, passages_, {}}));
  EXPECT_NO_THROW(check_inputs(config_, cached_, shape_, {questions_, {}, cached}));
  EXPECT_NO_THROW(check_inputs(config_, prefill_, shape_, {{}, passages_, {}}));
}

TEST_F(CheckInputs, RefusesIdsOutsideTheVocabulary) {
  questions_[2] = -1;
  expect_bad(full_, {questions_, passages_, {}}, "found -1 at token 2");
  questions_[2] = static_cast<std::int32_t>(config_.vocab_size);
  expect_bad(full_, {questions_, passages_, {}}, "question ids: expected ids of the vocabulary");
}

TEST_F(CheckInputs, RefusesWrongCounts) {
  expect_bad(full_, {questions_, {}, {}}, "passage ids: expected 6");
  expect_bad(full_, {passages_, passages_, {}}, "question ids: expected 4");
  expect_bad(cached_, {questions_, {}, {}}, "cached passages: expected 2, found 0");
  const std::vector<const std::byte*> nulls(2, nullptr);
  expect_bad(cached_, {questions_, {}, nulls}, "null pointer");
  shape_.passage_tokens.pop_back();
  expect_bad(full_, {questions_, passages_, {}}, "expected lengths of 2 passages, found 1");
}

TEST(Registry, KnowsReferenceCpuAndCudaAndSaysWhyOneIsMissing) {
  std::vector<std::string> names;
  for (const Backend* backend : all_backends()) {
    names.push_back(backend->info().name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"reference", "cpu", "cuda"}));
  EXPECT_EQ(find_backend("quantum"), nullptr);
  Backend* cuda = find_backend("cuda");
  ASSERT_NE(cuda, nullptr);
  const std::string reason = cuda->info().unavailable;  // a test program has no plugins beside it
  EXPECT_THAT(reason, testing::HasSubstr("plugins/deformer-bench-cuda.so"));
  const ModelConfig config = *builtin_model("bert-tiny");
  EXPECT_EQ(cuda->why_not(config, DType::f32, DType::f32), reason);
  EXPECT_THROW(cuda->load(*random_weights(config, 1), {}), Unavailable);
}

}  // namespace
}  // namespace deformer
