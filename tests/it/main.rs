//! Stories told to the built binary, each in a folder of its own.

mod bombs;
mod cli;
mod damage;
mod disk;
mod driver;
mod exports;
mod faults;
mod formula;
mod growth;
mod hostile;
mod hub;
mod incremental;
mod limits;
mod models;
mod pictures;
mod preflight;
mod sources;
mod tables;
mod tidy;
mod versions;
mod vgg16;
mod weights;
mod zips;
