// A thread (x) updates one number of a parameter (y) and of its moments, all float32 and in place.

// Parameters of one launch at most.
constant constexpr uint MOST = 7;

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

// Numbers of each parameter.
struct Counts {
    uint of[MOST];
};

kernel void adamw(
    device float* p_0 [[buffer(0)]],
    device float* p_1 [[buffer(1)]],
    device float* p_2 [[buffer(2)]],
    device float* p_3 [[buffer(3)]],
    device float* p_4 [[buffer(4)]],
    device float* p_5 [[buffer(5)]],
    device float* p_6 [[buffer(6)]],
    device float* m_0 [[buffer(7)]],
    device float* m_1 [[buffer(8)]],
    device float* m_2 [[buffer(9)]],
    device float* m_3 [[buffer(10)]],
    device float* m_4 [[buffer(11)]],
    device float* m_5 [[buffer(12)]],
    device float* m_6 [[buffer(13)]],
    device float* v_0 [[buffer(14)]],
    device float* v_1 [[buffer(15)]],
    device float* v_2 [[buffer(16)]],
    device float* v_3 [[buffer(17)]],
    device float* v_4 [[buffer(18)]],
    device float* v_5 [[buffer(19)]],
    device float* v_6 [[buffer(20)]],
    device const float* g_0 [[buffer(21)]],
    device const float* g_1 [[buffer(22)]],
    device const float* g_2 [[buffer(23)]],
    device const float* g_3 [[buffer(24)]],
    device const float* g_4 [[buffer(25)]],
    device const float* g_5 [[buffer(26)]],
    device const float* g_6 [[buffer(27)]],
    constant Factors& factors [[buffer(28)]],
    constant Counts& counts [[buffer(29)]],
    uint2 at [[thread_position_in_grid]])
{
    device float* parameters[MOST] = {p_0, p_1, p_2, p_3, p_4, p_5, p_6};
    device float* firsts[MOST] = {m_0, m_1, m_2, m_3, m_4, m_5, m_6};
    device float* seconds[MOST] = {v_0, v_1, v_2, v_3, v_4, v_5, v_6};
    device const float* gradients[MOST] = {g_0, g_1, g_2, g_3, g_4, g_5, g_6};
    uint i = at.x;
    if (i >= counts.of[at.y]) {
        return;
    }
    device float* parameter = parameters[at.y];
    device float* first = firsts[at.y];
    device float* second = seconds[at.y];
    float gradient = factors.gradient * gradients[at.y][i];
    float m = factors.beta1 * first[i] + factors.one_minus_beta1 * gradient;
    float v = factors.beta2 * second[i] + factors.one_minus_beta2 * gradient * gradient;
    float root = precise::sqrt(v * factors.second_correction);
    parameter[i] = parameter[i] * factors.decay - factors.rate * m / (root + factors.eps);
    first[i] = m;
    second[i] = v;
}
