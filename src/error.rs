//! The few errors that decide the exit code; everything else is an `anyhow::Error` and exits 1.

/// Why the program stops other than by failing.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// A mistake on the command line or in `pipeline.toml`: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A source or a table that was named is not there, or is no file that can be opened: exit code 1.
    #[error("{0}")]
    NotFound(String),
    /// Ctrl-C or SIGTERM: exit code 130. What was committed stays.
    #[error("interrupted; run the same command again to go on from here")]
    Interrupted,
}
