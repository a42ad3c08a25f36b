//! Small seeded generators: SplitMix64 (Steele, Lea & Flood 2014), and xoshiro256++ (Blackman & Vigna 2019), whose
//! state is filled by SplitMix64.
//!
//! They are implemented here so that a seed gives the same numbers regardless of the versions of dependencies.

/// SplitMix64, for a few numbers per seed.
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator for `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// An integer in 0..end, by the remainder of the division; the bias is below 2⁻³² if `end` is below 2³².
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end
    }

    /// A uniform number in low..high, with 53 random bits.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * (high - low)
    }
}

/// The generator xoshiro256++, with its state.
pub struct Random([u64; 4]);

impl Random {
    /// A generator for `seed`. Different values of `stream` give independent sequences for the same seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut fill = SplitMix64(seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03));
        Self(std::array::from_fn(|_| fill.next_u64()))
    }

    fn next_u64(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A uniform number in (0, 1), ends excluded.
    pub fn uniform(&mut self) -> f64 {
        ((self.next_u64() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// Two independent standard normal numbers (Marsaglia's polar method).
    pub fn normals(&mut self) -> [f64; 2] {
        loop {
            let (u, v) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let s = u * u + v * v;
            if s < 1.0 && s > 0.0 {
                let scale = (-2.0 * s.ln() / s).sqrt();
                return [u * scale, v * scale];
            }
        }
    }

    /// `count` different numbers below `len`, in ascending order; all of them if `count >= len`.
    pub fn sample(&mut self, len: usize, count: usize) -> Vec<usize> {
        // Selection sampling (Knuth, algorithm S): one pass, and the result is sorted.
        let mut chosen = Vec::with_capacity(count.min(len));
        for i in 0..len {
            let (wanted, left) = (count.min(len) - chosen.len(), len - i);
            if self.uniform() * (left as f64) < wanted as f64 {
                chosen.push(i);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_the_published_generators() {
        // Output of splitmix64.c with seed 1234567, and of xoshiro256plusplus.c with state 1, 2, 3, 4.
        let mut random = SplitMix64::new(1_234_567);
        for expected in [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431] {
            assert_eq!(random.next_u64(), expected);
        }
        let mut random = Random([1, 2, 3, 4]);
        for expected in [41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205] {
            assert_eq!(random.next_u64(), expected);
        }
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let mut random = Random::new(1, 0);
        let values: Vec<f64> = (0..20_000).flat_map(|_| random.normals()).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|x| x * x).sum::<f64>() / n;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
    }

    #[test]
    fn a_sample_is_sorted_and_has_the_asked_size() {
        let sample = Random::new(3, 0).sample(1000, 50);
        assert_eq!(sample.len(), 50);
        assert!(sample.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(Random::new(3, 0).sample(5, 9), [0, 1, 2, 3, 4]);
    }
}
