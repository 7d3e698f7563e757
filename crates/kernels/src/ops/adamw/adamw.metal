// A thread (x) updates four numbers of a parameter (y) and of its moments, all float32 and in place. FOURS: four numbers may be
// read at once in every tensor.

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

// A parameter's number and its moments.
struct Numbers {
    float parameter;
    float first;
    float second;
};

inline Numbers updated(Numbers old, float gradient, constant Factors& factors) {
    gradient *= factors.gradient;
    float first = factors.beta1 * old.first + factors.one_minus_beta1 * gradient;
    float second = factors.beta2 * old.second + factors.one_minus_beta2 * gradient * gradient;
    float root = precise::sqrt(second * factors.second_correction);
    float parameter = old.parameter * factors.decay - factors.rate * first / (root + factors.eps);
    return {parameter, first, second};
}

template <bool FOURS>
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
    uint count = counts.of[at.y], start = 4 * at.x;
    if (start >= count) {
        return;
    }
    device float* parameter = parameters[at.y] + start;
    device float* first = firsts[at.y] + start;
    device float* second = seconds[at.y] + start;
    device const float* gradient = gradients[at.y] + start;
    if (FOURS && start + 4 <= count) {
        float4 p = *(device const float4*)parameter;
        float4 m = *(device const float4*)first;
        float4 v = *(device const float4*)second;
        float4 g = *(device const float4*)gradient;
        UNROLL
        for (uint i = 0; i < 4; i++) {
            Numbers next = updated({p[i], m[i], v[i]}, g[i], factors);
            p[i] = next.parameter;
            m[i] = next.first;
            v[i] = next.second;
        }
        *(device float4*)parameter = p;
        *(device float4*)first = m;
        *(device float4*)second = v;
    } else {
        for (uint i = 0; i < min(4u, count - start); i++) {
            Numbers next = updated({parameter[i], first[i], second[i]}, gradient[i], factors);
            parameter[i] = next.parameter;
            first[i] = next.first;
            second[i] = next.second;
        }
    }
}

template [[host_name("adamw")]] [[kernel]] decltype(adamw<false>) adamw<false>;
template [[host_name("adamw_fours")]] [[kernel]] decltype(adamw<true>) adamw<true>;
