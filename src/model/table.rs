//! The pretrained networks as data: where the weights are published, how a picture is prepared, and which output is
//! used.
//!
//! To add a network, add a row here, a value of [`ModelName`], and a file with its function, which `mod.rs` declares.

use super::input::Preprocessing;
use super::network::{BuildKernels, BuildNetwork, Normalisation};
use super::{clip, dinov2, lite0, resnet50, siglip, text, vgg16};
use crate::config::ModelName;
use crate::photo::Filter;
use crate::weights::WeightsSource;

/// A pretrained network.
pub(super) struct Pretrained {
    /// Its name, and where the weights are published.
    pub(super) weights: WeightsSource,
    /// How a picture becomes the square input.
    pub(super) preprocessing: Preprocessing,
    /// How pixel values become the numbers that the network takes.
    pub(super) normalisation: Normalisation,
    /// Length of a vector.
    pub(super) dim: usize,
    /// Pictures per batch.
    pub(super) batch: usize,
    /// Increased whenever the same weights would give other vectors, so that cached vectors become stale.
    pub(super) version: u32,
    /// The architecture and how it is built.
    pub(super) network: Architecture,
}

/// How a network is built.
pub(super) enum Architecture {
    /// With a choice of layer, pooling and fit. `preprocessing` and `dim` of the row are the defaults.
    Vgg16,
    /// With a choice of fit, and with a classifier.
    Lite0,
    /// With one output. `output` is its name in keys, `build` builds the network on candle and `kernels` on our own
    /// kernels. `supports_bf16` says whether the kernels can use bf16 products.
    Fixed { output: &'static str, build: BuildNetwork, kernels: BuildKernels, supports_bf16: bool },
}

/// Mean and standard deviation of ImageNet's training set, as in torchvision.
const IMAGENET: Normalisation = Normalisation { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
/// Mean and standard deviation of CLIP's training set.
const CLIP: Normalisation =
    Normalisation { mean: [0.481_454_66, 0.457_827_5, 0.408_210_73], std: [0.268_629_55, 0.261_302_6, 0.275_777_1] };
/// Maps 0..1 to -1..1.
const SYMMETRIC: Normalisation = Normalisation { mean: [0.5; 3], std: [0.5; 3] };

/// The alternative suggested when weights cannot be downloaded.
const BUILT_IN: Option<&str> = Some("use --model efficientnet-lite0, which is built in");

/// The row of a model. The scattering model has none, because it has no weights.
pub(super) fn pretrained(name: ModelName) -> Option<&'static Pretrained> {
    match name {
        ModelName::Scattering => None,
        ModelName::Vgg16 => Some(&VGG16),
        ModelName::Clip => Some(&CLIP_VIT_B32),
        ModelName::Siglip2 => Some(&SIGLIP2_B32),
        ModelName::Dinov2 => Some(&DINOV2_SMALL),
        ModelName::Resnet50 => Some(&RESNET50),
        ModelName::Lite0 => Some(&LITE0),
    }
}

static VGG16: Pretrained = Pretrained {
    weights: WeightsSource {
        name: "vgg16",
        repo: "timm/vgg16.tv_in1k",
        revision: "3394518cba29aee1ea82a49d971be90d2dd1dab7",
        sha256: "57b026918159a6bf9faf8405c3a551903768e7138989d9c6224a14227203fad8",
        expected_config: &[("/architecture", "vgg16")],
        alternative: BUILT_IN,
        built_in: None,
    },
    preprocessing: Preprocessing::Square { side: 224, filter: Filter::Bilinear },
    normalisation: IMAGENET,
    dim: 512 * 7 * 7,
    batch: vgg16::BATCH,
    version: 2,
    network: Architecture::Vgg16,
};

/// Liu 2020, after Tan & Le 2019, arXiv:1905.11946. Pictures are prepared as in the authors' code.
static LITE0: Pretrained = Pretrained {
    weights: WeightsSource {
        name: "efficientnet-lite0",
        repo: "timm/tf_efficientnet_lite0.in1k",
        revision: "main",
        sha256: "",
        expected_config: &[("/architecture", "tf_efficientnet_lite0")],
        alternative: BUILT_IN,
        built_in: Some(&lite0::BUILT_IN),
    },
    preprocessing: Preprocessing::Crop { short: 256, side: 224, filter: Filter::Bicubic },
    normalisation: lite0::NORMALISATION,
    dim: lite0::DIM,
    batch: 64,
    version: 1,
    network: Architecture::Lite0,
};

/// Radford et al. 2021, arXiv:2103.00020. Pictures are prepared as in the authors' code.
static CLIP_VIT_B32: Pretrained = Pretrained {
    weights: WeightsSource {
        name: "clip-vit-base-patch32",
        repo: "openai/clip-vit-base-patch32",
        // The safetensors conversion, which was never merged into the main branch.
        revision: "b33cedfd0df4e43b8238760678fcc89e1a0d38b3",
        sha256: "99d28a652e6ec46629ab7047a0ac82c69b1fe11e0ce672c43af65d3a9a3fc05d",
        expected_config: &[
            ("/vision_config/hidden_act", "quick_gelu"),
            ("/vision_config/num_attention_heads", "12"),
            ("/vision_config/layer_norm_eps", "1e-5"),
            ("/text_config/hidden_act", "quick_gelu"),
            ("/text_config/num_attention_heads", "8"),
            ("/text_config/layer_norm_eps", "1e-5"),
        ],
        // None: a model without a text tower is not an alternative for a user who needs one.
        alternative: None,
        built_in: None,
    },
    preprocessing: Preprocessing::Crop { short: 224, side: 224, filter: Filter::Bicubic },
    normalisation: CLIP,
    dim: 512,
    batch: 16,
    version: 2,
    network: Architecture::Fixed {
        output: text::IMAGE_OUTPUT,
        build: clip::image_tower,
        kernels: clip::image_kernels,
        supports_bf16: true,
    },
};

/// Tschannen et al. 2025, arXiv:2502.14786. Pictures are prepared as in the repository's `preprocessor_config.json`.
static SIGLIP2_B32: Pretrained = Pretrained {
    weights: WeightsSource {
        name: "siglip2-base-patch32-256",
        repo: "google/siglip2-base-patch32-256",
        // Public lists name two commits with the same content: this one, and less often 9e7ee6850617.
        revision: "94dffa8cb1179de3e03f091dbc3917e5d5a9ae84",
        sha256: "7d241bb3becad218f211f480487f491df4f8c0a472ecf7afdec5615815a301f1",
        expected_config: &[
            ("/vision_config/hidden_act", "gelu_pytorch_tanh"),
            ("/vision_config/num_attention_heads", "12"),
            ("/vision_config/layer_norm_eps", "1e-6"),
            ("/text_config/hidden_act", "gelu_pytorch_tanh"),
            ("/text_config/num_attention_heads", "12"),
            ("/text_config/layer_norm_eps", "1e-6"),
        ],
        alternative: None,
        built_in: None,
    },
    preprocessing: Preprocessing::Square { side: 256, filter: Filter::Bilinear },
    normalisation: SYMMETRIC,
    dim: 768,
    batch: 16,
    version: 1,
    network: Architecture::Fixed {
        output: text::IMAGE_OUTPUT,
        build: siglip::image_tower,
        kernels: siglip::image_kernels,
        supports_bf16: true,
    },
};

/// Oquab et al. 2023, arXiv:2304.07193. Pictures are prepared as for the authors' evaluations.
static DINOV2_SMALL: Pretrained = Pretrained {
    weights: WeightsSource {
        name: "dinov2-small",
        repo: "facebook/dinov2-small",
        revision: "ed25f3a31f01632728cabb09d1542f84ab7b0056",
        sha256: "ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1",
        expected_config: &[("/hidden_act", "gelu"), ("/num_attention_heads", "6"), ("/layer_norm_eps", "1e-6")],
        alternative: BUILT_IN,
        built_in: None,
    },
    preprocessing: Preprocessing::Crop { short: 256, side: 224, filter: Filter::Bicubic },
    normalisation: IMAGENET,
    dim: 384,
    batch: 16,
    version: 2,
    network: Architecture::Fixed {
        output: "cls",
        build: dinov2::small,
        kernels: dinov2::small_kernels,
        supports_bf16: true,
    },
};

/// He et al. 2015, arXiv:1512.03385, trained as in arXiv:2110.00476 (A1). Pictures are prepared as in timm, which
/// resizes the short side to 224 / 0.95 before it crops.
static RESNET50: Pretrained = Pretrained {
    weights: WeightsSource {
        name: "resnet50",
        repo: "timm/resnet50.a1_in1k",
        revision: "767268603ca0cb0bfe326fa87277f19c419566ef",
        sha256: "773525d5821de224f8f30c33377b7a795d7863e08522698200d3217d3f2a41bb",
        expected_config: &[("/architecture", "resnet50")],
        alternative: BUILT_IN,
        built_in: None,
    },
    preprocessing: Preprocessing::Crop { short: 235, side: 224, filter: Filter::Bicubic },
    normalisation: IMAGENET,
    dim: 2048,
    batch: 8,
    version: 2,
    network: Architecture::Fixed {
        output: "pooled",
        build: resnet50::by_candle,
        kernels: resnet50::by_kernels,
        supports_bf16: false,
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::network::tensor_specs;

    /// The number of parameters in the tensors that each network requests: without the heads that are not used, and
    /// with the running mean and variance of each channel in ResNet's batch normalisation.
    #[test]
    fn networks_ask_for_what_they_need_and_no_more() {
        let cases = [
            (ModelName::Clip, 200, 87_849_216),
            (ModelName::Siglip2, 208, 94_552_320),
            (ModelName::Dinov2, 222, 22_056_192),
            (ModelName::Resnet50, 265, 23_508_032 + 53_120),
        ];
        for (name, tensors, numbers) in cases {
            let row = pretrained(name).unwrap();
            let Architecture::Fixed { build, .. } = row.network else { panic!("{} has one output", row.weights.name) };
            let tensor_specs = tensor_specs(build).unwrap();
            let count: usize = tensor_specs.iter().map(|w| w.shape.iter().product::<usize>()).sum();
            assert_eq!((tensor_specs.len(), count), (tensors, numbers), "{}", row.weights.name);
        }
    }
}
