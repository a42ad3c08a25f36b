//! A head that attends to all tokens once more, with one learned query.

use super::super::kernels::dense::Rows;
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::Block;
use super::attention::{AttentionInput, Heads};
use super::functions::Activation;
use super::linear::{EpilogueKind, Linear};
use super::tower::{Buffers, PostAttention};
use super::{RowLayout, room, to_blocks};

/// The attention pooling head.
#[derive(Debug)]
pub(in super::super) struct Pooled {
    query: Vec<Block>,
    key_value: Linear,
    post_attention: PostAttention,
}

impl Pooled {
    /// `query` has the queries of all heads, divided by the root of a head's depth. `key_value` computes keys and
    /// values.
    pub(in super::super) fn new(query: &[f32], key_value: Linear, post_attention: PostAttention) -> Self {
        Self { query: to_blocks(query), key_value, post_attention }
    }

    /// Computes one vector per picture. `normalised` of the first buffers has the normalised tokens, in the first
    /// layout; the vectors are written to `stream` of the second buffers, in the second layout, one row per picture.
    pub(super) fn forward(
        &self,
        heads: Heads,
        [layout, per_picture]: [RowLayout; 2],
        [tokens, vectors]: [&mut Buffers; 2],
        activation: Activation,
        scratch: &Scratch,
    ) {
        let width = self.query.len();
        let hidden = room(&mut tokens.hidden, layout.len(self.key_value.to()));
        self.key_value.forward(layout, &tokens.normalised, EpilogueKind::Store, hidden);
        let attention_input = AttentionInput {
            pictures: per_picture.rows,
            queries: 1,
            // All pictures share the one query.
            query_stride: 0,
            tokens: layout.rows / per_picture.rows,
            query: Rows { blocks: &self.query, block_stride: 1 },
            key: Rows { blocks: hidden, block_stride: layout.block_stride },
            value: Rows { blocks: &hidden[layout.len(width)..], block_stride: layout.block_stride },
        };
        heads.attend(attention_input, per_picture, room(&mut vectors.normalised, per_picture.len(width)), scratch);
        // There is no residual around attention here, only around the MLP, so the stream starts at zero.
        room(&mut vectors.stream, per_picture.len(width)).fill(Block::default());
        self.post_attention.forward(per_picture, vectors, activation);
    }
}
