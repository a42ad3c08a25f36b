//! A small seeded generator: xoshiro256++ (Blackman & Vigna 2019), filled by splitmix64.
//!
//! Written out here so that a seed means the same numbers in every version of every dependency.

/// The state of the generator.
pub struct Random([u64; 4]);

impl Random {
    /// A generator for `seed`; `stream` tells apart the users of one seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut state = seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03);
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        }))
    }

    fn next(&mut self) -> u64 {
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

    /// Uniform in (0, 1).
    pub fn uniform(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
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

    /// `count` different numbers below `len`, in ascending order: all of them if `count >= len`.
    pub fn sample(&mut self, len: usize, count: usize) -> Vec<usize> {
        // Selection sampling (Knuth, algorithm S): one pass, sorted, no table.
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
