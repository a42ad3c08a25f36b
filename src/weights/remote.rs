//! A file on a web server, read in ranges (each with its own time limit and attempts) or whole.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ureq::typestate::WithoutBody;

use crate::error::Halt;
use crate::report::{Event, Progress, Reporter};

/// Bytes asked for at a time, and how long one such request may take.
const RANGE_BYTES: u64 = 4 << 20;
const RANGE_TIMEOUT: Duration = Duration::from_secs(120);
const ATTEMPTS: usize = 3;
/// Larger files are not read whole.
const MAX_FILE_BYTES: u64 = 4 << 30;

pub(super) struct Remote<'a> {
    reporter: &'a dyn Reporter,
    agent: ureq::Agent,
    token: Option<String>,
    url: String,
}

impl<'a> Remote<'a> {
    /// The file at `url`; `token` is shown to that server only, not to where it may redirect.
    pub(super) fn new(reporter: &'a dyn Reporter, url: String, token: Option<String>) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Self { reporter, agent, token, url }
    }

    fn get(&self) -> ureq::RequestBuilder<WithoutBody> {
        let request = self.agent.get(&self.url);
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    /// `count` bytes from `from`; exactly as many, or an error.
    pub(super) fn read(&self, from: u64, count: u64, bar: &dyn Progress) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < count {
            self.go_on()?;
            let at = from + bytes.len() as u64;
            let piece = self.piece(at, RANGE_BYTES.min(count - bytes.len() as u64))?;
            bar.advance(piece.len() as u64);
            bytes.extend(piece);
        }
        Ok(bytes)
    }

    fn piece(&self, from: u64, count: u64) -> Result<Vec<u8>> {
        let mut attempt = 1;
        loop {
            match self.try_piece(from, count) {
                Ok(bytes) => return Ok(bytes),
                Err(error) if attempt == ATTEMPTS => {
                    return Err(error.context(format!("{}: bytes {from}+{count}, {ATTEMPTS} attempts", self.url)));
                }
                Err(error) => {
                    let text = format!("fetching weights: {error:#}; trying again");
                    self.reporter.event(&Event::Warning(text));
                    std::thread::sleep(Duration::from_millis(500 * attempt as u64));
                    attempt += 1;
                }
            }
        }
    }

    fn try_piece(&self, from: u64, count: u64) -> Result<Vec<u8>> {
        let request = self.get().header("Range", format!("bytes={from}-{}", from + count - 1));
        let response = request.config().timeout_global(Some(RANGE_TIMEOUT)).build().call()?;
        let status = response.status().as_u16();
        ensure!(
            status == 206,
            "the server answered {status} where a part was asked for (--fetch file asks for the whole)"
        );
        let part = response.headers().get("content-range").and_then(|value| value.to_str().ok());
        let right = part.is_some_and(|part| part.starts_with(&format!("bytes {from}-")));
        ensure!(right, "the server sent another part: {part:?}");
        let mut bytes = Vec::with_capacity(count as usize);
        response.into_body().into_reader().take(count).read_to_end(&mut bytes)?;
        ensure!(bytes.len() as u64 == count, "the connection ended after {} of {count} bytes", bytes.len());
        Ok(bytes)
    }

    /// Everything, in one request.
    pub(super) fn read_all(&self) -> Result<Vec<u8>> {
        let response = self.get().call().with_context(|| self.url.clone())?;
        let size = response.body().content_length().unwrap_or(0);
        ensure!(size <= MAX_FILE_BYTES, "{} has {size} bytes, too many for weights", self.url);
        let bar = self.reporter.bar("fetching weights", size, true);
        let mut body = response.into_body().into_with_config().limit(MAX_FILE_BYTES).reader();
        let (mut bytes, mut block) = (Vec::new(), vec![0; 1 << 20]);
        loop {
            self.go_on()?;
            let read = body.read(&mut block).with_context(|| self.url.clone())?;
            if read == 0 {
                return Ok(bytes);
            }
            bytes.extend_from_slice(&block[..read]);
            bar.advance(read as u64);
        }
    }

    fn go_on(&self) -> Result<()> {
        if self.reporter.interrupted() { bail!(Halt::Interrupted) } else { Ok(()) }
    }
}
