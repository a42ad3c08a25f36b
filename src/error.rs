//! Errors that need an exit code or a message style of their own. All others are an `anyhow::Error` and end with exit
//! code 1.

/// An error with an exit code, or a message style, of its own.
#[derive(Debug, thiserror::Error)]
pub enum Exit {
    /// A mistake on the command line or in `pipeline.toml`: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A source or a table on the command line does not exist or cannot be opened: exit code 1.
    #[error("{0}")]
    NotFound(String),
    /// Ctrl-C or SIGTERM: exit code 130. Results that were already published stay in the cache.
    #[error("interrupted; run the same command again to continue from here")]
    Interrupted,
}
