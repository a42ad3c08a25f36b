//! The inner loop of the scattering model on the CPU: convolution as one matrix product, and the moduli.
//!
//! candle's `conv2d` spends most of its time gathering patches one number at a time. These two operations keep the
//! product in candle and gather row by row. The tests compare them with `conv2d`, which other devices use.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

/// Maximum number of columns of a product. With this size a product fits in the cache, and candle starts no threads for
/// it.
const TILE: usize = 512;

/// The modulus |conv2d(`maps`, `bank`)| of each map with every wave of the bank, at every `step`-th pixel, without
/// padding. `maps` is (n, 1, height, width). `bank` is (2·waves, 1, kernel, kernel), real parts first. Returns (n,
/// waves, rows, columns).
pub(super) fn moduli(maps: &Tensor, bank: &Tensor, step: usize) -> Result<Tensor> {
    if !maps.device().is_cpu() {
        return moduli_by_conv2d(maps, bank, step);
    }
    let (n, _, height, width) = maps.dims4()?;
    let (parts, _, kernel, _) = bank.dims4()?;
    let (rows, columns) = ((height - kernel) / step + 1, (width - kernel) / step + 1);
    let bank = bank.reshape((1, parts, kernel * kernel))?;
    let patches = maps.apply_op1_no_bwd(&Patches { kernel, step })?;
    let waves = bank.broadcast_matmul(&patches)?;
    waves.apply_op1_no_bwd(&Modulus { maps: n })?.reshape((n, parts / 2, rows, columns))
}

/// The same result with `conv2d`, for other devices and as the reference in tests.
fn moduli_by_conv2d(maps: &Tensor, bank: &Tensor, step: usize) -> Result<Tensor> {
    let waves = maps.conv2d(bank, 0, step, 1, 1)?;
    let parts = waves.dim(1)?;
    let real = waves.narrow(1, 0, parts / 2)?.sqr()?;
    let imaginary = waves.narrow(1, parts / 2, parts / 2)?.sqr()?;
    (real + imaginary)?.sqrt()
}

/// Gathers the patches under a kernel: (n, 1, height, width) to (tiles, kernel², pixels of a tile). A tile is some rows
/// of one map.
struct Patches {
    kernel: usize,
    step: usize,
}

impl CustomOp1 for Patches {
    fn name(&self) -> &'static str {
        "patches"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let maps = numbers(storage, layout)?;
        let (n, _, height, width) = layout.shape().dims4()?;
        let Self { kernel, step } = *self;
        let (rows, columns) = ((height - kernel) / step + 1, (width - kernel) / step + 1);
        let tile_rows = divisor(rows, TILE / columns);
        let pixels = tile_rows * columns;

        // Columns sorted by their remainder modulo `step`, so that every `step`-th pixel is adjacent.
        let phase_width = width.div_ceil(step);
        let mut phases = vec![0.0; step * phase_width * height];
        let mut patches = Vec::with_capacity(n * rows / tile_rows * kernel * kernel * pixels);
        for map in maps.chunks_exact(height * width) {
            for (row, line) in map.chunks_exact(width).enumerate() {
                for phase in 0..step {
                    let sorted = &mut phases[(phase * height + row) * phase_width..][..phase_width];
                    for (to, from) in sorted.iter_mut().zip(line[phase..].iter().step_by(step)) {
                        *to = *from;
                    }
                }
            }
            for first in (0..rows).step_by(tile_rows) {
                for down in 0..kernel {
                    for across in 0..kernel {
                        for row in first..first + tile_rows {
                            let line = across % step * height + row * step + down;
                            let start = line * phase_width + across / step;
                            patches.extend_from_slice(&phases[start..start + columns]);
                        }
                    }
                }
            }
        }
        let shape = (n * rows / tile_rows, kernel * kernel, pixels);
        Ok((CpuStorage::F32(patches), shape.into()))
    }
}

/// The moduli of complex maps: (tiles, 2·waves, pixels), real parts first, to (maps, waves, pixels of a map).
struct Modulus {
    maps: usize,
}

impl CustomOp1 for Modulus {
    fn name(&self) -> &'static str {
        "modulus"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let waves = numbers(storage, layout)?;
        let (tiles, parts, pixels) = layout.shape().dims3()?;
        let tiles = tiles / self.maps;
        let mut moduli = Vec::with_capacity(waves.len() / 2);
        for map in waves.chunks_exact(tiles * parts * pixels) {
            for wave in 0..parts / 2 {
                for tile in map.chunks_exact(parts * pixels) {
                    let real = &tile[wave * pixels..][..pixels];
                    let imaginary = &tile[(parts / 2 + wave) * pixels..][..pixels];
                    moduli.extend(real.iter().zip(imaginary).map(|(a, b)| (a * a + b * b).sqrt()));
                }
            }
        }
        Ok((CpuStorage::F32(moduli), (self.maps, parts / 2, tiles * pixels).into()))
    }
}

/// The elements of a contiguous f32 tensor.
fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(numbers), Some((from, to))) => Ok(&numbers[from..to]),
        _ => bail!("the scattering kernels take contiguous f32 tensors"),
    }
}

/// The largest divisor of `number` that is at most `max`, but at least 1.
fn divisor(number: usize, max: usize) -> usize {
    (1..=max.min(number)).rev().find(|d| number.is_multiple_of(*d)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn equal_to_conv2d() {
        let device = Device::Cpu;
        for (n, height, width, kernel, waves, step) in [
            (1, 134, 134, 7, 8, 2),
            (8, 38, 38, 7, 8, 2),
            (3, 22, 22, 7, 8, 1),
            (2, 9, 12, 3, 1, 2),
            (2, 11, 10, 5, 2, 3),
            (1, 5, 5, 5, 1, 1),
        ] {
            let values = |count: usize| {
                Tensor::arange(0, count as u32, &device)?.to_dtype(DType::F32)?.sqr()?.affine(0.37, 0.1)?.sin()
            };
            let maps = values(n * height * width).unwrap().reshape((n, 1, height, width)).unwrap();
            let bank = values(2 * waves * kernel * kernel).unwrap().reshape((2 * waves, 1, kernel, kernel)).unwrap();
            let fast = moduli(&maps, &bank, step).unwrap();
            let slow = moduli_by_conv2d(&maps, &bank, step).unwrap();
            assert_eq!(fast.dims(), slow.dims());
            let error = (fast - slow).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(error < 1e-5, "{n} maps of {height}×{width}, kernel {kernel}, step {step}: {error}");
        }
    }
}
