#pragma once
/// GELU where the result is rounded to bf16: x (1/2 + c P(t)), c = x within [-4.4, 4.4] and t = 2
/// c^2 / 4.4^2 - 1. P is a polynomial fitted for the least error of the result while |x| <
/// 8: 2.5e-5 for x Phi(x), 4.1e-5 for its form with tanh; bf16 keeps 4e-3 of numbers near 1. Nine
/// multiply-adds instead of the fourteen of the f32 path.

namespace deformer::narrow {

inline constexpr float kGeluEnd = 4.4F;
inline constexpr float kGeluScale = 0.103305785F;  // 2 / 4.4^2
inline constexpr int kGeluTerms = 9;
inline constexpr float kGeluErf[kGeluTerms] = {2.75414041e-03F,  -7.88415549e-03F, 1.09878782e-02F,
                                               -1.59770229e-02F, 2.68021737e-02F,  -4.00892221e-02F,
                                               5.52505235e-02F,  -7.86123142e-02F, 1.60404420e-01F};
inline constexpr float kGeluTanh[kGeluTerms] = {
    3.20266132e-03F,  -8.66137946e-03F, 1.08837393e-02F,  -1.51216025e-02F, 2.63007154e-02F,
    -4.00423855e-02F, 5.53480373e-02F,  -7.87141284e-02F, 1.60441877e-01F};

}  // namespace deformer::narrow
