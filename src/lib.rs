//! tsne-grid lays pictures out by likeness: each becomes a vector (a pretrained network or a wavelet scattering),
//! t-SNE puts the vectors into the plane, an optimal assignment moves them onto a grid, and the
//! grid is drawn.
//!
//! The data goes one way, through content-addressed Parquet files in a cache:
//!
//! ```text
//! source -> embed -> project -> assign -> render
//! ```
//!
//! In reading order:
//!
//! * [`cli`] and [`config`]: what can be asked for; [`commands`]: what each command does.
//! * [`pipeline`]: the four stages in a row, what a run is about to do, and why a stage would run.
//! * [`store`]: files found by key and checked by digest; [`artifact`]: the tables in them.
//! * [`source`]: folders, zips and exports become a list of inputs; [`photo`]: bytes become an
//!   upright picture within a memory budget.
//! * [`stage`]: embed, project, assign, render. Each stands on one part that knows nothing of
//!   files: [`model`] (the networks, of what [`weights`] finds), [`tsne`], [`lap`] (the assignment) with
//!   [`carve`] (a grid that grows from within), [`registration`] (whether two pictures are the same shot), [`mod@render`] (the drawing); and these on [`linalg`]: components, nearest neighbours, bounds,
//!   random numbers.
//! * [`report`]: what the library says while it works; [`ui`] draws it. The library never prints.
//! * [`sample`]: a drawn Instagram export to try things on; [`export`]: one flat table; [`search`]:
//!   pictures ranked by a text or a picture; [`duplicates`]: those that are the same shot.

pub mod cli;
pub mod commands;
pub mod config;
pub mod error;
mod lfs;
mod memory;
pub mod pipeline;
mod remote;

pub mod artifact;
pub mod carve;
pub mod store;

pub mod photo;
pub mod source;

pub mod lap;
pub mod linalg;
pub mod model;
pub mod regions;
pub mod registration;
pub mod render;
pub mod stage;
pub mod tsne;
pub mod weights;

pub mod duplicates;
pub mod export;
pub mod report;
pub mod sample;
pub mod search;
pub mod ui;
