//! tsne-grid arranges pictures on a grid so that similar pictures lie next to each other. A model turns each picture
//! into a vector, t-SNE places the vectors on a plane, an optimal assignment moves them to cells of a grid, and the
//! grid is drawn.
//!
//! Data flows in one direction, through content-addressed Parquet files in a cache:
//!
//! ```text
//! source -> embed -> project -> assign -> render
//! ```
//!
//! In reading order:
//!
//! * [`cli`] and [`config`]: commands, flags and settings; [`commands`]: what each command does.
//! * [`pipeline`]: runs the four stages, estimates a run before it starts, and explains why a stage is stale.
//! * [`store`]: files that are found by key and checked by digest; [`artifact`]: the tables in them.
//! * [`source`]: turns folders, zips and exports into a list of inputs; [`photo`]: decodes a file into an upright
//!   picture, within a memory budget.
//! * [`stage`]: embed, project, assign, render. Each stage uses algorithms that know nothing about files: [`model`]
//!   (the networks, built from what [`weights`] loads), [`tsne`], [`lap`] (the assignment) with [`carve`] (opens seams
//!   in a growing grid), [`registration`] (whether two pictures are the same shot), and [`mod@render`] (the drawing).
//!   These use [`linalg`]: principal components, nearest neighbours, bounding boxes, random numbers.
//! * [`report`]: messages and progress as data; [`ui`] prints them. The library never prints.
//! * [`sample`]: draws an Instagram export to experiment with; [`export`]: one flat table; [`search`]: pictures ranked
//!   by a text or by similarity to a picture; [`duplicates`]: pictures that are the same shot.

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
