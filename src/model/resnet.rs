//! ResNet-50 (He et al. 2015, arXiv:1512.03385) as candle-transformers has it, up to the mean over
//! the last 7x7 places: 2,048 numbers, none negative.

use candle_core::Result;
use candle_nn::{Func, VarBuilder};
use candle_transformers::models::resnet::resnet50_no_final_layer;

/// (n, 3, 224, 224) to (n, 2048), from tensors under timm's names, which are torchvision's.
pub(super) fn resnet50(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    resnet50_no_final_layer(tensors)
}
