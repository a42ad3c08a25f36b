//! A file on a web server: what the server says of it, and its bytes, in ranges (each with its own time limit and
//! attempts) or whole. Whatever waits for the network ends at the first signal.

use std::io::Read;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use ureq::http::{Response, Uri};
use ureq::{Agent, Body};

use crate::error::Halt;
use crate::report::{Event, Progress, Reporter};

/// Bytes asked for at a time, and how long one such request may take.
const RANGE_BYTES: u64 = 4 << 20;
const RANGE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the question for what the server says of the file may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 3;
/// A server may ask for a pause of at most so long before the next attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const MOST_REDIRECTS: usize = 5;
/// What servers are told of who asks.
const USER_AGENT: &str = concat!("tsne-grid/", env!("CARGO_PKG_VERSION"));
/// How soon a signal is noticed.
const POLL: Duration = Duration::from_millis(50);
/// Larger files are not read whole.
const MAX_FILE_BYTES: u64 = 4 << 30;

pub(crate) struct Remote<'a> {
    reporter: &'a dyn Reporter,
    /// What is fetched, in a word.
    what: &'static str,
    agent: Agent,
    token: Option<String>,
    url: String,
}

/// What the server says of a file, without sending it.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    /// The commit that it is of.
    pub(crate) commit: Option<String>,
    /// The sha256 of a large file; of others something else.
    pub(crate) etag: Option<String>,
    /// Bytes.
    pub(crate) size: Option<u64>,
}

/// What a server sent.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// All of it.
    pub(crate) bytes: Vec<u8>,
    /// What the server calls this state of it.
    pub(crate) tag: Option<String>,
}

/// The server is busy: it answered 429 or 503.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {status}")]
struct Busy {
    status: u16,
    /// When to ask again, if it says so.
    after: Option<Duration>,
}

impl<'a> Remote<'a> {
    /// The file at `url`, of which people are told as `what`; `token` is shown to that server only, not to where it may
    /// redirect.
    pub(crate) fn new(reporter: &'a dyn Reporter, what: &'static str, url: String, token: Option<String>) -> Self {
        let agent = Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        Self { reporter, what, agent, token, url }
    }

    /// Another file without a token, over the connections that are open.
    pub(crate) fn at(&self, url: String) -> Self {
        Self { agent: self.agent.clone(), url, token: None, ..*self }
    }

    /// Asks what the server says of the file. Redirects are followed here, and the token goes only to the server that
    /// was asked first.
    ///
    /// # Errors
    /// When the server answers anything but the file, also after [`ATTEMPTS`] if it is busy; at a signal.
    pub(crate) fn metadata(&self) -> Result<Metadata> {
        let busy = |error: &anyhow::Error| error.is::<Busy>();
        self.attempts(busy, || self.try_metadata())
    }

    fn try_metadata(&self) -> Result<Metadata> {
        let mut at: Uri = self.url.parse()?;
        let mut found = Metadata::default();
        for _ in 0..=MOST_REDIRECTS {
            let own = same_server(&at, &self.url.parse()?);
            let request =
                self.get(&at.to_string(), own).header("Range", "bytes=0-0").header("Accept-Encoding", "identity");
            let request = request.config().timeout_global(Some(ASK_TIMEOUT)).max_redirects(0).build();
            let response = self.awaited(move || Ok(request.call()?))?;
            if own {
                let etag = header(&response, "x-linked-etag").or(header(&response, "etag"));
                found.etag = found.etag.or(etag.map(|etag| etag.trim_matches('"').to_owned()));
                found.commit = found.commit.or(header(&response, "x-repo-commit").map(str::to_owned));
                found.size = found.size.or(header(&response, "x-linked-size").and_then(|size| size.parse().ok()));
            }
            match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => at = redirected(&at, &response)?,
                206 => {
                    let total = header(&response, "content-range").and_then(|range| range.rsplit_once('/'));
                    found.size = found.size.or(total.and_then(|(_, total)| total.parse().ok()));
                    return Ok(found);
                }
                200 => {
                    found.size = found.size.or(response.body().content_length());
                    return Ok(found);
                }
                _ => return Err(refused(&response)),
            }
        }
        bail!("the server redirects more than {MOST_REDIRECTS} times")
    }

    /// `count` bytes from `from`; exactly as many, or an error.
    pub(crate) fn read(&self, from: u64, count: u64, bar: &dyn Progress) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < count {
            self.go_on()?;
            let at = from + bytes.len() as u64;
            let size = RANGE_BYTES.min(count - bytes.len() as u64);
            let piece = self.attempts(|_| true, || self.try_piece(at, size));
            let piece = piece.with_context(|| format!("{}: bytes {at}+{size}, {ATTEMPTS} attempts", self.url))?;
            bar.advance(piece.len() as u64);
            bytes.extend(piece);
        }
        Ok(bytes)
    }

    fn try_piece(&self, from: u64, count: u64) -> Result<Vec<u8>> {
        let request = self.get(&self.url, true).header("Range", format!("bytes={from}-{}", from + count - 1));
        let request = request.config().timeout_global(Some(RANGE_TIMEOUT)).build();
        self.awaited(move || {
            let response = request.call()?;
            match response.status().as_u16() {
                206 => {}
                status @ 200..300 => {
                    bail!("the server answered {status} where a part was asked for (--fetch file asks for the whole)")
                }
                _ => return Err(refused(&response)),
            }
            let part = header(&response, "content-range");
            let right = part.is_some_and(|part| part.starts_with(&format!("bytes {from}-")));
            ensure!(right, "the server sent another part: {part:?}");
            let mut bytes = Vec::with_capacity(count as usize);
            response.into_body().into_reader().take(count).read_to_end(&mut bytes)?;
            ensure!(bytes.len() as u64 == count, "the connection ended after {} of {count} bytes", bytes.len());
            Ok(bytes)
        })
    }

    /// Everything, in one request.
    pub(crate) fn read_all(&self) -> Result<Vec<u8>> {
        let request = self.get(&self.url, true);
        let (sender, blocks) = sync_channel::<Result<(u64, Vec<u8>)>>(2);
        std::thread::spawn(move || {
            let whole = || {
                let response = request.call()?;
                ensure!(response.status().is_success(), refused(&response));
                let size = response.body().content_length().unwrap_or(0);
                ensure!(size <= MAX_FILE_BYTES, "it has {size} bytes, too many for weights");
                let mut body = response.into_body().into_with_config().limit(MAX_FILE_BYTES).reader();
                loop {
                    let mut block = Vec::new();
                    // Whoever does not want it any more has been interrupted.
                    let read = body.by_ref().take(1 << 20).read_to_end(&mut block)?;
                    if sender.send(Ok((size, block))).is_err() || read == 0 {
                        return Ok(());
                    }
                }
            };
            if let Err(error) = whole() {
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
            let bar = bar.get_or_insert_with(|| self.reporter.bar(&format!("fetching {}", self.what), size, true));
            bar.advance(block.len() as u64);
            bytes.extend(block);
        }
    }

    /// Everything, in one request, with the server's tag; nothing if it still has the tag that is given. Redirects are
    /// followed here: neither they nor the first request may lead from elsewhere into the own network, where `base`, the
    /// address that somebody named, does not lie.
    ///
    /// # Errors
    /// When the server answers anything else, also after [`ATTEMPTS`] if it is busy or the line breaks; when there are more
    /// than `most` bytes; at a signal.
    pub(crate) fn fetch(&self, base: &str, tag: Option<&str>, most: u64) -> Result<Option<Fetched>> {
        let base: Option<Uri> = base.parse().ok();
        let passing = |error: &anyhow::Error| error.is::<Busy>() || error.is::<ureq::Error>();
        self.attempts(passing, || {
            let mut at: Uri = self.url.parse()?;
            for _ in 0..=MOST_REDIRECTS {
                ensure!(matches!(at.scheme_str(), Some("http" | "https")), "{at} is no address of the web");
                let known = base.as_ref().is_some_and(|base| base.host() == at.host());
                ensure!(
                    known || !is_near(&at),
                    "{at} lies in the own network, and only what is named there leads there"
                );
                let mut request = self.agent.get(at.to_string()).header("User-Agent", USER_AGENT);
                if let Some(tag) = tag {
                    request = request.header("If-None-Match", tag);
                }
                let request = request.config().timeout_global(Some(RANGE_TIMEOUT)).max_redirects(0).build();
                let response = self.awaited(move || Ok(request.call()?))?;
                match response.status().as_u16() {
                    200 => {
                        let tag = header(&response, "etag").map(str::to_owned);
                        let bytes = self.awaited(move || {
                            Ok(response.into_body().into_with_config().limit(most).read_to_vec()?)
                        })?;
                        return Ok(Some(Fetched { bytes, tag }));
                    }
                    304 if tag.is_some() => return Ok(None),
                    301 | 302 | 303 | 307 | 308 => at = redirected(&at, &response)?,
                    _ => return Err(refused(&response)),
                }
            }
            bail!("the server redirects more than {MOST_REDIRECTS} times")
        })
    }

    /// A request to this address; `own` is that of the server that may see the token. Where the agent is redirected to,
    /// it goes without.
    fn get(&self, at: &str, own: bool) -> ureq::RequestBuilder<ureq::typestate::WithoutBody> {
        let request = self.agent.get(at);
        match &self.token {
            Some(token) if own => request.header("Authorization", format!("Bearer {token}")),
            _ => request,
        }
    }

    /// Tries until it works, at most [`ATTEMPTS`] times, and again only after an error for which `again` holds.
    fn attempts<T>(&self, again: impl Fn(&anyhow::Error) -> bool, attempt: impl Fn() -> Result<T>) -> Result<T> {
        let mut tried = 1;
        loop {
            match attempt() {
                Err(error) if tried < ATTEMPTS && !error.is::<Halt>() && again(&error) => {
                    self.reporter.event(&Event::Warning(format!("fetching {}: {error:#}; trying again", self.what)));
                    let asked = error.downcast_ref::<Busy>().and_then(|busy| busy.after);
                    self.pause(asked.unwrap_or(Duration::from_millis(500) * tried).min(LONGEST_PAUSE))?;
                    tried += 1;
                }
                done => return done,
            }
        }
    }

    fn pause(&self, time: Duration) -> Result<()> {
        let began = Instant::now();
        while let Some(left) = time.checked_sub(began.elapsed()) {
            self.go_on()?;
            std::thread::sleep(left.min(POLL));
        }
        Ok(())
    }

    /// What `work`, which waits for the network, comes to. At a signal it is left alone.
    fn awaited<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let (sender, done) = sync_channel(1);
        std::thread::spawn(move || sender.send(work()));
        self.wait(&done)
    }

    fn wait<T>(&self, done: &Receiver<Result<T>>) -> Result<T> {
        loop {
            self.go_on()?;
            match done.recv_timeout(POLL) {
                Ok(done) => return done,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the request ended without an answer"),
            }
        }
    }

    fn go_on(&self) -> Result<()> {
        if self.reporter.interrupted() { bail!(Halt::Interrupted) } else { Ok(()) }
    }
}

fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

/// An answer that is not the file.
fn refused(response: &Response<Body>) -> anyhow::Error {
    let status = response.status().as_u16();
    let after = header(response, "retry-after").and_then(|seconds| seconds.trim().parse().ok());
    match status {
        429 | 503 => Busy { status, after: after.map(Duration::from_secs) }.into(),
        _ => anyhow!("the server answered {status}"),
    }
}

/// Whether an address is that of this machine or of the network that it is in.
fn is_near(at: &Uri) -> bool {
    let host = at.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        Ok(IpAddr::V6(ip)) => {
            let mapped = ip.to_ipv4_mapped().is_some();
            mapped || ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
        Err(_) => !host.contains('.') || [".localhost", ".local", ".internal"].iter().any(|end| host.ends_with(end)),
    }
}

fn same_server(one: &Uri, other: &Uri) -> bool {
    (one.scheme(), one.authority()) == (other.scheme(), other.authority())
}

/// Where a redirect leads: an address of its own, or a path on the same server.
fn redirected(at: &Uri, response: &Response<Body>) -> Result<Uri> {
    let place = header(response, "location").context("the server redirects to nowhere")?;
    let place: Uri = place.parse().with_context(|| format!("the server redirects to {place:?}"))?;
    if place.host().is_some() {
        ensure!(matches!(place.scheme_str(), Some("http" | "https")), "the server redirects to {place}");
        return Ok(place);
    }
    let mut parts = at.clone().into_parts();
    parts.path_and_query = place.into_parts().path_and_query;
    Ok(Uri::from_parts(parts)?)
}
