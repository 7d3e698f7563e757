// Exponents w of activations z sigmoid(w(z)), and their derivatives.
struct Silu {
    static float of(float z) {
        return z;
    }

    static float slope(float z) {
        return 1;
    }
};

// w = 2 sqrt(2 / pi) (z + 0.044715 z^3), since (1 + tanh(u)) / 2 is the sigmoid of 2u.
struct GeluTanh {
    static float of(float z) {
        return z * (1.5957691f + 0.071354816f * z * z);
    }

    static float slope(float z) {
        return 1.5957691f + 3 * 0.071354816f * z * z;
    }
};

// sigmoid(w(z)).
template <typename W>
inline float sigmoid_of(float z) {
    return 1 / (1 + exp(-W::of(z)));
}

