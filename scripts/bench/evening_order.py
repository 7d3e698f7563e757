"""Order in which `metal-candle train` takes rows (crates/metal-candle/src/data/batches.rs), for a rival to take it.

Rows are shuffled, sorted by length among those of eight batches, and cut into batches, which are shuffled again:
Fisher-Yates, both times with numbers of ChaCha8, of which a seed is the key and an epoch the stream.
"""

BATCHES_PER_BUCKET = 8
MASK_32, MASK_64 = 2**32 - 1, 2**64 - 1


def batches(lengths, size, seed, epoch=0):
    """Batches of an epoch, as indices of rows of these lengths."""
    numbers = chacha8(key_of(seed), epoch)
    rows = list(range(len(lengths)))
    shuffle(rows, numbers)
    bucket = size * BATCHES_PER_BUCKET
    for at in range(0, len(rows), bucket):
        rows[at : at + bucket] = sorted(rows[at : at + bucket], key=lengths.__getitem__)
    cut = [rows[at : at + size] for at in range(0, len(rows), size)]
    shuffle(cut, numbers)
    return cut


def shuffle(items, numbers):
    for i in range(len(items) - 1, 0, -1):
        low, high = next(numbers), next(numbers)
        j = (high << 32 | low) * (i + 1) >> 64
        items[i], items[j] = items[j], items[i]


def key_of(seed):
    """Eight words of PCG32, as `rand_core::SeedableRng::seed_from_u64` makes them."""
    words = []
    for _ in range(8):
        seed = (seed * 6364136223846793005 + 11634580027462260723) & MASK_64
        words.append(rotated((seed >> 18 ^ seed) >> 27 & MASK_32, -(seed >> 59)))
    return words


def rotated(word, by):
    by %= 32
    return (word << by | word >> (32 - by)) & MASK_32


def chacha8(key, stream):
    """32-bit numbers of ChaCha with 8 rounds and a counter of 64 bits."""
    counter = 0
    while True:
        pairs = [half for number in (counter, stream) for half in (number & MASK_32, number >> 32)]
        start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *key, *pairs]
        state = list(start)
        for _ in range(4):
            for i in range(4):
                quarter_round(state, i, i + 4, i + 8, i + 12)
            for i in range(4):
                quarter_round(state, i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12)
        yield from ((a + b) & MASK_32 for a, b in zip(start, state))
        counter += 1


def quarter_round(state, a, b, c, d):
    for to, by, other, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[to] = (state[to] + state[by]) & MASK_32
        state[other] = rotated(state[other] ^ state[to], turn)
