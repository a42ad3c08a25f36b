//! A place in an S3 bucket, or in what speaks as S3 does: listed, read and published by single requests, each tried
//! again while the server is busy or the connection breaks. Requests are signed in their address (`rusty-s3`) and sent by
//! the client that fetches weights. Addresses and credentials are never said.

use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusty_s3::actions::{ListObjectsV2, ListObjectsV2Response, S3Action};
use rusty_s3::{Credentials, UrlStyle};
use serde::Deserialize;
use ureq::http::Response;
use ureq::{Agent, Body};

use super::digest_in_name;
use super::place::Unreachable;

/// How long a signed address holds.
pub(super) const SIGNED: Duration = Duration::from_secs(900);
/// A server that says nothing for so long is asked again.
const ANSWER: Duration = Duration::from_secs(20);
/// A request takes no longer, with its body.
const WHOLE: Duration = Duration::from_secs(600);
pub(super) const ATTEMPTS: u32 = 7;
/// Longest pause between attempts.
const PAUSE: Duration = Duration::from_secs(20);
/// Larger files are not read.
const MOST: u64 = 4 << 30;
/// Credentials of a machine are asked for again after this.
const CREDENTIALS_HOLD: Duration = Duration::from_secs(300);

/// A prefix in a bucket.
#[derive(Clone)]
pub struct Bucket {
    pub(super) bucket: rusty_s3::Bucket,
    /// Empty, or with a slash at its end.
    pub(super) prefix: String,
    pub(super) agent: Agent,
    /// Credentials, and when they were had; none of a machine's that were not asked for yet.
    credentials: Arc<Mutex<Option<(Credentials, Instant)>>>,
    /// Whether the credentials are those of the environment, which hold.
    fixed: bool,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket.name(), self.prefix.trim_end_matches('/'))
    }
}

/// What went wrong with a request.
pub(super) enum Fault {
    /// It may go better another time; after so long, if the server says so.
    Again(String, Option<Duration>),
    /// It will not.
    Never(io::ErrorKind, String),
}

impl Bucket {
    /// The place `bucket/prefix`, with region, endpoint and credentials as the variables of AWS's own programs say, or the
    /// machine's own.
    ///
    /// # Errors
    /// When the bucket has no name, or the endpoint is no address.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let (name, prefix) = text.split_once('/').unwrap_or((text, ""));
        if name.is_empty() {
            return Err("s3:// wants the name of a bucket: s3://bucket/prefix".into());
        }
        let region = variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]).unwrap_or_else(|| "us-east-1".to_owned());
        let (endpoint, style) = match variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]) {
            Some(endpoint) => (endpoint, UrlStyle::Path),
            // A name with dots fits no certificate.
            None if name.contains('.') => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::Path),
            None => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
        };
        let endpoint =
            endpoint.parse().map_err(|_| "the endpoint of S3 (AWS_ENDPOINT_URL) is no address".to_owned())?;
        let bucket = rusty_s3::Bucket::new(endpoint, style, name.to_owned(), region)
            .map_err(|error| format!("s3://{name} is no bucket that can be asked: {error}"))?;
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let agent = Agent::config_builder()
            .timeout_connect(Some(ANSWER))
            .timeout_recv_response(Some(ANSWER))
            .timeout_recv_body(Some(WHOLE))
            .timeout_global(Some(WHOLE))
            .max_redirects(0)
            .http_status_as_error(false)
            .build()
            .new_agent();
        let own = Credentials::from_env();
        let fixed = own.is_some();
        let credentials = Arc::new(Mutex::new(own.map(|own| (own, Instant::now()))));
        Ok(Self { bucket, prefix, agent, credentials, fixed })
    }

    /// The names of the published files in one of its folders, sorted.
    pub(super) fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let inside = format!("{}{folder}/", self.prefix);
        let (mut names, mut token) = (Vec::new(), None::<String>);
        loop {
            let page = self.page(&format!("{self}/{folder}"), &inside, Some("/"), token.as_deref())?;
            let inner = page.contents.iter().filter_map(|object| object.key.strip_prefix(&inside));
            names.extend(inner.filter(|name| digest_in_name(name.as_ref()).is_some()).map(str::to_owned));
            token = page.next_continuation_token;
            if token.is_none() {
                names.sort_unstable();
                return Ok(names);
            }
        }
    }

    /// A page of the keys that begin with `inside`, up to a delimiter if there is one; `what` is how they are called.
    pub(super) fn page(
        &self,
        what: &str,
        inside: &str,
        delimiter: Option<&str>,
        token: Option<&str>,
    ) -> io::Result<ListObjectsV2Response> {
        self.attempts(&format!("list {what}"), || {
            let credentials = self.credentials()?;
            let mut list = self.bucket.list_objects_v2(Some(&credentials));
            list.with_prefix(inside);
            delimiter.into_iter().for_each(|delimiter| list.with_delimiter(delimiter));
            token.into_iter().for_each(|token| list.with_continuation_token(token));
            let bytes = whole(self.agent.get(list.sign(SIGNED).as_str()).call())?;
            let text = String::from_utf8(bytes).map_err(|_| again("the server's answer is no text"))?;
            // What reads it would take the beginning of a list for all of it.
            if !text.trim_end().ends_with("ListBucketResult>") {
                return Err(again("the server's answer is cut off"));
            }
            ListObjectsV2::parse_response(&text).map_err(|_| again("the server's answer is no list of a bucket"))
        })
    }

    /// A file, once its bytes are those that `is_right` says; what comes otherwise comes again.
    pub(super) fn read(&self, folder: &str, name: &str, is_right: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
        let key = format!("{}{folder}/{name}", self.prefix);
        self.attempts(&format!("read {self}/{folder}/{name}"), || {
            let credentials = self.credentials()?;
            let bytes =
                whole(self.agent.get(self.bucket.get_object(Some(&credentials), &key).sign(SIGNED).as_str()).call())?;
            if is_right(&bytes) { Ok(bytes) } else { Err(again("its bytes do not match its name")) }
        })
    }

    /// Publishes a file unless there is one of its name.
    pub(super) fn publish(&self, folder: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let key = format!("{}{folder}/{name}", self.prefix);
        let mut unless = true;
        self.attempts(&format!("write {self}/{folder}/{name}"), || {
            let credentials = self.credentials()?;
            let mut put = self.bucket.put_object(Some(&credentials), &key);
            if unless {
                put.headers_mut().insert("if-none-match", "*");
            }
            let request = self.agent.put(put.sign(SIGNED).as_str());
            let request = if unless { request.header("If-None-Match", "*") } else { request };
            let response = request.send(bytes).map_err(|error| again(&error.to_string()))?;
            match response.status().as_u16() {
                // Another one had the same, and the name has its digest.
                412 => Ok(()),
                409 => Err(again("another one writes it")),
                // A server that does not know the condition: the same bytes go there once more.
                501 if std::mem::take(&mut unless) => Err(again("the server knows no condition")),
                _ => answered(response).map(drop),
            }
        })
    }

    pub(super) fn attempts<T>(&self, what: &str, mut attempt: impl FnMut() -> Result<T, Fault>) -> io::Result<T> {
        let mut tried = 1;
        loop {
            let (kind, why) = match attempt() {
                Ok(done) => return Ok(done),
                Err(Fault::Again(_, after)) if tried < ATTEMPTS => {
                    pause(tried, after);
                    tried += 1;
                    continue;
                }
                Err(Fault::Again(why, _)) => (io::ErrorKind::TimedOut, format!("{why}, {ATTEMPTS} times")),
                Err(Fault::Never(kind, why)) => (kind, why),
            };
            let why = format!("cannot {what}: {why}");
            return Err(match kind {
                io::ErrorKind::TimedOut | io::ErrorKind::PermissionDenied => io::Error::new(kind, Unreachable(why)),
                _ => io::Error::new(kind, why),
            });
        }
    }

    /// Those of the environment, or of the machine.
    pub(super) fn credentials(&self) -> Result<Credentials, Fault> {
        let mut kept = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((credentials, had)) = &*kept
            && (self.fixed || had.elapsed() < CREDENTIALS_HOLD)
        {
            return Ok(credentials.clone());
        }
        let credentials = self.of_machine()?;
        *kept = Some((credentials.clone(), Instant::now()));
        Ok(credentials)
    }

    /// What a container's or a machine's own service gives.
    fn of_machine(&self) -> Result<Credentials, Fault> {
        let get = |address: String, header: Option<(&str, String)>| {
            let request = self.agent.get(&address);
            let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
            whole(request.call()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let none = || {
            let said = "there are no credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and this machine has none of its own";
            Fault::Never(io::ErrorKind::PermissionDenied, said.to_owned())
        };
        let relative =
            variable(&["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]).map(|path| format!("http://169.254.170.2{path}"));
        let text = match relative.or_else(|| variable(&["AWS_CONTAINER_CREDENTIALS_FULL_URI"])) {
            Some(address) => {
                let file = variable(&["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]);
                let token = file.and_then(|file| std::fs::read_to_string(file).ok());
                let token = token.or_else(|| variable(&["AWS_CONTAINER_AUTHORIZATION_TOKEN"]));
                get(address, token.map(|token| ("Authorization", token.trim().to_owned())))?
            }
            None if variable(&["AWS_EC2_METADATA_DISABLED"]).is_some_and(|said| said == "true") => return Err(none()),
            None => {
                let service = variable(&["AWS_EC2_METADATA_SERVICE_ENDPOINT"]);
                let service = service.unwrap_or_else(|| "http://169.254.169.254".to_owned());
                let service = format!("{}/latest", service.trim_end_matches('/'));
                let token = self
                    .agent
                    .put(format!("{service}/api/token"))
                    .header("X-aws-ec2-metadata-token-ttl-seconds", "600");
                let token = token.config().timeout_global(Some(Duration::from_secs(3))).build().send_empty();
                let token = String::from_utf8_lossy(&whole(token).map_err(|_| none())?).into_owned();
                let header = || Some(("X-aws-ec2-metadata-token", token.clone()));
                let roles = format!("{service}/meta-data/iam/security-credentials/");
                let role = get(roles.clone(), header())?;
                get(format!("{roles}{}", role.lines().next().unwrap_or_default()), header())?
            }
        };
        let given: Given =
            serde_json::from_str(&text).map_err(|_| again("the machine's credentials are not understood"))?;
        Ok(match given.token {
            Some(token) => Credentials::new_with_token(given.access_key_id, given.secret_access_key, token),
            None => Credentials::new(given.access_key_id, given.secret_access_key),
        })
    }
}

/// Credentials as the services of AWS give them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
}

/// The first of these variables that says something.
fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

pub(super) fn again(why: &str) -> Fault {
    Fault::Again(why.to_owned(), None)
}

/// Waits after so many attempts, or for as long as the server says.
pub(super) fn pause(tried: u32, after: Option<Duration>) {
    std::thread::sleep(after.unwrap_or(Duration::from_millis(200) * (1 << tried)).min(PAUSE));
}

/// All bytes of a good answer.
fn whole(response: Result<Response<Body>, ureq::Error>) -> Result<Vec<u8>, Fault> {
    let response = answered(response.map_err(|error| again(&error.to_string()))?)?;
    let said = response.body().content_length();
    let mut bytes = Vec::new();
    let read = response.into_body().into_reader().take(MOST).read_to_end(&mut bytes);
    read.map_err(|error| again(&format!("the connection broke ({error})")))?;
    match said {
        Some(said) if said != bytes.len() as u64 => Err(again(&format!("{} of {said} bytes came", bytes.len()))),
        _ => Ok(bytes),
    }
}

/// A good answer, or what another one means.
pub(super) fn answered(response: Response<Body>) -> Result<Response<Body>, Fault> {
    let status = response.status().as_u16();
    if (200..300).contains(&status) {
        return Ok(response);
    }
    let after = response.headers().get("retry-after").and_then(|after| after.to_str().ok()?.parse().ok());
    let mut text = String::new();
    let _ = response.into_body().into_reader().take(10_000).read_to_string(&mut text);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let why = format!("the server answered {status} {code}").trim_end().to_owned();
    match status {
        404 => Err(Fault::Never(io::ErrorKind::NotFound, why)),
        408 | 429 | 500 | 502 | 503 | 504 => Err(Fault::Again(why, after.map(Duration::from_secs))),
        // A clock that goes wrong, or credentials that have just changed.
        _ if matches!(&*code, "ExpiredToken" | "RequestTimeout" | "SlowDown") => Err(Fault::Again(why, None)),
        // An archived object is not the bucket's no.
        403 if code == "InvalidObjectState" => {
            Err(Fault::Never(io::ErrorKind::Other, format!("{why}: it is archived")))
        }
        401 | 403 => Err(Fault::Never(io::ErrorKind::PermissionDenied, why)),
        _ => Err(Fault::Never(io::ErrorKind::Other, why)),
    }
}
