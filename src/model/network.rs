//! Pixels become a tensor; a network on candle takes pictures in groups of one size, the groups side
//! by side.

use anyhow::Result;
use candle_core::{Device, Tensor};
use candle_nn::{Func, Module};
use image::RgbImage;
use rayon::prelude::*;

use super::Model;
use super::table::Pretrained;

/// Pictures that go through together. Products of another shape may add in another order, so the
/// last group is filled up: a picture's vector then depends neither on its batch nor on the threads.
/// candle's elementwise operations use one thread, so it is the groups that share the cores.
const GROUP: usize = 2;

/// A network, and how it takes its pixels.
pub(super) struct Pictures {
    network: Func<'static>,
    row: &'static Pretrained,
}

impl Pictures {
    pub(super) fn new(network: Func<'static>, row: &'static Pretrained) -> Self {
        Self { network, row }
    }
}

/// (count, 3, height, width) of at most `count` pictures of one size, normalised as `row` says; what has
/// no picture is zero.
pub(super) fn input(pictures: &[RgbImage], count: usize, row: &Pretrained) -> Result<Tensor> {
    let (width, height) = pictures[0].dimensions();
    let plane = (width * height) as usize;
    let mut values = vec![0_f32; count * 3 * plane];
    pictures.par_iter().zip(values.par_chunks_exact_mut(3 * plane)).for_each(|(picture, out)| {
        for (c, out) in out.chunks_exact_mut(plane).enumerate() {
            for (out, pixel) in out.iter_mut().zip(picture.as_raw().chunks_exact(3)) {
                *out = (f32::from(pixel[c]) / 255.0 - row.mean[c]) / row.std[c];
            }
        }
    });
    Ok(Tensor::from_vec(values, (count, 3, height as usize, width as usize), &Device::Cpu)?)
}

impl Model for Pictures {
    fn embed(&self, pictures: &[RgbImage]) -> Result<Vec<f32>> {
        let group = |pictures: &[RgbImage]| -> Result<Vec<f32>> {
            let vectors = self.network.forward(&input(pictures, GROUP, self.row)?)?;
            Ok(vectors.narrow(0, 0, pictures.len())?.flatten_all()?.to_vec1()?)
        };
        let groups: Vec<Vec<f32>> = pictures.par_chunks(GROUP).map(group).collect::<Result<_>>()?;
        Ok(groups.concat())
    }
}
