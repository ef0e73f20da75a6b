#include "model/injection.hpp"

#include <gtest/gtest.h>

#include "model/error.hpp"

namespace deformer {
namespace {

TEST(Injection, NamesOperationLayerAndSlowdown) {
  const Injection injection = parse_injection("op=ffn1,layer=2,slowdown=3%");
  EXPECT_EQ(injection.operation, "ffn1");
  EXPECT_EQ(injection.layer, 2);
  EXPECT_DOUBLE_EQ(injection.slowdown, 0.03);
  EXPECT_EQ(injection.text, "op=ffn1,layer=2,slowdown=3%");
  EXPECT_EQ(parse_injection("slowdown=0.5%,op=load").layer, -1);
  EXPECT_FALSE(Injection{});
}

TEST(Injection, AnythingElseIsRefused) {
  for (const char* text :
       {"", "op=ffn1", "slowdown=3%", "op=ffn1,slowdown=3", "op=ffn1,slowdown=0%",
        "op=ffn1,slowdown=-3%", "op=ffn1,slowdown=nan%", "op=ffn1,slowdown=1e9%", "op=,slowdown=3%",
        "op=ffn1,layer=-1,slowdown=3%", "op=ffn1,layer=x,slowdown=3%",
        "op=ffn1,slowdown=3%,speed=1", "ffn1,slowdown=3%", "op=ffn1,layer=2.5,slowdown=3%"}) {
    EXPECT_THROW(parse_injection(text), BadInput) << text;
  }
}

TEST(Injection, TheModelMustHaveTheOperationAndTheLayer) {
  const ModelConfig tiny = *builtin_model("bert-tiny");  // two layers, no head
  EXPECT_NO_THROW(check_injection(parse_injection("op=ffn1,layer=1,slowdown=3%"), tiny));
  EXPECT_NO_THROW(check_injection(parse_injection("op=load,slowdown=3%"), tiny));
  for (const char* text : {"op=ffn3,slowdown=3%", "op=ffn1,layer=2,slowdown=3%",
                           "op=load,layer=0,slowdown=3%", "op=head,slowdown=3%"}) {
    EXPECT_THROW(check_injection(parse_injection(text), tiny), BadInput) << text;
  }
}

}  // namespace
}  // namespace deformer
