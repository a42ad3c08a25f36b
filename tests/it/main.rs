//! Stories told to the built binary, each in a folder of its own.

mod cli;
mod driver;
mod exports;
mod growth;
mod hostile;
mod hub;
mod incremental;
mod pictures;
mod preflight;
mod sources;
mod tables;
mod tidy;
mod vgg16;
mod zips;
