//! The layers of a vision transformer in sequence, from pixels to one vector per picture.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::super::kernels::dense::Rows;
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, SimdLevel};
use super::attention::{AttentionInput, Heads};
use super::functions::Activation;
use super::linear::{EpilogueKind, Linear};
use super::norm::LayerNorm;
use super::pooled::Pooled;
use super::{RowLayout, room};

/// Red, green and blue.
const CHANNELS: usize = 3;

/// Turns a picture into tokens.
#[derive(Debug)]
pub(in super::super) struct PatchEmbedding {
    /// Side of a patch in pixels.
    pub(in super::super) side: usize,
    /// Patches per side of a picture.
    pub(in super::super) across: usize,
    /// The product from the pixels of a patch (channel, row, column) to a token.
    pub(in super::super) linear: Linear,
    /// The class token, which precedes the patches, with its position embedding added.
    pub(in super::super) class: Option<Vec<f32>>,
    /// Position embeddings of the patches, (patches, width).
    pub(in super::super) positions: Vec<f32>,
}

/// An encoder layer: attention, then an MLP of two products. The input of each is normalised, and its output is added
/// to the residual stream.
#[derive(Debug)]
pub(in super::super) struct EncoderLayer {
    /// The normalisation before attention.
    pub(in super::super) norm: LayerNorm,
    /// The product to queries (divided by the root of a head's depth), keys and values, one after another.
    pub(in super::super) qkv: Linear,
    /// The part after attention.
    pub(in super::super) post_attention: PostAttention,
}

/// The part of a layer after attention.
#[derive(Debug)]
pub(in super::super) struct PostAttention {
    /// The output projection of attention.
    pub(in super::super) out_proj: Linear,
    /// The normalisation before the MLP.
    pub(in super::super) norm: LayerNorm,
    /// The first product of the MLP, to more channels; the activation follows.
    pub(in super::super) fc1: Linear,
    /// The second product, back to the width of a token.
    pub(in super::super) fc2: Linear,
}

/// How the tokens of the last layer become one vector.
#[derive(Debug)]
pub(in super::super) enum Head {
    /// The vector is the first token, normalised, and projected if there is a projection.
    Class(Option<Linear>),
    /// The vector is pooled from all normalised tokens by attention.
    Pooled(Box<Pooled>),
}

/// A vision transformer, with the weights in the layout of the kernels.
#[derive(Debug)]
pub(in super::super) struct VisionTransformer {
    /// SIMD level.
    pub(in super::super) level: SimdLevel,
    /// The patch embedding.
    pub(in super::super) patches: PatchEmbedding,
    /// A normalisation before the first layer, if the network has one.
    pub(in super::super) norm_before: Option<LayerNorm>,
    /// The encoder layers.
    pub(in super::super) layers: Vec<EncoderLayer>,
    /// Number of attention heads.
    pub(in super::super) heads: usize,
    /// The activation of the MLPs.
    pub(in super::super) activation: Activation,
    /// The normalisation after the last layer.
    pub(in super::super) norm_after: LayerNorm,
    /// How tokens become a vector.
    pub(in super::super) head: Head,
    /// Whether vectors are scaled to length one.
    pub(in super::super) unit_length: bool,
    /// Workspaces that are not in use.
    pub(in super::super) workspaces: WorkspacePool,
}

/// A pool of workspaces. They are reused and grow to the largest batch.
#[derive(Debug, Default)]
pub(in super::super) struct WorkspacePool(Mutex<Vec<Workspace>>);

/// Memory for one batch besides the weights.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// For one row per token.
    tokens: Buffers,
    /// For one row per picture.
    vectors: Buffers,
    scratch: Scratch,
}

/// Activations: the residual stream, the output of normalisation or attention, and wider intermediate results.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) stream: Vec<Block>,
    pub(super) normalised: Vec<Block>,
    pub(super) hidden: Vec<Block>,
    pub(super) row_stats: Vec<[f32; 2]>,
}

impl VisionTransformer {
    /// The vectors of `planes`, (pictures, 3, side, side), one after another.
    pub(in super::super) fn forward(&self, planes: &[f32]) -> Vec<f32> {
        let side = self.patches.side * self.patches.across;
        let pictures = planes.len() / (CHANNELS * side * side);
        assert!(pictures > 0 && planes.len() == pictures * CHANNELS * side * side, "the shape of the planes");
        let workspaces = || self.workspaces.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The lock is not held during the computation: a rayon thread that waits may start another caller's batch, and
        // could deadlock.
        let mut memory = workspaces().pop().unwrap_or_default();
        let vectors = rayon::scope(|_| self.forward_in_pool(planes, pictures, &mut memory));
        workspaces().push(memory);
        vectors
    }

    /// Blocks per token.
    fn width(&self) -> usize {
        self.patches.linear.to()
    }

    fn forward_in_pool(&self, planes: &[f32], pictures: usize, memory: &mut Workspace) -> Vec<f32> {
        let Workspace { tokens, vectors, scratch } = memory;
        let count = self.patches.tokens();
        let (layout, per_picture) = (RowLayout::of(pictures * count), RowLayout::of(pictures));
        self.patches.embed(planes, layout, tokens);
        if let Some(norm) = &self.norm_before {
            let normalised = room(&mut tokens.normalised, layout.len(self.width()));
            norm.forward(layout, &tokens.stream, normalised, &mut tokens.row_stats);
            std::mem::swap(&mut tokens.stream, &mut tokens.normalised);
        }
        let (last, layers) = self.layers.split_last().expect("a tower has layers");
        for layer in layers {
            self.attend(layer, layout, tokens, scratch);
            layer.post_attention.forward(layout, tokens, self.activation);
        }
        match &self.head {
            Head::Class(projection) => {
                // The head uses only the first token, so the last layer computes only this one.
                self.attend_to_all(last, pictures, tokens, vectors, scratch);
                last.post_attention.forward(per_picture, vectors, self.activation);
                self.normalise(per_picture, vectors);
                self.output_vectors(per_picture, vectors, projection.as_ref())
            }
            Head::Pooled(pooled) => {
                self.attend(last, layout, tokens, scratch);
                last.post_attention.forward(layout, tokens, self.activation);
                self.normalise(layout, tokens);
                pooled.forward(self.heads(), [layout, per_picture], [tokens, vectors], self.activation, scratch);
                self.numbers(per_picture, &vectors.stream, self.width() * BLOCK)
            }
        }
    }

    fn heads(&self) -> Heads {
        Heads { level: self.level, count: self.heads, depth: self.width() / self.heads }
    }

    /// Applies the last normalisation to `stream`; the result is in `normalised`.
    fn normalise(&self, layout: RowLayout, buffers: &mut Buffers) {
        let normalised = room(&mut buffers.normalised, layout.len(self.width()));
        self.norm_after.forward(layout, &buffers.stream, normalised, &mut buffers.row_stats);
    }

    /// Computes queries, keys and values of all tokens into `hidden`.
    fn qkv(&self, layer: &EncoderLayer, layout: RowLayout, tokens: &mut Buffers) {
        let normalised = room(&mut tokens.normalised, layout.len(self.width()));
        layer.norm.forward(layout, &tokens.stream, normalised, &mut tokens.row_stats);
        let hidden = room(&mut tokens.hidden, layout.len(layer.qkv.to()));
        layer.qkv.forward(layout, normalised, EpilogueKind::Store, hidden);
    }

    /// Attention of all tokens, into `normalised`.
    fn attend(&self, layer: &EncoderLayer, layout: RowLayout, tokens: &mut Buffers, scratch: &Scratch) {
        self.qkv(layer, layout, tokens);
        let count = self.patches.tokens();
        let attention_input = self.attention_input(layout, &tokens.hidden, count);
        self.heads().attend(attention_input, layout, room(&mut tokens.normalised, layout.len(self.width())), scratch);
    }

    /// Attention of the first token of each picture only, into `normalised` of `vectors`. Its residual is copied to
    /// `stream` of `vectors`.
    fn attend_to_all(
        &self,
        layer: &EncoderLayer,
        pictures: usize,
        tokens: &mut Buffers,
        vectors: &mut Buffers,
        scratch: &Scratch,
    ) {
        let count = self.patches.tokens();
        let (layout, per_picture) = (RowLayout::of(pictures * count), RowLayout::of(pictures));
        self.qkv(layer, layout, tokens);
        let attention_input = self.attention_input(layout, &tokens.hidden, 1);
        self.heads().attend(
            attention_input,
            per_picture,
            room(&mut vectors.normalised, per_picture.len(self.width())),
            scratch,
        );
        let stream = room(&mut vectors.stream, per_picture.len(self.width()));
        for (to, from) in stream.chunks_mut(per_picture.block_stride).zip(tokens.stream.chunks(layout.block_stride)) {
            for (to, from) in to.iter_mut().zip(from.iter().step_by(count)).take(pictures) {
                *to = *from;
            }
        }
    }

    /// Views of the queries, keys and values in `hidden`.
    fn attention_input<'a>(&self, layout: RowLayout, hidden: &'a [Block], queries: usize) -> AttentionInput<'a> {
        let tokens = self.patches.tokens();
        let part = |index: usize| Rows {
            blocks: &hidden[layout.len(index * self.width())..],
            block_stride: layout.block_stride,
        };
        let pictures = layout.rows / tokens;
        AttentionInput { pictures, queries, query_stride: tokens, tokens, query: part(0), key: part(1), value: part(2) }
    }

    /// The output vectors: the normalised ones, projected if there is a projection.
    fn output_vectors(&self, layout: RowLayout, vectors: &mut Buffers, projection: Option<&Linear>) -> Vec<f32> {
        let Some(projection) = projection else {
            return self.numbers(layout, &vectors.normalised, self.width() * BLOCK);
        };
        let hidden = room(&mut vectors.hidden, layout.len(projection.to()));
        projection.forward(layout, &vectors.normalised, EpilogueKind::Store, hidden);
        self.numbers(layout, hidden, projection.outputs())
    }

    /// The first `count` numbers of each row, scaled to length one if the model asks for it.
    fn numbers(&self, layout: RowLayout, blocks: &[Block], count: usize) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(layout.rows * count);
        for row in 0..layout.rows {
            let start = numbers.len();
            numbers.extend((0..count).map(|i| blocks[i / BLOCK * layout.block_stride + row].0[i % BLOCK]));
            if self.unit_length {
                let vector = &mut numbers[start..];
                let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
                vector.iter_mut().for_each(|x| *x /= length);
            }
        }
        numbers
    }
}

impl PatchEmbedding {
    /// Tokens per picture.
    fn tokens(&self) -> usize {
        self.across * self.across + usize::from(self.class.is_some())
    }

    /// Computes the tokens of all pictures into `stream`: projected patches plus position embeddings, and the class
    /// token.
    fn embed(&self, planes: &[f32], layout: RowLayout, buffers: &mut Buffers) {
        let pixels = room(&mut buffers.hidden, layout.len(self.linear.from()));
        pixels
            .par_chunks_mut(layout.block_stride)
            .enumerate()
            .for_each(|(block, rows)| self.gather(planes, block, rows));
        let stream = room(&mut buffers.stream, layout.len(self.linear.to()));
        self.linear.forward(layout, pixels, EpilogueKind::Store, stream);
        let width = self.positions.len() / (self.across * self.across);
        stream.par_chunks_mut(layout.block_stride).enumerate().for_each(|(block, rows)| {
            let channels = block * BLOCK..width.min((block + 1) * BLOCK);
            for picture in rows[..layout.rows].chunks_mut(self.tokens()) {
                let (class, patches) = picture.split_at_mut(picture.len() - self.across * self.across);
                for (class, numbers) in class.iter_mut().zip(&self.class) {
                    class.0[..channels.len()].copy_from_slice(&numbers[channels.clone()]);
                }
                for (patch, positions) in patches.iter_mut().zip(self.positions.chunks_exact(width)) {
                    for (number, position) in patch.0.iter_mut().zip(&positions[channels.clone()]) {
                        *number += position;
                    }
                }
            }
        });
    }

    /// Collects elements `16 block..` of each patch, ordered by (channel, row, column). The row of the class token is
    /// zero.
    fn gather(&self, planes: &[f32], block: usize, rows: &mut [Block]) {
        let (side, across) = (self.side, self.across);
        let (line, plane) = (side * across, (side * across).pow(2));
        let numbers = block * BLOCK..(CHANNELS * side * side).min((block + 1) * BLOCK);
        // Offsets of these elements from the first pixel of a patch.
        let offsets: Vec<usize> =
            numbers.map(|n| n / (side * side) * plane + n / side % side * line + n % side).collect();
        for (rows, planes) in rows.chunks_exact_mut(self.tokens()).zip(planes.chunks_exact(CHANNELS * plane)) {
            let (class, patches) = rows.split_at_mut(rows.len() - across * across);
            class.fill(Block::default());
            for (patch, row) in patches.iter_mut().enumerate() {
                let start = patch / across * side * line + patch % across * side;
                *row = Block::default();
                for (number, offset) in row.0.iter_mut().zip(&offsets) {
                    *number = planes[start + offset];
                }
            }
        }
    }
}

impl PostAttention {
    /// Completes a layer. `normalised` has the output of attention; the output of the layer is added to `stream`.
    pub(super) fn forward(&self, layout: RowLayout, buffers: &mut Buffers, activation: Activation) {
        let Buffers { stream, normalised, hidden, row_stats } = buffers;
        let stream = &mut stream[..layout.len(self.out_proj.to())];
        self.out_proj.forward(layout, normalised, EpilogueKind::Add, stream);
        let normalised = &mut normalised[..layout.len(self.out_proj.to())];
        self.norm.forward(layout, stream, normalised, row_stats);
        let hidden = room(hidden, layout.len(self.fc1.to()));
        self.fc1.forward(layout, normalised, EpilogueKind::Activate(activation), hidden);
        self.fc2.forward(layout, hidden, EpilogueKind::Add, stream);
    }
}
