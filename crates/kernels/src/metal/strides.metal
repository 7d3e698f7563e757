// How far apart the rows and the columns of a matrix lie, in elements.
struct Strides {
    ulong unused[2];
    ulong row;
    ulong column;
};
