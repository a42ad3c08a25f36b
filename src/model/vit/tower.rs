//! The layers of a vision transformer in a row, from pixels to one vector a picture.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::super::kernels::dense::Rows;
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, Level};
use super::attention::{Attended, Heads};
use super::functions::Activation;
use super::linear::{Linear, Then};
use super::norm::Norm;
use super::pooled::Pooled;
use super::{Table, room};

/// Colours.
const CHANNELS: usize = 3;

/// How a picture becomes tokens.
#[derive(Debug)]
pub(in super::super) struct Patches {
    /// Pixels a side of a patch, and patches a side of a picture.
    pub(in super::super) side: usize,
    /// Patches a side of a picture.
    pub(in super::super) across: usize,
    /// From the pixels of a patch (channel, row, column) to a token.
    pub(in super::super) linear: Linear,
    /// A token that stands before those of the patches, its place included.
    pub(in super::super) class: Option<Vec<f32>>,
    /// What is added to the token of each patch: (patches, width).
    pub(in super::super) places: Vec<f32>,
}

/// A layer: attention and two products, each after a normalisation and around a residual.
#[derive(Debug)]
pub(in super::super) struct Layer {
    /// Before attention.
    pub(in super::super) norm: Norm,
    /// To queries (divided by the root of a head's depth), keys and values, one after another.
    pub(in super::super) inward: Linear,
    /// What follows attention.
    pub(in super::super) rest: Rest,
}

/// What follows attention in a layer.
#[derive(Debug)]
pub(in super::super) struct Rest {
    /// From what was attended to.
    pub(in super::super) outward: Linear,
    /// Between attention and the products.
    pub(in super::super) norm: Norm,
    /// To more channels; an activation follows.
    pub(in super::super) wide: Linear,
    /// And back.
    pub(in super::super) narrow: Linear,
}

/// What becomes of the tokens of the last layer, once they are normalised.
#[derive(Debug)]
pub(in super::super) enum Head {
    /// The first one is the vector, perhaps after a product.
    Class(Option<Linear>),
    /// They are attended to once more.
    Pooled(Box<Pooled>),
}

/// A vision transformer with its weights in the layout of the kernels.
#[derive(Debug)]
pub(in super::super) struct Tower {
    /// Which vectors it computes with.
    pub(in super::super) level: Level,
    /// How a picture becomes tokens.
    pub(in super::super) patches: Patches,
    /// A normalisation before the first layer.
    pub(in super::super) before: Option<Norm>,
    /// The layers.
    pub(in super::super) layers: Vec<Layer>,
    /// Heads of attention.
    pub(in super::super) heads: usize,
    /// Between the two products of a layer.
    pub(in super::super) activation: Activation,
    /// A normalisation after the last layer.
    pub(in super::super) after: Norm,
    /// From tokens to a vector.
    pub(in super::super) head: Head,
    /// Whether vectors are brought to length one.
    pub(in super::super) unit: bool,
    /// Memory that no batch goes through at the moment.
    pub(in super::super) free: Free,
}

/// Memory that is used again, and grows to the largest batch.
#[derive(Debug, Default)]
pub(in super::super) struct Free(Mutex<Vec<Memory>>);

/// What a batch needs beside the weights.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Rows of all tokens.
    tokens: Buffers,
    /// One row a picture.
    vectors: Buffers,
    scratch: Scratch,
}

/// The residual stream, what was normalised or attended to, and what is wider.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) stream: Vec<Block>,
    pub(super) even: Vec<Block>,
    pub(super) wide: Vec<Block>,
    pub(super) figures: Vec<[f32; 2]>,
}

impl Tower {
    /// The vectors of `planes`, (pictures, 3, side, side), one after another.
    pub(in super::super) fn forward(&self, planes: &[f32]) -> Vec<f32> {
        let side = self.patches.side * self.patches.across;
        let pictures = planes.len() / (CHANNELS * side * side);
        assert!(pictures > 0 && planes.len() == pictures * CHANNELS * side * side, "the shape of the planes");
        let free = || self.free.0.lock().unwrap_or_else(PoisonError::into_inner);
        // No lock is held meanwhile: a thread that waits for others may take up another caller's batch.
        let mut memory = free().pop().unwrap_or_default();
        let vectors = rayon::scope(|_| self.through(planes, pictures, &mut memory));
        free().push(memory);
        vectors
    }

    /// Blocks of a token.
    fn width(&self) -> usize {
        self.patches.linear.to()
    }

    fn through(&self, planes: &[f32], pictures: usize, memory: &mut Memory) -> Vec<f32> {
        let Memory { tokens, vectors, scratch } = memory;
        let count = self.patches.tokens();
        let (table, one) = (Table::of(pictures * count), Table::of(pictures));
        self.patches.embed(planes, table, tokens);
        if let Some(norm) = &self.before {
            let even = room(&mut tokens.even, table.len(self.width()));
            norm.forward(table, &tokens.stream, even, &mut tokens.figures);
            std::mem::swap(&mut tokens.stream, &mut tokens.even);
        }
        let (last, layers) = self.layers.split_last().expect("a tower has layers");
        for layer in layers {
            self.attend(layer, table, tokens, scratch);
            layer.rest.forward(table, tokens, self.activation);
        }
        match &self.head {
            Head::Class(projection) => {
                // Of the last layer only the first token is read.
                self.attend_to_all(last, pictures, tokens, vectors, scratch);
                last.rest.forward(one, vectors, self.activation);
                self.normalise(one, vectors);
                self.read(one, vectors, projection.as_ref())
            }
            Head::Pooled(pooled) => {
                self.attend(last, table, tokens, scratch);
                last.rest.forward(table, tokens, self.activation);
                self.normalise(table, tokens);
                pooled.forward(self.heads(), [table, one], [tokens, vectors], self.activation, scratch);
                self.numbers(one, &vectors.stream, self.width() * BLOCK)
            }
        }
    }

    fn heads(&self) -> Heads {
        Heads { level: self.level, count: self.heads, depth: self.width() / self.heads }
    }

    /// Normalised by the last normalisation, into `even`.
    fn normalise(&self, table: Table, buffers: &mut Buffers) {
        let even = room(&mut buffers.even, table.len(self.width()));
        self.after.forward(table, &buffers.stream, even, &mut buffers.figures);
    }

    /// Queries, keys and values of all tokens, into `wide`.
    fn inward(&self, layer: &Layer, table: Table, tokens: &mut Buffers) {
        let even = room(&mut tokens.even, table.len(self.width()));
        layer.norm.forward(table, &tokens.stream, even, &mut tokens.figures);
        let wide = room(&mut tokens.wide, table.len(layer.inward.to()));
        layer.inward.forward(table, even, Then::Keep, wide);
    }

    /// What each token attends to, into `even`.
    fn attend(&self, layer: &Layer, table: Table, tokens: &mut Buffers, scratch: &Scratch) {
        self.inward(layer, table, tokens);
        let count = self.patches.tokens();
        let attended = self.attended(table, &tokens.wide, count);
        self.heads().attend(attended, table, room(&mut tokens.even, table.len(self.width())), scratch);
    }

    /// What the first token of each picture attends to, and the residual of these.
    fn attend_to_all(
        &self,
        layer: &Layer,
        pictures: usize,
        tokens: &mut Buffers,
        vectors: &mut Buffers,
        scratch: &Scratch,
    ) {
        let count = self.patches.tokens();
        let (table, one) = (Table::of(pictures * count), Table::of(pictures));
        self.inward(layer, table, tokens);
        let attended = self.attended(table, &tokens.wide, 1);
        self.heads().attend(attended, one, room(&mut vectors.even, one.len(self.width())), scratch);
        let stream = room(&mut vectors.stream, one.len(self.width()));
        for (to, from) in stream.chunks_mut(one.apart).zip(tokens.stream.chunks(table.apart)) {
            for (to, from) in to.iter_mut().zip(from.iter().step_by(count)).take(pictures) {
                *to = *from;
            }
        }
    }

    /// The queries, keys and values that lie in `wide`.
    fn attended<'a>(&self, table: Table, wide: &'a [Block], queries: usize) -> Attended<'a> {
        let tokens = self.patches.tokens();
        let part = |at: usize| Rows { blocks: &wide[table.len(at * self.width())..], apart: table.apart };
        let pictures = table.rows / tokens;
        Attended { pictures, queries, apart: tokens, tokens, query: part(0), key: part(1), value: part(2) }
    }

    /// The vectors out of the normalised ones.
    fn read(&self, table: Table, vectors: &mut Buffers, projection: Option<&Linear>) -> Vec<f32> {
        let Some(projection) = projection else { return self.numbers(table, &vectors.even, self.width() * BLOCK) };
        let wide = room(&mut vectors.wide, table.len(projection.to()));
        projection.forward(table, &vectors.even, Then::Keep, wide);
        self.numbers(table, wide, projection.outputs())
    }

    /// The first `count` numbers of each row.
    fn numbers(&self, table: Table, blocks: &[Block], count: usize) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(table.rows * count);
        for row in 0..table.rows {
            let start = numbers.len();
            numbers.extend((0..count).map(|i| blocks[i / BLOCK * table.apart + row].0[i % BLOCK]));
            if self.unit {
                let vector = &mut numbers[start..];
                let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
                vector.iter_mut().for_each(|x| *x /= length);
            }
        }
        numbers
    }
}

impl Patches {
    /// Tokens of a picture.
    fn tokens(&self) -> usize {
        self.across * self.across + usize::from(self.class.is_some())
    }

    /// The tokens of all pictures, into `stream`.
    fn embed(&self, planes: &[f32], table: Table, buffers: &mut Buffers) {
        let pixels = room(&mut buffers.wide, table.len(self.linear.from()));
        pixels.par_chunks_mut(table.apart).enumerate().for_each(|(block, rows)| self.gather(planes, block, rows));
        let stream = room(&mut buffers.stream, table.len(self.linear.to()));
        self.linear.forward(table, pixels, Then::Keep, stream);
        let width = self.places.len() / (self.across * self.across);
        stream.par_chunks_mut(table.apart).enumerate().for_each(|(block, rows)| {
            let channels = block * BLOCK..width.min((block + 1) * BLOCK);
            for picture in rows[..table.rows].chunks_mut(self.tokens()) {
                let (class, patches) = picture.split_at_mut(picture.len() - self.across * self.across);
                for (class, numbers) in class.iter_mut().zip(&self.class) {
                    class.0[..channels.len()].copy_from_slice(&numbers[channels.clone()]);
                }
                for (patch, places) in patches.iter_mut().zip(self.places.chunks_exact(width)) {
                    for (number, place) in patch.0.iter_mut().zip(&places[channels.clone()]) {
                        *number += place;
                    }
                }
            }
        });
    }

    /// Sixteen numbers of each patch, by (channel, row, column); of the class's row zeros.
    fn gather(&self, planes: &[f32], block: usize, rows: &mut [Block]) {
        let (side, across) = (self.side, self.across);
        let (line, plane) = (side * across, (side * across).pow(2));
        let numbers = block * BLOCK..(CHANNELS * side * side).min((block + 1) * BLOCK);
        // From the first pixel of a patch to each of these.
        let away: Vec<usize> = numbers.map(|n| n / (side * side) * plane + n / side % side * line + n % side).collect();
        for (rows, planes) in rows.chunks_exact_mut(self.tokens()).zip(planes.chunks_exact(CHANNELS * plane)) {
            let (class, patches) = rows.split_at_mut(rows.len() - across * across);
            class.fill(Block::default());
            for (patch, row) in patches.iter_mut().enumerate() {
                let start = patch / across * side * line + patch % across * side;
                *row = Block::default();
                for (number, away) in row.0.iter_mut().zip(&away) {
                    *number = planes[start + away];
                }
            }
        }
    }
}

impl Rest {
    /// `even` holds what was attended to; the layer's output comes into `stream`.
    pub(super) fn forward(&self, table: Table, buffers: &mut Buffers, activation: Activation) {
        let Buffers { stream, even, wide, figures } = buffers;
        let stream = &mut stream[..table.len(self.outward.to())];
        self.outward.forward(table, even, Then::Add, stream);
        let even = &mut even[..table.len(self.outward.to())];
        self.norm.forward(table, stream, even, figures);
        let wide = room(wide, table.len(self.wide.to()));
        self.wide.forward(table, even, Then::Activate(activation), wide);
        self.narrow.forward(table, wide, Then::Add, stream);
    }
}
