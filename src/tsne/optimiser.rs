//! Gradient descent with momentum and gains, in the two phases of openTSNE.
//!
//! A gain per coordinate grows by 0.2 while a coordinate keeps its direction and shrinks by a fifth
//! when it turns (Jacobs 1988, as in every t-SNE since the first).

use std::ops::ControlFlow;

use rayon::prelude::*;

use super::affinities::Affinities;
use super::attraction::{divergence, forces, negative_entropy};
use super::checkpoint::Checkpoint;
use super::options::{Init, LearningRate, Options, Progress, Start};
use super::order::along_the_plane;
use super::repulsion::Repulsion;
use crate::linalg::{CHUNK, in_order};

/// Iterations between two evaluations of the divergence.
const EVALUATE: usize = 50;
/// What a gain keeps when its coordinate turns, and the least it gets.
const GAIN: (f32, f32) = (0.8, 0.01);
/// Share of the last step that is kept.
const MOMENTUM: f32 = 0.8;
/// No point moves further than this in one iteration.
const LONGEST: f32 = 5.0;
/// From so many points on they are kept in an order in which those near in the plane are near in memory: a third of the time
/// of the attraction. Fewer find room in the cache as they come.
pub(super) const ORDERED: usize = 32_768;
/// The iterations before which that order is made anew.
const ORDER: [usize; 4] = [0, 50, 250, 400];

/// Moves `xy` downhill, held to the anchors of `pull`; gives the divergence at the end and the iterations done.
pub(super) fn optimise(
    mut p: Affinities,
    xy: &mut Vec<[f32; 2]>,
    pull: Option<&Start>,
    options: &Options,
    progress: &mut (dyn FnMut(Progress<'_>) -> ControlFlow<()> + Send),
) -> (f64, usize) {
    assert!(p.column.iter().all(|&j| (j as usize) < p.len), "columns are points");
    let entropy = negative_entropy(&p);
    let mut repulsion = Repulsion::new(p.len);
    let mut pushes = vec![[0.0; 2]; p.len];
    let mut descent = Descent::new(p.len, pull);
    let mut order: Vec<u32> = (0..p.len as u32).collect();
    let mut done = 0;
    let mut last = f64::INFINITY;
    if let Init::Resumed(_, from) = &options.init {
        (done, last, order) = (from.done, from.last, from.order.clone());
        p = p.reordered(&order);
        descent.reorder(&order);
        (*xy, descent.moves, descent.gains) = (from.xy.clone(), from.moves.clone(), from.gains.clone());
    }
    while done < options.iterations {
        if p.len >= ORDERED && ORDER.contains(&done) {
            let now = along_the_plane(xy);
            p = p.reordered(&now);
            descent.reorder(&now);
            (*xy, order) = (picked(xy, &now), picked(&order, &now));
        }
        let exaggerated = done < options.exaggeration_iterations;
        let exaggeration = if exaggerated { options.early_exaggeration } else { options.exaggeration };
        let z = repulsion.compute(xy, &mut pushes);
        let evaluate = (done + 1) % EVALUATE == 0 || done + 1 == options.iterations;
        let kl = evaluate.then(|| divergence(&p, xy, z, entropy));
        let step = Step::new(p.len, exaggeration, z, pull, options);
        descent.step(&p, xy, &pushes, &step);
        done += 1;
        let mut ends = done == options.iterations;
        if let (Some(kl), Some(share), false) = (kl, options.early_stop, exaggerated) {
            ends |= last - kl < share * kl.abs();
            last = kl;
        }
        let checkpoint = || Checkpoint {
            done,
            last,
            order: order.clone(),
            xy: xy.clone(),
            moves: descent.moves.clone(),
            gains: descent.gains.clone(),
        };
        let checkpoint: Option<&dyn Fn() -> Checkpoint> = if ends { None } else { Some(&checkpoint) };
        if progress(Progress { iteration: done, kl, checkpoint }).is_break() || ends {
            break;
        }
    }
    let z = repulsion.compute(xy, &mut pushes);
    let kl = divergence(&p, xy, z, entropy);
    let mut places = vec![[0.0; 2]; xy.len()];
    order.iter().zip(&*xy).for_each(|(&i, place)| places[i as usize] = *place);
    *xy = places;
    (kl, done)
}

/// The values in another order.
fn picked<T: Copy>(values: &[T], order: &[u32]) -> Vec<T> {
    order.iter().map(|&i| values[i as usize]).collect()
}

/// The numbers of one iteration.
struct Step {
    attraction: f32,
    repulsion: f32,
    pull: f32,
    rate: f32,
    centre: bool,
}

impl Step {
    fn new(len: usize, exaggeration: f64, z: f64, pull: Option<&Start>, options: &Options) -> Self {
        let n = len.max(1) as f64;
        let rate = match options.learning_rate {
            LearningRate::Auto => n / exaggeration,
            LearningRate::Fixed(rate) => rate,
        };
        Self {
            attraction: exaggeration as f32,
            repulsion: if z > 0.0 { (1.0 / z) as f32 } else { 0.0 },
            // The gradient of one point is of the order of 1/n, because P sums to 1.
            pull: pull.map_or(0.0, |p| p.pull / n) as f32,
            rate: rate as f32,
            centre: pull.is_none(),
        }
    }
}

/// The memory of the descent: last step and gain of each coordinate.
struct Descent {
    moves: Vec<[f32; 2]>,
    gains: Vec<[f32; 2]>,
    next: Vec<[f32; 2]>,
    /// Empty where there is none.
    anchors: Vec<Option<[f32; 2]>>,
}

impl Descent {
    fn new(len: usize, pull: Option<&Start>) -> Self {
        let anchors = pull.map(|pull| pull.anchors.clone()).unwrap_or_default();
        Self { moves: vec![[0.0; 2]; len], gains: vec![[1.0; 2]; len], next: vec![[0.0; 2]; len], anchors }
    }

    fn reorder(&mut self, order: &[u32]) {
        self.moves = picked(&self.moves, order);
        self.gains = picked(&self.gains, order);
        if !self.anchors.is_empty() {
            self.anchors = picked(&self.anchors, order);
        }
    }

    fn step(&mut self, p: &Affinities, xy: &mut Vec<[f32; 2]>, pushes: &[[f32; 2]], step: &Step) {
        let anchors = &self.anchors;
        let sums = (self.next.par_chunks_mut(CHUNK))
            .zip(self.moves.par_chunks_mut(CHUNK))
            .zip(self.gains.par_chunks_mut(CHUNK))
            .enumerate()
            .map(|(chunk, ((next, moves), gains))| {
                let mut sum = [0.0; 2];
                forces(p, xy, chunk * CHUNK, next);
                for (k, ((next, moved), gain)) in next.iter_mut().zip(moves).zip(gains).enumerate() {
                    let i = chunk * CHUNK + k;
                    let mut gradient = *next;
                    let anchor = anchors.get(i).copied().flatten();
                    for axis in 0..2 {
                        gradient[axis] *= step.attraction;
                        gradient[axis] -= step.repulsion * pushes[i][axis];
                        gradient[axis] += anchor.map_or(0.0, |a| step.pull * (xy[i][axis] - a[axis]));
                    }
                    advance(moved, gain, gradient, step);
                    for axis in 0..2 {
                        next[axis] = xy[i][axis] + moved[axis];
                        sum[axis] += f64::from(next[axis]);
                    }
                }
                sum
            });
        let sum = in_order(sums);
        std::mem::swap(xy, &mut self.next);
        if step.centre {
            let n = xy.len().max(1) as f64;
            let mean = sum.map(|s| (s / n) as f32);
            xy.par_chunks_mut(CHUNK).flatten_iter().for_each(|p| {
                p[0] -= mean[0];
                p[1] -= mean[1];
            });
        }
    }
}

/// One point's next move.
fn advance(moved: &mut [f32; 2], gain: &mut [f32; 2], gradient: [f32; 2], step: &Step) {
    for axis in 0..2 {
        // Sign as in the reference: a zero agrees with nothing but a zero.
        let sign = |x: f32| if x == 0.0 { 0.0 } else { x.signum() };
        gain[axis] =
            if sign(moved[axis]) == sign(gradient[axis]) { gain[axis] * GAIN.0 + GAIN.1 } else { gain[axis] + 0.2 };
        moved[axis] = MOMENTUM * moved[axis] - step.rate * gain[axis] * gradient[axis];
    }
    let squared = moved[0] * moved[0] + moved[1] * moved[1];
    if !squared.is_finite() {
        // Only an absurd learning rate gets here; standing still is defined, NaN is not.
        *moved = [0.0; 2];
    } else if squared > LONGEST * LONGEST {
        let share = LONGEST / squared.sqrt();
        *moved = moved.map(|x| x * share);
    }
}
