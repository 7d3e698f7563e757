// A matrix in any storage, read in runs of numbers. PART_0, PART_1, PART_2: dtypes of what it consists of; a part that a
// format does not have is the first once more. A format defines
//
//     inline void unpack(Matrix m, uint row, uint column, uint count, thread float* to)
//
// which gives the `count` numbers of a row from a place on, a multiple of RUN, and zeros up to RUN. All formats but the
// dense one have whole runs in a row.

constant constexpr uint RUN = 8;

struct Layout {
    // Elements from row to row, and from column to column, of a dense one.
    ulong row;
    ulong column;
    uint rows;
    uint columns;
    // What the format makes of them.
    uint options[4];
};

struct Matrix {
    device const PART_0* part_0;
    device const PART_1* part_1;
    device const PART_2* part_2;
    constant Layout* layout;
};

// The first parameters of a kernel that reads one, and what it makes of them.
#define MATRIX_PARAMETERS \
    device const PART_0* part_0 [[buffer(0)]], \
    device const PART_1* part_1 [[buffer(1)]], \
    device const PART_2* part_2 [[buffer(2)]], \
    constant Layout& layout [[buffer(3)]]
#define MATRIX Matrix{part_0, part_1, part_2, &layout}

// Distance from a row's first element to that of a column, where neighbours are `stride` apart: the column of the number
// `i` places behind `place` in the rows of a matrix. A format that stores columns in another order defines it anew.
#define TO_COLUMN(matrix, place, i, stride) ((place) * (stride) + (i) * (stride))
