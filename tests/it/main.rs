//! Stories: tests that run the built program, each in its own folder. They use links, pipes, signals and permissions,
//! and therefore need a Unix; on other systems only the unit tests run.

#![cfg(unix)]

mod archives;
mod bombs;
mod browser;
#[cfg(feature = "s3")]
mod bucket;
mod bucket_sources;
mod cache_size;
mod cli;
mod columns;
mod crash;
mod damage;
mod dates;
mod disk;
mod duplicates;
mod exports;
mod exports_2026;
mod external;
mod faults;
mod folders;
mod formula_weights;
mod groups;
mod growth;
#[cfg(feature = "heic")]
mod heic;
mod hostile;
mod hub;
mod iiif;
mod incremental;
mod inputs;
mod instaloader;
mod json;
#[cfg(feature = "jxl")]
mod jxl;
mod limited_disks;
mod limits;
mod lite0;
mod locks;
mod models;
mod old_caches;
mod other_programs;
mod page;
mod page_hostile;
mod page_large;
mod page_looks;
mod page_touch;
mod pictures;
mod preflight;
mod publish;
mod raw;
mod render_outputs;
mod sandbox;
mod saved_request;
mod searching;
mod shares;
mod signals;
mod sources;
mod sources_command;
mod table_docs;
mod tables;
mod takeout;
mod tidy;
mod versions;
mod vgg16;
#[cfg(feature = "films")]
mod videos;
mod weights;
mod zips;
