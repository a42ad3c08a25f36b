//! Weights given by a formula, which scripts/measure/models.py has for PyTorch too, in files with the real shapes and
//! names.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::json;

use crate::vgg16::noise;

/// Tensors: name, shape, and numbers of the form `base + scale * noise`.
struct Formula(Vec<(String, Vec<usize>, f64, f64)>);

/// In a larger vocabulary only this many tokens have non-zero numbers, so that the file does not take a gigabyte of
/// disk space.
const TOKENS: usize = 1024;

impl Formula {
    fn add(&mut self, name: &str, shape: &[usize], base: f64, scale: f64) {
        self.0.push((name.to_owned(), shape.to_vec(), base, scale));
    }

    fn norm(&mut self, name: &str, width: usize, on: f64) {
        self.add(&format!("{name}.weight"), &[width], on, on * 0.4);
        self.add(&format!("{name}.bias"), &[width], 0.0, on * 0.2);
    }

    fn weight(&mut self, name: &str, shape: &[usize], gain: f64) {
        let fan_in: usize = shape[1..].iter().product();
        self.add(&format!("{name}.weight"), shape, 0.0, (12.0 * gain / fan_in as f64).sqrt());
    }

    fn dense(&mut self, name: &str, shape: &[usize], on: f64) {
        self.weight(name, shape, on);
        self.add(&format!("{name}.bias"), &shape[..1], 0.0, on * 0.2);
    }

    /// Two blocks have weights; the other ten are zero, so that they pass their input through.
    fn clip_tower(&mut self, tower: &str, width: usize) {
        for i in 0..12 {
            let (at, on) = (format!("{tower}.encoder.layers.{i}"), f64::from(u8::from(i < 2)));
            self.norm(&format!("{at}.layer_norm1"), width, on);
            for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                self.dense(&format!("{at}.self_attn.{part}"), &[width, width], on);
            }
            self.norm(&format!("{at}.layer_norm2"), width, on);
            self.dense(&format!("{at}.mlp.fc1"), &[4 * width, width], on);
            self.dense(&format!("{at}.mlp.fc2"), &[width, 4 * width], on);
        }
    }

    /// Writes a safetensors file; zeros are holes and take no space on the disk.
    fn write(&self, path: &Path) {
        let mut at = 0;
        let header: serde_json::Map<_, _> = self
            .0
            .iter()
            .map(|(name, shape, ..)| {
                let from = at;
                at += 4 * shape.iter().product::<usize>();
                (name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [from, at]}))
            })
            .collect();
        let header = serde_json::to_vec(&header).unwrap();
        let mut file = fs_err::OpenOptions::new().write(true).create_new(true).open(path).unwrap();
        file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
        file.write_all(&header).unwrap();
        for (i, (_, shape, base, scale)) in self.0.iter().enumerate() {
            let count: usize = shape.iter().product();
            let filled = match shape[..] {
                _ if *base == 0.0 && *scale == 0.0 => 0,
                [256_000, width] => TOKENS * width,
                _ => count,
            };
            let number = |j| (base + scale * noise(j, i + 1)) as f32;
            let bytes: Vec<u8> = (0..filled).flat_map(|j| number(j).to_le_bytes()).collect();
            file.write_all(&bytes).unwrap();
            file.seek(SeekFrom::Current(4 * (count - filled) as i64)).unwrap();
        }
        file.set_len(8 + header.len() as u64 + at as u64).unwrap();
    }
}

/// The weights file of a model, written once for all tests, in its own folder.
pub(crate) fn weights(model: &str) -> PathBuf {
    static FILES: [OnceLock<tempfile::TempDir>; 4] = [const { OnceLock::new() }; 4];
    let names = ["clip-vit-base-patch32", "dinov2-small", "resnet50", "siglip2-base-patch32-256"];
    let at = names.iter().position(|name| *name == model).unwrap();
    let dir = FILES[at].get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        [clip, dinov2, resnet50, siglip2][at]().write(&dir.path().join("model.safetensors"));
        dir
    });
    dir.path().join("model.safetensors")
}

fn clip() -> Formula {
    let mut f = Formula(Vec::new());
    f.add("vision_model.embeddings.class_embedding", &[768], 0.0, 1.0);
    f.weight("vision_model.embeddings.patch_embedding", &[768, 3, 32, 32], 1.0);
    f.add("vision_model.embeddings.position_embedding.weight", &[50, 768], 0.0, 1.0);
    f.norm("vision_model.pre_layrnorm", 768, 1.0);
    f.clip_tower("vision_model", 768);
    f.norm("vision_model.post_layernorm", 768, 1.0);
    f.weight("visual_projection", &[512, 768], 1.0);
    f.add("text_model.embeddings.token_embedding.weight", &[49408, 512], 0.0, 1.0);
    f.add("text_model.embeddings.position_embedding.weight", &[77, 512], 0.0, 1.0);
    f.clip_tower("text_model", 512);
    f.norm("text_model.final_layer_norm", 512, 1.0);
    f.weight("text_projection", &[512, 512], 1.0);
    f
}

fn siglip2() -> Formula {
    let mut f = Formula(Vec::new());
    f.dense("vision_model.embeddings.patch_embedding", &[768, 3, 32, 32], 1.0);
    f.add("vision_model.embeddings.position_embedding.weight", &[64, 768], 0.0, 1.0);
    f.clip_tower("vision_model", 768);
    f.norm("vision_model.post_layernorm", 768, 1.0);
    f.add("vision_model.head.probe", &[1, 1, 768], 0.0, 1.0);
    f.add("vision_model.head.attention.in_proj_weight", &[3 * 768, 768], 0.0, (12.0_f64 / 768.0).sqrt());
    f.add("vision_model.head.attention.in_proj_bias", &[3 * 768], 0.0, 0.2);
    f.dense("vision_model.head.attention.out_proj", &[768, 768], 1.0);
    f.norm("vision_model.head.layernorm", 768, 1.0);
    f.dense("vision_model.head.mlp.fc1", &[4 * 768, 768], 1.0);
    f.dense("vision_model.head.mlp.fc2", &[768, 4 * 768], 1.0);
    f.add("text_model.embeddings.token_embedding.weight", &[256_000, 768], 0.0, 1.0);
    f.add("text_model.embeddings.position_embedding.weight", &[64, 768], 0.0, 1.0);
    f.clip_tower("text_model", 768);
    f.norm("text_model.final_layer_norm", 768, 1.0);
    f.dense("text_model.head", &[768, 768], 1.0);
    f
}

fn dinov2() -> Formula {
    let mut f = Formula(Vec::new());
    f.add("embeddings.cls_token", &[1, 1, 384], 0.0, 1.0);
    f.add("embeddings.position_embeddings", &[1, 1370, 384], 0.0, 1.0);
    f.dense("embeddings.patch_embeddings.projection", &[384, 3, 14, 14], 1.0);
    for i in 0..12 {
        let at = format!("encoder.layer.{i}");
        f.norm(&format!("{at}.norm1"), 384, 1.0);
        for part in ["attention.query", "attention.key", "attention.value", "output.dense"] {
            f.dense(&format!("{at}.attention.{part}"), &[384, 384], 1.0);
        }
        f.add(&format!("{at}.layer_scale1.lambda1"), &[384], 0.5, 0.4);
        f.norm(&format!("{at}.norm2"), 384, 1.0);
        f.dense(&format!("{at}.mlp.fc1"), &[1536, 384], 1.0);
        f.dense(&format!("{at}.mlp.fc2"), &[384, 1536], 1.0);
        f.add(&format!("{at}.layer_scale2.lambda1"), &[384], 0.5, 0.4);
    }
    f.norm("layernorm", 384, 1.0);
    f
}

fn resnet50() -> Formula {
    fn conv(f: &mut Formula, name: &str, norm: &str, shape: [usize; 4]) {
        f.weight(name, &shape, 2.0);
        f.norm(norm, shape[0], 1.0);
        f.add(&format!("{norm}.running_mean"), &shape[..1], 0.0, 0.4);
        f.add(&format!("{norm}.running_var"), &shape[..1], 1.0, 0.5);
    }
    let mut f = Formula(Vec::new());
    conv(&mut f, "conv1", "bn1", [64, 3, 7, 7]);
    let mut of = 64;
    for (layer, (width, blocks)) in (1..).zip([(64, 3), (128, 4), (256, 6), (512, 3)]) {
        for i in 0..blocks {
            let at = |part: &str| format!("layer{layer}.{i}.{part}");
            conv(&mut f, &at("conv1"), &at("bn1"), [width, of, 1, 1]);
            conv(&mut f, &at("conv2"), &at("bn2"), [width, width, 3, 3]);
            conv(&mut f, &at("conv3"), &at("bn3"), [4 * width, width, 1, 1]);
            if i == 0 {
                conv(&mut f, &at("downsample.0"), &at("downsample.1"), [4 * width, of, 1, 1]);
            }
            of = 4 * width;
        }
    }
    f
}
