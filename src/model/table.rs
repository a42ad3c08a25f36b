//! The pretrained networks as data: where the weights are, how their authors prepare a picture, and
//! what is read from them.
//!
//! Another network is a row here, a value of [`ModelName`], and a file with its function, which `mod.rs` names.

use super::input::Input;
use super::network::{Build, Kernels, Normalisation};
use super::{clip, dinov2, lite0, resnet50, siglip, text, vgg16};
use crate::config::ModelName;
use crate::photo::Filter;
use crate::weights::Published;

/// One network.
pub(super) struct Pretrained {
    /// Its name, and where its weights are.
    pub(super) weights: Published,
    /// How a picture becomes its square input.
    pub(super) input: Input,
    /// How the square's numbers become the network's.
    pub(super) normalisation: Normalisation,
    /// Length of its vectors.
    pub(super) dim: usize,
    /// Pictures that are handed to it together.
    pub(super) batch: usize,
    /// Raised when the same weights give other vectors.
    pub(super) version: u32,
    /// How it is made.
    pub(super) network: Network,
}

/// How a network is made.
pub(super) enum Network {
    /// With a choice of layer, pooling and fit; its `input` and `dim` above are the defaults.
    Vgg16,
    /// With a choice of fit, and classes.
    Lite0,
    /// With one output, called by the name that stands in keys: by candle, and by our kernels; whether these can have
    /// products of factors of sixteen bits.
    Fixed { output: &'static str, build: Build, kernels: Kernels, brief: bool },
}

/// That of ImageNet's training set, as torchvision has it.
const IMAGENET: Normalisation = Normalisation { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
/// That of CLIP's training set.
const CLIP: Normalisation =
    Normalisation { mean: [0.481_454_66, 0.457_827_5, 0.408_210_73], std: [0.268_629_55, 0.261_302_6, 0.275_777_1] };
/// 0..1 to -1..1.
const SYMMETRIC: Normalisation = Normalisation { mean: [0.5; 3], std: [0.5; 3] };

/// What does without a download.
const BUILT_IN: Option<&str> = Some("use --model efficientnet-lite0, which is built in");

/// The row of a model; the scattering model has no weights and so no row.
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
    weights: Published {
        name: "vgg16",
        repo: "timm/vgg16.tv_in1k",
        revision: "3394518cba29aee1ea82a49d971be90d2dd1dab7",
        sha256: "57b026918159a6bf9faf8405c3a551903768e7138989d9c6224a14227203fad8",
        traits: &[("/architecture", "vgg16")],
        instead: BUILT_IN,
        built_in: None,
    },
    input: Input::Square { side: 224, filter: Filter::Bilinear },
    normalisation: IMAGENET,
    dim: 512 * 7 * 7,
    batch: vgg16::BATCH,
    version: 2,
    network: Network::Vgg16,
};

/// Liu 2020, after Tan & Le 2019, arXiv:1905.11946; prepared as by the code of its authors.
static LITE0: Pretrained = Pretrained {
    weights: Published {
        name: "efficientnet-lite0",
        repo: "timm/tf_efficientnet_lite0.in1k",
        revision: "main",
        sha256: "",
        traits: &[("/architecture", "tf_efficientnet_lite0")],
        instead: BUILT_IN,
        built_in: Some(&lite0::BUILT_IN),
    },
    input: Input::Crop { short: 256, side: 224, filter: Filter::Bicubic },
    normalisation: lite0::NORMALISATION,
    dim: lite0::DIM,
    batch: 64,
    version: 1,
    network: Network::Lite0,
};

/// Radford et al. 2021, arXiv:2103.00020; prepared as by the code of its authors.
static CLIP_VIT_B32: Pretrained = Pretrained {
    weights: Published {
        name: "clip-vit-base-patch32",
        repo: "openai/clip-vit-base-patch32",
        // The conversion to safetensors, which was never merged into the main branch.
        revision: "b33cedfd0df4e43b8238760678fcc89e1a0d38b3",
        sha256: "99d28a652e6ec46629ab7047a0ac82c69b1fe11e0ce672c43af65d3a9a3fc05d",
        traits: &[
            ("/vision_config/hidden_act", "quick_gelu"),
            ("/vision_config/num_attention_heads", "12"),
            ("/vision_config/layer_norm_eps", "1e-5"),
            ("/text_config/hidden_act", "quick_gelu"),
            ("/text_config/num_attention_heads", "8"),
            ("/text_config/layer_norm_eps", "1e-5"),
        ],
        // Whoever asks for the model that knows texts is not helped by one that knows none.
        instead: None,
        built_in: None,
    },
    input: Input::Crop { short: 224, side: 224, filter: Filter::Bicubic },
    normalisation: CLIP,
    dim: 512,
    batch: 16,
    version: 2,
    network: Network::Fixed {
        output: text::IMAGES,
        build: clip::image_tower,
        kernels: clip::image_kernels,
        brief: true,
    },
};

/// Tschannen et al. 2025, arXiv:2502.14786; prepared as its repository's `preprocessor_config.json` says.
static SIGLIP2_B32: Pretrained = Pretrained {
    weights: Published {
        name: "siglip2-base-patch32-256",
        repo: "google/siglip2-base-patch32-256",
        // Public lists name two commits with the same bytes: this one, and less often 9e7ee6850617.
        revision: "94dffa8cb1179de3e03f091dbc3917e5d5a9ae84",
        sha256: "7d241bb3becad218f211f480487f491df4f8c0a472ecf7afdec5615815a301f1",
        traits: &[
            ("/vision_config/hidden_act", "gelu_pytorch_tanh"),
            ("/vision_config/num_attention_heads", "12"),
            ("/vision_config/layer_norm_eps", "1e-6"),
            ("/text_config/hidden_act", "gelu_pytorch_tanh"),
            ("/text_config/num_attention_heads", "12"),
            ("/text_config/layer_norm_eps", "1e-6"),
        ],
        instead: None,
        built_in: None,
    },
    input: Input::Square { side: 256, filter: Filter::Bilinear },
    normalisation: SYMMETRIC,
    dim: 768,
    batch: 16,
    version: 1,
    network: Network::Fixed {
        output: text::IMAGES,
        build: siglip::image_tower,
        kernels: siglip::image_kernels,
        brief: true,
    },
};

/// Oquab et al. 2023, arXiv:2304.07193; prepared as for its authors' evaluations.
static DINOV2_SMALL: Pretrained = Pretrained {
    weights: Published {
        name: "dinov2-small",
        repo: "facebook/dinov2-small",
        revision: "ed25f3a31f01632728cabb09d1542f84ab7b0056",
        sha256: "ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1",
        traits: &[("/hidden_act", "gelu"), ("/num_attention_heads", "6"), ("/layer_norm_eps", "1e-6")],
        instead: BUILT_IN,
        built_in: None,
    },
    input: Input::Crop { short: 256, side: 224, filter: Filter::Bicubic },
    normalisation: IMAGENET,
    dim: 384,
    batch: 16,
    version: 2,
    network: Network::Fixed { output: "cls", build: dinov2::small, kernels: dinov2::small_kernels, brief: true },
};

/// He et al. 2015, arXiv:1512.03385, trained as in arXiv:2110.00476 (A1); timm scales to
/// 224 / 0.95 before it cuts.
static RESNET50: Pretrained = Pretrained {
    weights: Published {
        name: "resnet50",
        repo: "timm/resnet50.a1_in1k",
        revision: "767268603ca0cb0bfe326fa87277f19c419566ef",
        sha256: "773525d5821de224f8f30c33377b7a795d7863e08522698200d3217d3f2a41bb",
        traits: &[("/architecture", "resnet50")],
        instead: BUILT_IN,
        built_in: None,
    },
    input: Input::Crop { short: 235, side: 224, filter: Filter::Bicubic },
    normalisation: IMAGENET,
    dim: 2048,
    batch: 8,
    version: 2,
    network: Network::Fixed {
        output: "pooled",
        build: resnet50::by_candle,
        kernels: resnet50::by_kernels,
        brief: false,
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::network::wanted;

    /// Numbers in the tensors that each network asks for: those of its parameters, without the heads
    /// that are not read, and with the two running figures of each channel in ResNet's normalisation.
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
            let Network::Fixed { build, .. } = row.network else { panic!("{} has one output", row.weights.name) };
            let wanted = wanted(build).unwrap();
            let count: usize = wanted.iter().map(|w| w.shape.iter().product::<usize>()).sum();
            assert_eq!((wanted.len(), count), (tensors, numbers), "{}", row.weights.name);
        }
    }
}
