//! Random weights for tests, generated for each tensor that a network requests.

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::linalg::SplitMix64;

/// Generates pseudorandom tensors, seeded by the tensor's name. The function returns the centre of the values and the
/// width of their range, given name and shape.
struct Noise(fn(&str, &[usize]) -> (f64, f64));

impl SimpleBackend for Noise {
    fn get(&self, shape: Shape, name: &str, _: Init, _: DType, device: &Device) -> Result<Tensor> {
        let seed = name.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let (base, scale) = (self.0)(name, shape.dims());
        let mut random = SplitMix64::new(seed);
        let numbers = (0..shape.elem_count()).map(|_| (base + scale * random.between(-0.5, 0.5)) as f32);
        Tensor::from_vec(numbers.collect(), shape, device)
    }

    fn get_unchecked(&self, _: &str, _: DType, _: &Device) -> Result<Tensor> {
        unreachable!("every shape is known")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// A source of pseudorandom tensors; see [`Noise`].
pub(super) fn noise(scale: fn(&str, &[usize]) -> (f64, f64)) -> VarBuilder<'static> {
    VarBuilder::from_backend(Box::new(Noise(scale)), DType::F32, Device::Cpu)
}
