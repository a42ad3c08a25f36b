//! t-SNE (van der Maaten & Hinton 2008): places vectors in the plane so that nearest neighbours stay close.
//!
//! The input and its nearest neighbours come from `linalg`. Reading order: `affinities` (the probabilities P to match),
//! `definition` (objective and gradient by their formulas), `attraction` and `repulsion` (the fast versions of the
//! gradient), `initial`, `optimiser` (gradient descent), `morton` and `checkpoint`, `layout` (the complete method),
//! `growth` (for a collection that was laid out before), `landmarks` (for a collection of which only a sample is laid
//! out) and `quality`.
//!
//! As in `linalg`, functions take slices and return values, and give the same bytes with any number of threads.
//!
//! ```
//! use std::ops::ControlFlow;
//! use tsne_grid::linalg::Matrix;
//! use tsne_grid::tsne::{Options, layout};
//!
//! // Twenty rows of two numbers, in two groups far from each other.
//! let values = (0..20).flat_map(|i| [(i % 10) as f32, (i / 10 * 100) as f32]).collect();
//! let rows = Matrix::new(20, 2, values)?;
//! let options = Options { perplexity: 3.0, ..Options::default() };
//! let xy = layout(&rows, &options, &mut |_| ControlFlow::Continue(()))?.xy;
//! let far = |a: usize, b: usize| (xy[a][0] - xy[b][0]).hypot(xy[a][1] - xy[b][1]);
//! assert!((1..10).all(|i| far(0, i) < far(0, i + 10)));
//! # Ok::<(), tsne_grid::tsne::Error>(())
//! ```

mod affinities;
mod attraction;
mod checkpoint;
pub mod definition;
mod error;
mod growth;
mod initial;
mod landmarks;
mod layout;
mod morton;
mod optimiser;
mod options;
mod quality;
mod repulsion;

pub use affinities::{Affinities, affinities, allowed_perplexity, neighbours_needed};
pub use checkpoint::Checkpoint;
pub use error::Error;
pub use growth::{GROWTH_ITERATIONS, grow};
pub use landmarks::Landmarks;
pub use layout::{Layout, MAX_EXACT_ROWS, layout};
pub use options::{AnchoredStart, Init, LearningRate, NeighbourSearch, Options, Progress};
pub use quality::{Quality, quality};
