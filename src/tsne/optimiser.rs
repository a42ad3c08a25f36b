//! Gradient descent with momentum and gains, in the two phases of openTSNE.
//!
//! Each coordinate has a gain. It grows by 0.2 while the coordinate moves in the same direction, and shrinks by a fifth
//! when the direction changes (the delta-bar-delta rule of Jacobs 1988, which all common t-SNE programs use).

use std::ops::ControlFlow;

use rayon::prelude::*;

use super::affinities::Affinities;
use super::attraction::{attractive_forces, divergence, negative_entropy};
use super::checkpoint::Checkpoint;
use super::morton::morton_order;
use super::options::{AnchoredStart, Init, LearningRate, Options, Progress};
use super::repulsion::Repulsion;
use crate::linalg::{CHUNK, ordered_sum};

/// Iterations between two evaluations of the divergence.
const EVALUATION_INTERVAL: usize = 50;
/// The factor and the summand of a gain whose coordinate changes direction. As in openTSNE, the summand is added and is
/// not a lower limit.
const GAIN_DECAY: (f32, f32) = (0.8, 0.01);
/// The share of the last step that the next step includes.
const MOMENTUM: f32 = 0.8;
/// The longest step of a point in one iteration, in the unit of the layout.
const MAX_STEP: f32 = 5.0;
/// The number of points from which on they are reordered, so that points near in the plane are near in memory. This
/// makes the attraction faster. Fewer points fit the cache in any order.
pub(super) const MIN_REORDERED_POINTS: usize = 32_768;
/// The iterations before which the points are reordered.
const REORDER_ITERATIONS: [usize; 4] = [0, 50, 250, 400];

/// Runs the descent on `xy`, with springs to the anchors of `anchored`. Returns the final divergence and the iterations
/// done.
pub(super) fn optimise(
    mut p: Affinities,
    xy: &mut Vec<[f32; 2]>,
    anchored: Option<&AnchoredStart>,
    options: &Options,
    progress: &mut (dyn FnMut(Progress<'_>) -> ControlFlow<()> + Send),
) -> (f64, usize) {
    assert!(p.column.iter().all(|&j| (j as usize) < p.len), "every column is the number of a point");
    let entropy = negative_entropy(&p);
    let mut repulsion = Repulsion::new(p.len);
    let mut repulsive_forces = vec![[0.0; 2]; p.len];
    let mut descent = DescentState::new(p.len, anchored);
    let mut order: Vec<u32> = (0..p.len as u32).collect();
    let mut iteration = 0;
    let mut last_divergence = f64::INFINITY;
    // `order[k]` is the original number of the point at index k. A checkpoint has its points in such an order.
    if let Init::Resumed(_, resumed) = &options.init {
        (iteration, last_divergence, order) = (resumed.iteration, resumed.last_divergence, resumed.order.clone());
        p = p.reordered(&order);
        descent.reorder(&order);
        (*xy, descent.updates, descent.gains) = (resumed.xy.clone(), resumed.updates.clone(), resumed.gains.clone());
    }
    while iteration < options.iterations {
        if p.len >= MIN_REORDERED_POINTS && REORDER_ITERATIONS.contains(&iteration) {
            let new_order = morton_order(xy);
            p = p.reordered(&new_order);
            descent.reorder(&new_order);
            (*xy, order) = (permuted(xy, &new_order), permuted(&order, &new_order));
        }
        let exaggerated = iteration < options.exaggeration_iterations;
        let exaggeration = if exaggerated { options.early_exaggeration } else { options.exaggeration };
        let z = repulsion.compute(xy, &mut repulsive_forces);
        let evaluate = (iteration + 1) % EVALUATION_INTERVAL == 0 || iteration + 1 == options.iterations;
        let kl = evaluate.then(|| divergence(&p, xy, z, entropy));
        let step = StepParameters::new(p.len, exaggeration, z, anchored, options);
        descent.step(&p, xy, &repulsive_forces, &step);
        iteration += 1;
        // The early stop compares only evaluations of the second phase, because exaggeration raises the divergence.
        let mut finished = iteration == options.iterations;
        if let (Some(kl), Some(min_decrease), false) = (kl, options.early_stop, exaggerated) {
            finished |= last_divergence - kl < min_decrease * kl.abs();
            last_divergence = kl;
        }
        let checkpoint = || Checkpoint {
            iteration,
            last_divergence,
            order: order.clone(),
            xy: xy.clone(),
            updates: descent.updates.clone(),
            gains: descent.gains.clone(),
        };
        let checkpoint: Option<&dyn Fn() -> Checkpoint> = if finished { None } else { Some(&checkpoint) };
        if progress(Progress { iteration, kl, checkpoint }).is_break() || finished {
            break;
        }
    }
    let z = repulsion.compute(xy, &mut repulsive_forces);
    let kl = divergence(&p, xy, z, entropy);
    // Undo the reordering.
    let mut positions = vec![[0.0; 2]; xy.len()];
    order.iter().zip(&*xy).for_each(|(&i, position)| positions[i as usize] = *position);
    *xy = positions;
    (kl, iteration)
}

/// The values in the order of the indices.
fn permuted<T: Copy>(values: &[T], order: &[u32]) -> Vec<T> {
    order.iter().map(|&i| values[i as usize]).collect()
}

/// The factors of one iteration.
struct StepParameters {
    /// Factor of the attractive forces: the exaggeration.
    attraction: f32,
    /// Factor of the repulsive forces: 1/Z.
    repulsion: f32,
    /// Factor of the distance to an anchor.
    pull: f32,
    /// Learning rate.
    rate: f32,
    /// Whether the layout is centred after the step.
    centre: bool,
}

impl StepParameters {
    fn new(len: usize, exaggeration: f64, z: f64, anchored: Option<&AnchoredStart>, options: &Options) -> Self {
        let n = len.max(1) as f64;
        let rate = match options.learning_rate {
            LearningRate::Auto => n / exaggeration,
            LearningRate::Fixed(rate) => rate,
        };
        Self {
            attraction: exaggeration as f32,
            repulsion: if z > 0.0 { (1.0 / z) as f32 } else { 0.0 },
            // The gradient of a point is of the order of 1/n, because P sums to 1, so the pull is scaled in the same
            // way.
            pull: anchored.map_or(0.0, |start| start.pull / n) as f32,
            rate: rate as f32,
            centre: anchored.is_none(),
        }
    }
}

/// The state of the descent: the last step and the gain of each coordinate.
struct DescentState {
    updates: Vec<[f32; 2]>,
    gains: Vec<[f32; 2]>,
    /// Scratch: attractive forces, then the next positions.
    next: Vec<[f32; 2]>,
    /// The anchor of each point; empty if there are no anchors.
    anchors: Vec<Option<[f32; 2]>>,
}

impl DescentState {
    fn new(len: usize, anchored: Option<&AnchoredStart>) -> Self {
        let anchors = anchored.map(|anchored| anchored.anchors.clone()).unwrap_or_default();
        Self { updates: vec![[0.0; 2]; len], gains: vec![[1.0; 2]; len], next: vec![[0.0; 2]; len], anchors }
    }

    /// Reorders the state with the points.
    fn reorder(&mut self, order: &[u32]) {
        self.updates = permuted(&self.updates, order);
        self.gains = permuted(&self.gains, order);
        if !self.anchors.is_empty() {
            self.anchors = permuted(&self.anchors, order);
        }
    }

    /// Moves all points by one step.
    fn step(&mut self, p: &Affinities, xy: &mut Vec<[f32; 2]>, repulsive_forces: &[[f32; 2]], step: &StepParameters) {
        let anchors = &self.anchors;
        let sums = (self.next.par_chunks_mut(CHUNK))
            .zip(self.updates.par_chunks_mut(CHUNK))
            .zip(self.gains.par_chunks_mut(CHUNK))
            .enumerate()
            .map(|(chunk, ((next, updates), gains))| {
                let mut sum = [0.0; 2];
                attractive_forces(p, xy, chunk * CHUNK, next);
                for (k, ((next, update), gain)) in next.iter_mut().zip(updates).zip(gains).enumerate() {
                    let i = chunk * CHUNK + k;
                    let mut gradient = *next;
                    let anchor = anchors.get(i).copied().flatten();
                    for axis in 0..2 {
                        gradient[axis] *= step.attraction;
                        gradient[axis] -= step.repulsion * repulsive_forces[i][axis];
                        gradient[axis] += anchor.map_or(0.0, |a| step.pull * (xy[i][axis] - a[axis]));
                    }
                    advance(update, gain, gradient, step);
                    for axis in 0..2 {
                        next[axis] = xy[i][axis] + update[axis];
                        sum[axis] += f64::from(next[axis]);
                    }
                }
                sum
            });
        // All forces come from the old positions; the new ones replace them only after the last chunk.
        let sum = ordered_sum(sums);
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

/// Updates the gain and computes the next step of one point.
fn advance(update: &mut [f32; 2], gain: &mut [f32; 2], gradient: [f32; 2], step: &StepParameters) {
    for axis in 0..2 {
        // As in openTSNE, the sign of 0 equals only the sign of 0. The step goes against the gradient, so equal signs
        // of the last step and the gradient mean that the direction changes.
        let sign = |x: f32| if x == 0.0 { 0.0 } else { x.signum() };
        gain[axis] = if sign(update[axis]) == sign(gradient[axis]) {
            gain[axis] * GAIN_DECAY.0 + GAIN_DECAY.1
        } else {
            gain[axis] + 0.2
        };
        update[axis] = MOMENTUM * update[axis] - step.rate * gain[axis] * gradient[axis];
    }
    let squared = update[0] * update[0] + update[1] * update[1];
    if !squared.is_finite() {
        // Only an extreme learning rate overflows. The point then does not move, because NaN would spread to all
        // points.
        *update = [0.0; 2];
    } else if squared > MAX_STEP * MAX_STEP {
        let share = MAX_STEP / squared.sqrt();
        *update = update.map(|x| x * share);
    }
}
