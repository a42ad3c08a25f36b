//! A head that attends to all tokens once more, with one query that was learned.

use super::super::kernels::dense::Rows;
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::Block;
use super::attention::{Attended, Heads};
use super::functions::Activation;
use super::linear::{Linear, Then};
use super::tower::{Buffers, Rest};
use super::{Table, blocked, room};

/// The head.
#[derive(Debug)]
pub(in super::super) struct Pooled {
    query: Vec<Block>,
    inward: Linear,
    rest: Rest,
}

impl Pooled {
    /// `query` is that of all heads, divided by the root of their depth; `inward` leads to keys and values.
    pub(in super::super) fn new(query: &[f32], inward: Linear, rest: Rest) -> Self {
        Self { query: blocked(query), inward, rest }
    }

    /// From the normalised tokens (`even` of the first buffers) to a vector a picture (`stream` of the others).
    pub(super) fn forward(
        &self,
        heads: Heads,
        [table, one]: [Table; 2],
        [tokens, vectors]: [&mut Buffers; 2],
        activation: Activation,
        scratch: &Scratch,
    ) {
        let width = self.query.len();
        let wide = room(&mut tokens.wide, table.len(self.inward.to()));
        self.inward.forward(table, &tokens.even, Then::Keep, wide);
        let attended = Attended {
            pictures: one.rows,
            queries: 1,
            apart: 0,
            tokens: table.rows / one.rows,
            query: Rows { blocks: &self.query, apart: 1 },
            key: Rows { blocks: wide, apart: table.apart },
            value: Rows { blocks: &wide[table.len(width)..], apart: table.apart },
        };
        heads.attend(attended, one, room(&mut vectors.even, one.len(width)), scratch);
        // The residual goes around what follows, not around attention.
        room(&mut vectors.stream, one.len(width)).fill(Block::default());
        self.rest.forward(one, vectors, activation);
    }
}
