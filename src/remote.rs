//! HTTP client for single files: metadata without the body, the body in ranges (each with its own timeout and retries),
//! or the whole body. Every wait for the network ends as soon as the user interrupts.

use std::io::Read;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use ureq::http::{Response, Uri};
use ureq::{Agent, Body};

use crate::error::Exit;
use crate::report::{Event, Progress, Reporter};

/// Size of one range request, and its time limit.
const RANGE_BYTES: u64 = 4 << 20;
const RANGE_TIMEOUT: Duration = Duration::from_secs(120);
/// Time limit of a request for metadata.
const METADATA_TIMEOUT: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 3;
/// Upper bound of the pause that a server can impose with `Retry-After`.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;
/// The `User-Agent` header of [`RemoteFile::fetch`], whose requests go to third-party servers.
const USER_AGENT: &str = concat!("tsne-grid/", env!("CARGO_PKG_VERSION"));
/// Interval at which an interruption is checked.
const POLL: Duration = Duration::from_millis(50);
/// Upper bound of the size of a file that is read as a whole.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// One URL on a server, with the connections that its requests share.
pub(crate) struct RemoteFile<'a> {
    reporter: &'a dyn Reporter,
    /// What the file is, for messages: "weights", "pictures".
    label: &'static str,
    agent: Agent,
    token: Option<String>,
    url: String,
}

/// Metadata of a file, from the headers of a response.
#[derive(Debug, Default)]
pub(crate) struct RemoteMetadata {
    /// The commit that the file belongs to, as the Hugging Face hub reports it.
    pub(crate) commit: Option<String>,
    /// The entity tag. For a large file on the hub it is the sha256; for other files it is a different digest.
    pub(crate) etag: Option<String>,
    /// In bytes.
    pub(crate) size: Option<u64>,
}

/// The body of a response.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The complete body.
    pub(crate) bytes: Vec<u8>,
    /// The entity tag of the response, for a later conditional request.
    pub(crate) tag: Option<String>,
}

/// A response with status 429 or 503, which is worth a retry.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {status}")]
struct ServerBusy {
    status: u16,
    /// The pause that the server requests before the next attempt.
    retry_after: Option<Duration>,
}

impl<'a> RemoteFile<'a> {
    /// The file at `url`. Messages call it `label`. `token` is sent only to this server, never to a redirect target.
    pub(crate) fn new(reporter: &'a dyn Reporter, label: &'static str, url: String, token: Option<String>) -> Self {
        let agent = Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        Self { reporter, label, agent, token, url }
    }

    /// The same client for another URL, without a token. It reuses open connections.
    pub(crate) fn with_url(&self, url: String) -> Self {
        Self { agent: self.agent.clone(), url, token: None, ..*self }
    }

    /// Requests the metadata. Redirects are followed here, one by one, so that the token goes only to the original
    /// server and each response's headers can be read.
    ///
    /// # Errors
    /// When the final status is neither 200 nor 206, after [`ATTEMPTS`] attempts if the server is busy, or when the
    /// user interrupts.
    pub(crate) fn metadata(&self) -> Result<RemoteMetadata> {
        let busy = |error: &anyhow::Error| error.is::<ServerBusy>();
        self.with_retries(busy, || self.try_metadata())
    }

    fn try_metadata(&self) -> Result<RemoteMetadata> {
        let mut current: Uri = self.url.parse()?;
        let mut metadata = RemoteMetadata::default();
        for _ in 0..=MAX_REDIRECTS {
            let trusted = same_server(&current, &self.url.parse()?);
            let request = self
                .get(&current.to_string(), trusted)
                .header("Range", "bytes=0-0")
                .header("Accept-Encoding", "identity");
            let request = request.config().timeout_global(Some(METADATA_TIMEOUT)).max_redirects(0).build();
            let response = self.run_interruptibly(move || Ok(request.call()?))?;
            if trusted {
                let etag = header(&response, "x-linked-etag").or(header(&response, "etag"));
                metadata.etag = metadata.etag.or(etag.map(|etag| etag.trim_matches('"').to_owned()));
                metadata.commit = metadata.commit.or(header(&response, "x-repo-commit").map(str::to_owned));
                metadata.size = metadata.size.or(header(&response, "x-linked-size").and_then(|size| size.parse().ok()));
            }
            match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => current = redirect_target(&current, &response)?,
                206 => {
                    let total = header(&response, "content-range").and_then(|range| range.rsplit_once('/'));
                    metadata.size = metadata.size.or(total.and_then(|(_, total)| total.parse().ok()));
                    return Ok(metadata);
                }
                200 => {
                    metadata.size = metadata.size.or(response.body().content_length());
                    return Ok(metadata);
                }
                _ => return Err(status_error(&response)),
            }
        }
        bail!("the server redirects more than {MAX_REDIRECTS} times")
    }

    /// Reads exactly `count` bytes starting at `from`.
    ///
    /// # Errors
    /// When a range fails [`ATTEMPTS`] times, or the user interrupts.
    pub(crate) fn read(&self, from: u64, count: u64, bar: &dyn Progress) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < count {
            self.check_interrupted()?;
            let offset = from + bytes.len() as u64;
            let size = RANGE_BYTES.min(count - bytes.len() as u64);
            let range = self.with_retries(|_| true, || self.try_range(offset, size));
            let range = range.with_context(|| format!("{}: bytes {offset}+{size}, {ATTEMPTS} attempts", self.url))?;
            bar.advance(range.len() as u64);
            bytes.extend(range);
        }
        Ok(bytes)
    }

    fn try_range(&self, from: u64, count: u64) -> Result<Vec<u8>> {
        let request = self.get(&self.url, true).header("Range", format!("bytes={from}-{}", from + count - 1));
        let request = request.config().timeout_global(Some(RANGE_TIMEOUT)).build();
        self.run_interruptibly(move || {
            let response = request.call()?;
            match response.status().as_u16() {
                206 => {}
                status @ 200..300 => {
                    bail!("the server answered a range request with {status}; --fetch file requests the whole file")
                }
                _ => return Err(status_error(&response)),
            }
            let content_range = header(&response, "content-range");
            let is_requested =
                content_range.is_some_and(|content_range| content_range.starts_with(&format!("bytes {from}-")));
            ensure!(is_requested, "the server sent a different range: {content_range:?}");
            let mut bytes = Vec::with_capacity(count as usize);
            response.into_body().into_reader().take(count).read_to_end(&mut bytes)?;
            ensure!(bytes.len() as u64 == count, "the connection ended after {} of {count} bytes", bytes.len());
            Ok(bytes)
        })
    }

    /// Reads the whole file with one request, without retries.
    ///
    /// # Errors
    /// When the request fails, the file is larger than [`MAX_FILE_BYTES`], or the user interrupts.
    pub(crate) fn read_all(&self) -> Result<Vec<u8>> {
        let request = self.get(&self.url, true);
        let (sender, blocks) = sync_channel::<Result<(u64, Vec<u8>)>>(2);
        std::thread::spawn(move || {
            let download = || {
                let response = request.call()?;
                ensure!(response.status().is_success(), status_error(&response));
                let size = response.body().content_length().unwrap_or(0);
                ensure!(size <= MAX_FILE_BYTES, "the file has {size} bytes, too many for weights");
                let mut body = response.into_body().into_with_config().limit(MAX_FILE_BYTES).reader();
                loop {
                    let mut block = Vec::new();
                    // Sending fails only if the receiver is gone because the user interrupted; the download then ends.
                    // An empty block marks the end of the body.
                    let read = body.by_ref().take(1 << 20).read_to_end(&mut block)?;
                    if sender.send(Ok((size, block))).is_err() || read == 0 {
                        return Ok(());
                    }
                }
            };
            if let Err(error) = download() {
                let _ = sender.send(Err(error));
            }
        });
        let mut bytes = Vec::new();
        let mut bar = None;
        loop {
            let (size, block) = self.wait(&blocks).with_context(|| self.url.clone())?;
            if block.is_empty() {
                return Ok(bytes);
            }
            let bar =
                bar.get_or_insert_with(|| self.reporter.progress(&format!("downloading {}", self.label), size, true));
            bar.advance(block.len() as u64);
            bytes.extend(block);
        }
    }

    /// Reads the whole file and its entity tag, or returns `None` if the server confirms that `tag` is still current.
    ///
    /// Redirects are followed here because each target is checked: a document from elsewhere must not make this program
    /// send requests into the user's private network. Private addresses are allowed only on the host of `base`, the
    /// address that the user named.
    ///
    /// # Errors
    /// When the server sends any other status, after [`ATTEMPTS`] attempts if it is busy or the connection fails; when
    /// the body has more than `max_bytes` bytes; when the user interrupts.
    pub(crate) fn fetch(&self, base: &str, tag: Option<&str>, max_bytes: u64) -> Result<Option<Fetched>> {
        let base: Option<Uri> = base.parse().ok();
        let is_transient = |error: &anyhow::Error| error.is::<ServerBusy>() || error.is::<ureq::Error>();
        self.with_retries(is_transient, || {
            let mut current: Uri = self.url.parse()?;
            for _ in 0..=MAX_REDIRECTS {
                ensure!(
                    matches!(current.scheme_str(), Some("http" | "https")),
                    "{current} is not an http or https address"
                );
                let is_same_host = base.as_ref().is_some_and(|base| base.host() == current.host());
                ensure!(
                    is_same_host || !is_private_address(&current),
                    "{current} is in your own network; only a document on the same host may refer to it"
                );
                let mut request = self.agent.get(current.to_string()).header("User-Agent", USER_AGENT);
                if let Some(tag) = tag {
                    request = request.header("If-None-Match", tag);
                }
                let request = request.config().timeout_global(Some(RANGE_TIMEOUT)).max_redirects(0).build();
                let response = self.run_interruptibly(move || Ok(request.call()?))?;
                match response.status().as_u16() {
                    200 => {
                        let tag = header(&response, "etag").map(str::to_owned);
                        let bytes = self.run_interruptibly(move || {
                            Ok(response.into_body().into_with_config().limit(max_bytes).read_to_vec()?)
                        })?;
                        return Ok(Some(Fetched { bytes, tag }));
                    }
                    304 if tag.is_some() => return Ok(None),
                    301 | 302 | 303 | 307 | 308 => current = redirect_target(&current, &response)?,
                    _ => return Err(status_error(&response)),
                }
            }
            bail!("the server redirects more than {MAX_REDIRECTS} times")
        })
    }

    /// A GET request to `url`. The token is added only if `trusted`, that is if `url` is on the original server. The
    /// HTTP client itself drops the header whenever it follows a redirect.
    fn get(&self, url: &str, trusted: bool) -> ureq::RequestBuilder<ureq::typestate::WithoutBody> {
        let request = self.agent.get(url);
        match &self.token {
            Some(token) if trusted => request.header("Authorization", format!("Bearer {token}")),
            _ => request,
        }
    }

    /// Calls `attempt` until it succeeds, at most [`ATTEMPTS`] times. Retries only after errors for which
    /// `is_retryable` is true, and never after an interruption.
    fn with_retries<T>(
        &self,
        is_retryable: impl Fn(&anyhow::Error) -> bool,
        attempt: impl Fn() -> Result<T>,
    ) -> Result<T> {
        let mut attempts = 1;
        loop {
            match attempt() {
                Err(error) if attempts < ATTEMPTS && !error.is::<Exit>() && is_retryable(&error) => {
                    self.reporter
                        .event(&Event::Warning(format!("downloading {}: {error:#}; trying again", self.label)));
                    let requested = error.downcast_ref::<ServerBusy>().and_then(|busy| busy.retry_after);
                    self.pause(requested.unwrap_or(Duration::from_millis(500) * attempts).min(MAX_RETRY_DELAY))?;
                    attempts += 1;
                }
                result => return result,
            }
        }
    }

    fn pause(&self, time: Duration) -> Result<()> {
        let began = Instant::now();
        while let Some(remaining) = time.checked_sub(began.elapsed()) {
            self.check_interrupted()?;
            std::thread::sleep(remaining.min(POLL));
        }
        Ok(())
    }

    /// Runs `work`, which blocks on the network, on its own thread and returns its result. If the user interrupts, the
    /// thread is abandoned, because a blocked read cannot be cancelled.
    fn run_interruptibly<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let (sender, receiver) = sync_channel(1);
        std::thread::spawn(move || sender.send(work()));
        self.wait(&receiver)
    }

    fn wait<T>(&self, receiver: &Receiver<Result<T>>) -> Result<T> {
        loop {
            self.check_interrupted()?;
            match receiver.recv_timeout(POLL) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the request ended without a response"),
            }
        }
    }

    fn check_interrupted(&self) -> Result<()> {
        if self.reporter.interrupted() { bail!(Exit::Interrupted) } else { Ok(()) }
    }
}

fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

/// The error for an unexpected status.
fn status_error(response: &Response<Body>) -> anyhow::Error {
    let status = response.status().as_u16();
    let after = header(response, "retry-after").and_then(|seconds| seconds.trim().parse().ok());
    match status {
        429 | 503 => ServerBusy { status, retry_after: after.map(Duration::from_secs) }.into(),
        _ => anyhow!("the server answered {status}"),
    }
}

/// Whether the host is this machine or in a private network. Names are judged by their form, without a DNS lookup.
fn is_private_address(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        Ok(IpAddr::V6(ip)) => {
            let mapped = ip.to_ipv4_mapped().is_some();
            mapped || ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
        Err(_) => {
            !host.contains('.') || [".localhost", ".local", ".internal"].iter().any(|suffix| host.ends_with(suffix))
        }
    }
}

fn same_server(one: &Uri, other: &Uri) -> bool {
    (one.scheme(), one.authority()) == (other.scheme(), other.authority())
}

/// The target of a redirect: an absolute address, or a path on the same server.
fn redirect_target(current: &Uri, response: &Response<Body>) -> Result<Uri> {
    let target = header(response, "location").context("the server sent a redirect without a target")?;
    let target: Uri = target.parse().with_context(|| format!("the server redirects to {target:?}"))?;
    if target.host().is_some() {
        ensure!(matches!(target.scheme_str(), Some("http" | "https")), "the server redirects to {target}");
        return Ok(target);
    }
    let mut parts = current.clone().into_parts();
    parts.path_and_query = target.into_parts().path_and_query;
    Ok(Uri::from_parts(parts)?)
}
