//! A small seeded generator of numbers, so that a seed gives the same bytes on every machine and with every version
//! of every dependency. It knows nothing of telemetry, and is not for secrets.

/// Spreads a seed over 64 bits: one step of splitmix64 (Steele, Lea, Flood 2014).
pub(crate) fn spread(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// xoshiro256** (Blackman, Vigna 2018): fast, and long enough for billions of events.
#[derive(Debug, Clone)]
pub(crate) struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// A generator for one purpose. Streams of different `labels` do not depend on each other, so that one more
    /// draw in one place does not change every other file.
    pub(crate) fn new(seed: u64, labels: &[u64]) -> Self {
        let mut mixed = seed;
        for label in labels {
            let turned = spread(&mut mixed) ^ label.wrapping_mul(0xD6E8_FEB8_6659_FD93);
            mixed = turned;
        }
        Self {
            state: [
                spread(&mut mixed),
                spread(&mut mixed),
                spread(&mut mixed),
                spread(&mut mixed),
            ],
        }
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        let [first, second, third, fourth] = &mut self.state;
        let result = second.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *second << 17;
        *third ^= *first;
        *fourth ^= *second;
        *second ^= *third;
        *first ^= *fourth;
        *third ^= shifted;
        *fourth = fourth.rotate_left(45);
        result
    }

    /// A number in `0..bound`; 0 where the bound is 0. The bias of the multiply-shift is below 2^-32 for the bounds used here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).unwrap_or(0)
    }

    /// An index of a list of this length.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// A number in `from..to`, or `from` where that is empty.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        let width = u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        from + i64::try_from(self.below(width)).unwrap_or(0)
    }

    /// A fraction in `0.0..1.0`, of 53 bits.
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are what an f64 holds exactly"
    )]
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_first_values() {
        let mut state = 1_234_567;
        assert_eq!(spread(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(spread(&mut state), 3_203_168_211_198_807_973);
    }

    #[test]
    fn streams_repeat_and_differ_by_label() {
        let draw = |labels: &[u64]| {
            let mut rng = Rng::new(7, labels);
            (rng.next(), rng.next())
        };
        assert_eq!(draw(&[1, 2]), draw(&[1, 2]));
        assert_ne!(draw(&[1, 2]), draw(&[2, 1]));
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut rng = Rng::new(3, &[]);
        assert!((0..1000).all(|_| rng.below(7) < 7));
        assert!((0..1000).all(|_| (-5..5).contains(&rng.between(-5, 5))));
        assert!((0..1000).all(|_| (0.0..1.0).contains(&rng.fraction())));
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.between(4, 4), 4);
    }
}
