//! Stories told to the built binary, each in a folder of its own.

mod bombs;
mod cli;
mod crash;
mod damage;
mod disk;
mod driver;
mod exports;
mod faults;
mod growth;
mod hostile;
mod hub;
mod incremental;
mod inputs;
mod limits;
mod locks;
mod pictures;
mod preflight;
mod signals;
mod sources;
mod tables;
mod tidy;
mod versions;
mod vgg16;
mod weights;
mod zips;
