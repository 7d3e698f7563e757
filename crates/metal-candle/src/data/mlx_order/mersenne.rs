//! Permutations of numpy's global generator: a Mersenne Twister (Matsumoto, Nishimura 1998, MT19937) that
//! `numpy.random.seed` seeds with one number, and the shuffle of `numpy.random.permutation`.

/// Words of the state.
const N: usize = 624;

/// Distance of the words that are combined.
const M: usize = 397;

/// Numpy's global generator.
#[derive(Clone, Debug)]
pub(super) struct Mersenne {
    state: [u32; N],
    next: usize,
}

impl Mersenne {
    pub(super) fn new(seed: u32) -> Self {
        let mut state = [seed; N];
        for i in 1..N {
            let last = state[i - 1];
            state[i] = (last ^ (last >> 30))
                .wrapping_mul(1_812_433_253)
                .wrapping_add(i as u32);
        }
        Self { state, next: N }
    }

    /// `numpy.random.permutation(n)`.
    pub(super) fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut items: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            items.swap(i, self.up_to(i as u64) as usize);
        }
        items
    }

    /// A number from 0 to `most`: masked, and drawn again where it is over it.
    fn up_to(&mut self, most: u64) -> u64 {
        let mask = u64::MAX >> most.leading_zeros();
        loop {
            let drawn = mask
                & match u32::try_from(most) {
                    Ok(_) => u64::from(self.word()),
                    Err(_) => u64::from(self.word()) << 32 | u64::from(self.word()),
                };
            if drawn <= most {
                return drawn;
            }
        }
    }

    fn word(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of numpy 2.4.6: `seed(0)`, then permutations of 10, 3, 1 and 5; `seed(2**32 - 1)`, then of 7; `seed(0)`, then
    /// two of 700, more than one state has words.
    #[test]
    fn permutations_are_numpys() {
        let mut random = Mersenne::new(0);
        assert_eq!(random.permutation(10), [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]);
        assert_eq!(random.permutation(3), [2, 1, 0]);
        assert_eq!(random.permutation(1), [0]);
        assert_eq!(random.permutation(5), [1, 2, 3, 4, 0]);
        let mut random = Mersenne::new(u32::MAX);
        assert_eq!(random.permutation(7), [1, 5, 0, 6, 4, 2, 3]);
        let mut random = Mersenne::new(0);
        let first = random.permutation(700);
        assert_eq!(first[..6], [306, 604, 40, 493, 14, 548]);
        assert_eq!(first[694..], [9, 359, 192, 629, 559, 684]);
        assert_eq!(random.permutation(700)[..6], [575, 487, 141, 107, 93, 638]);
    }
}
