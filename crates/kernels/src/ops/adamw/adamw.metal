// A thread updates one number of a parameter and of its moments, all float32 and in place.

struct Factors {
    float gradient;
    float beta1;
    float beta2;
    float one_minus_beta1;
    float one_minus_beta2;
    float decay;
    float rate;
    float second_correction;
    float eps;
};

kernel void adamw(
    device float* parameter [[buffer(0)]],
    device float* first [[buffer(1)]],
    device float* second [[buffer(2)]],
    device const float* gradients [[buffer(3)]],
    constant Factors& factors [[buffer(4)]],
    uint i [[thread_position_in_grid]])
{
    float gradient = factors.gradient * gradients[i];
    float m = factors.beta1 * first[i] + factors.one_minus_beta1 * gradient;
    float v = factors.beta2 * second[i] + factors.one_minus_beta2 * gradient * gradient;
    float root = precise::sqrt(v * factors.second_correction);
    parameter[i] = parameter[i] * factors.decay - factors.rate * m / (root + factors.eps);
    first[i] = m;
    second[i] = v;
}
