//! The source of all chance: a generator of numbers that a seed determines completely.

/// A seeded generator of random numbers (xoshiro256++). The same seed gives the same numbers on
/// every machine and in every release; every seed is as good as any other, 0 included. Not for
/// secrets.
///
/// ```
/// use api_mock_datagen::Rng;
/// let (mut one, mut two) = (Rng::seeded(0), Rng::seeded(0));
/// assert_eq!(one.next_u64(), two.next_u64());
/// assert!((10..20).contains(&one.between(10, 20)));
/// ```
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The generator of this seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut stream = seed;
        Rng { state: [(); 4].map(|()| spread(&mut stream)) }
    }

    /// The generator of this seed for one purpose, so that the same seed gives unrelated values
    /// for different purposes.
    ///
    /// ```
    /// use api_mock_datagen::Rng;
    /// assert_ne!(Rng::for_purpose(7, "name").next_u64(), Rng::for_purpose(7, "city").next_u64());
    /// ```
    #[must_use]
    pub fn for_purpose(seed: i64, purpose: &str) -> Self {
        // FNV-1a over the name of the purpose, then the seed.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in purpose.bytes().chain(seed.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Rng::seeded(hash)
    }

    /// Any 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`; 0 if `bound` is 0.
    #[allow(clippy::cast_possible_truncation)]
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // The high half of the product is uniform but for a sliver of low halves, drawn again.
        let sliver = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= sliver {
                return (product >> 64) as u64;
            }
        }
    }

    /// A number from `low` up to but not including `high`. The other way round if `low` is the
    /// greater; `low` if both are equal.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let (low, high) = (low.min(high), low.max(high));
        let distance = self.below(high.abs_diff(low));
        low.saturating_add_unsigned(distance)
    }

    /// An index below `len`; 0 if `len` is 0.
    #[allow(clippy::cast_possible_truncation)]
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A float from `low` up to `high`.
    #[allow(clippy::cast_precision_loss)]
    pub fn float_between(&mut self, low: f64, high: f64) -> f64 {
        let part = (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        low + (high - low) * part
    }

    /// True or false.
    pub fn coin(&mut self) -> bool {
        self.next_u64() >> 63 == 1
    }

    /// One of the items, which must be some for the result to be one.
    pub fn pick<'i, T>(&mut self, items: &'i [T]) -> Option<&'i T> {
        items.get(self.index(items.len()))
    }

    /// One character of an ASCII alphabet; a space if it is empty.
    pub fn pick_char(&mut self, alphabet: &str) -> char {
        self.pick(alphabet.as_bytes()).map_or(' ', |byte| char::from(*byte))
    }

    /// `count` characters of an ASCII alphabet.
    pub fn string(&mut self, alphabet: &str, count: usize) -> String {
        (0..count).map(|_| self.pick_char(alphabet)).collect()
    }
}

/// One step of SplitMix64, which makes good states of any seeds.
fn spread(stream: &mut u64) -> u64 {
    *stream = stream.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *stream;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These numbers are part of the promise that seeds keep their meaning.
    #[test]
    fn seeds_keep_their_meaning() {
        let first = |seed| Rng::seeded(seed).next_u64();
        assert_eq!([first(0), first(1), first(u64::MAX)], GOLDEN);
    }

    const GOLDEN: [u64; 3] = [0x5317_5D61_490B_23DF, 0xCFC5_D07F_6F03_C29B, 0x56CC_F8CE_948E_27B2];

    #[test]
    fn numbers_fill_their_range_evenly() {
        let mut rng = Rng::seeded(0);
        let mut counts = [0; 7];
        (0..70_000).for_each(|_| counts[rng.index(7)] += 1);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn ranges_may_be_empty_reversed_or_huge() {
        let mut rng = Rng::seeded(3);
        assert_eq!(rng.between(5, 5), 5);
        for _ in 0..1000 {
            assert!((-3..9).contains(&rng.between(9, -3)));
            assert!(rng.between(i64::MIN, i64::MAX) < i64::MAX);
            assert!((2.0..3.0).contains(&rng.float_between(2.0, 3.0)));
        }
        assert_eq!((rng.below(0), rng.index(0), rng.pick::<u8>(&[])), (0, 0, None));
    }
}
