//! Weights for tests: whatever a network asks for.

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::linalg::SplitMix64;

/// Gives numbers without a pattern, the same for the same name: for name and shape of a tensor it is told what its
/// numbers lie around, and how far they are spread.
struct Noise(fn(&str, &[usize]) -> (f64, f64));

impl SimpleBackend for Noise {
    fn get(&self, s: Shape, name: &str, _: Init, _: DType, device: &Device) -> Result<Tensor> {
        let seed = name.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let (base, scale) = (self.0)(name, s.dims());
        let mut random = SplitMix64::new(seed);
        let numbers = (0..s.elem_count()).map(|_| (base + scale * random.between(-0.5, 0.5)) as f32);
        Tensor::from_vec(numbers.collect(), s, device)
    }

    fn get_unchecked(&self, _: &str, _: DType, _: &Device) -> Result<Tensor> {
        unreachable!("every shape is known")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

pub(super) fn noise(scale: fn(&str, &[usize]) -> (f64, f64)) -> VarBuilder<'static> {
    VarBuilder::from_backend(Box::new(Noise(scale)), DType::F32, Device::Cpu)
}
