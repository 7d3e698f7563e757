// What products of a matrix in any storage have in common. X: dtype of the left factor, C: of what is added, Y: of the
// result.

struct Sum {
    // Of the result.
    uint rows;
    uint columns;
    // Length of the sums, and of the range of it that a threadgroup adds up: whole chunks.
    uint inner;
    uint range;
    float alpha;
    float beta;
    // What is added: nothing, `beta` times the matrix C, or what the result holds.
    uint onto;
};

constant constexpr uint ONTO_ADDEND = 1;
constant constexpr uint ONTO_RESULT = 2;

// `alpha` times the value, and what is added of the matrix C.
inline float with_addend(
    device const C* c,
    constant Strides& c_strides,
    constant Sum& sum,
    uint row,
    uint column,
    float value)
{
    float added = 0;
    if (sum.onto == ONTO_ADDEND) {
        added = sum.beta * float(c[row * c_strides.row + column * c_strides.column]);
    }
    return sum.alpha * value + added;
}

inline void store(
    device Y* y,
    device const C* c,
    constant Strides& c_strides,
    constant Sum& sum,
    uint row,
    uint column,
    float value)
{
    device Y& element = y[ulong(row) * sum.columns + column];
    float total = with_addend(c, c_strides, sum, row, column, value);
    if (sum.onto == ONTO_RESULT) {
        total += float(element);
    }
    element = Y(total);
}
