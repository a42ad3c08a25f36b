//! t-SNE: rows of numbers to points in the plane, near rows near.
//!
//! It stands on `linalg`: the input and its nearest neighbours. In reading order: `affinities` (the
//! probabilities to match), `definition` (objective and gradient as they are defined), `attraction`
//! and `repulsion` (the same, fast), `initial`, `optimiser` (the descent), `order` and `checkpoint`, `layout`, which puts
//! them in a row, `growth` (for a collection that was laid out before), `landmarks` (for one of which a sample is laid out) and
//! `quality`.
//!
//! As there, slices go in and values come out, the same bytes with any number of threads.
//!
//! ```
//! use std::ops::ControlFlow;
//! use tsne_grid::linalg::Matrix;
//! use tsne_grid::tsne::{Options, layout};
//!
//! // Twenty rows of two numbers, in two groups that lie far apart.
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
mod optimiser;
mod options;
mod order;
mod quality;
mod repulsion;

pub use affinities::{Affinities, affinities, allowed_perplexity, neighbours_needed};
pub use checkpoint::Checkpoint;
pub use error::Error;
pub use growth::{GROWTH_ITERATIONS, grow};
pub use landmarks::Landmarks;
pub use layout::{EXACT, Layout, layout};
pub use options::{Init, LearningRate, Options, Progress, Search, Start};
pub use quality::{Quality, quality};
