//! Stories told to the built binary, each in a folder of its own. They make links, pipes, signals and rights, and so want a Unix; elsewhere
//! the unit tests run.

#![cfg(unix)]

mod beside;
mod bombs;
mod bounded;
mod brought;
mod browser;
#[cfg(feature = "s3")]
mod bucket;
mod bucket_sources;
mod cli;
mod columns;
mod crash;
mod damage;
mod dates;
mod disk;
mod documented;
mod driver;
mod duplicates;
mod exports;
mod exports_2026;
mod faults;
#[cfg(feature = "films")]
mod films;
mod folders;
mod foreign;
mod formula;
mod groups;
mod growth;
#[cfg(feature = "heic")]
mod heic;
mod holders;
mod hostile;
mod hub;
mod iiif;
mod incremental;
mod inputs;
mod instaloader;
mod json;
#[cfg(feature = "jxl")]
mod jxl;
mod lacking;
mod limits;
mod lite0;
mod locks;
mod models;
mod old_caches;
mod page;
mod page_hand;
mod page_hostile;
mod page_large;
mod page_looks;
mod pictures;
mod preflight;
mod publish;
mod raw;
mod recognised;
mod remembered;
mod searching;
mod shares;
mod signals;
mod sources;
mod tables;
mod takeout;
mod tidy;
mod versions;
mod vgg16;
mod weights;
mod zips;
