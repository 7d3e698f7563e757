// Rows of the affine format whose columns are in the order of their groups: PART_0 begins with the column of each place. A
// run of x is found by 32 bytes of it, which all rows of the matrix share.

#undef TO_COLUMN
#define TO_COLUMN(matrix, place, i, stride) ((matrix).part_0[(place) + (i)] * (stride))
