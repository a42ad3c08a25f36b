//! A prefix in an S3 bucket, or on a server with the S3 protocol. It can be listed, read and published to. Each request
//! is repeated while the server is busy or the connection breaks. Requests are signed in their URL (`rusty-s3`) and
//! sent by the HTTP client that also fetches weights. No message contains a signed URL or credentials.

use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusty_s3::actions::{ListObjectsV2, ListObjectsV2Response, S3Action};
use rusty_s3::{Credentials, UrlStyle};
use serde::Deserialize;
use ureq::http::Response;
use ureq::{Agent, Body};

use super::digest_in_name;
use super::shared::Unreachable;

/// How long a signed URL is valid.
pub(super) const SIGNATURE_VALIDITY: Duration = Duration::from_secs(900);
/// The time to connect, and the time until the response begins, after which a request is repeated.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
/// The time limit of a request, including its body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);
/// The number of attempts for a request.
pub(super) const MAX_ATTEMPTS: u32 = 7;
/// The longest pause between two attempts.
const MAX_BACK_OFF: Duration = Duration::from_secs(20);
/// The size limit of a response body, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 30;
/// The time after which credentials of the machine are requested again.
const CREDENTIALS_LIFETIME: Duration = Duration::from_secs(300);

/// A prefix in a bucket.
#[derive(Clone)]
pub struct Bucket {
    pub(super) bucket: rusty_s3::Bucket,
    /// The prefix, empty or ending in a slash.
    pub(super) prefix: String,
    pub(super) agent: Agent,
    /// The credentials and when they were obtained. `None` until credentials of the machine are requested.
    credentials: Arc<Mutex<Option<(Credentials, Instant)>>>,
    /// Whether the credentials come from the environment. These are not requested again.
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

/// Why a request failed.
pub(super) enum RequestError {
    /// The request can be repeated, after this pause if the server gives one.
    Transient(String, Option<Duration>),
    /// Repeating the request is useless.
    Permanent(io::ErrorKind, String),
}

impl Bucket {
    /// The place `bucket/prefix`. Region, endpoint and credentials come from the environment variables of the AWS
    /// tools; without credentials there, those of the machine are used.
    ///
    /// # Errors
    /// When the name of the bucket is missing, or the endpoint is not a URL.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let (name, prefix) = text.split_once('/').unwrap_or((text, ""));
        if name.is_empty() {
            return Err("the name of the bucket is missing; the form is s3://bucket/prefix".into());
        }
        let region = env_var(&["AWS_REGION", "AWS_DEFAULT_REGION"]).unwrap_or_else(|| "us-east-1".to_owned());
        let (endpoint, style) = match env_var(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]) {
            Some(endpoint) => (endpoint, UrlStyle::Path),
            // The certificate of AWS is for `*.s3.…`, which does not cover a bucket name with dots.
            None if name.contains('.') => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::Path),
            None => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
        };
        let endpoint = endpoint.parse().map_err(|_| "the endpoint of S3 (AWS_ENDPOINT_URL) is not a URL".to_owned())?;
        let bucket = rusty_s3::Bucket::new(endpoint, style, name.to_owned(), region)
            .map_err(|error| format!("s3://{name} cannot be used as a bucket: {error}"))?;
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let agent = Agent::config_builder()
            .timeout_connect(Some(RESPONSE_TIMEOUT))
            .timeout_recv_response(Some(RESPONSE_TIMEOUT))
            .timeout_recv_body(Some(REQUEST_TIMEOUT))
            .timeout_global(Some(REQUEST_TIMEOUT))
            .max_redirects(0)
            .http_status_as_error(false)
            .build()
            .new_agent();
        let from_env = Credentials::from_env();
        let fixed = from_env.is_some();
        let credentials = Arc::new(Mutex::new(from_env.map(|credentials| (credentials, Instant::now()))));
        Ok(Self { bucket, prefix, agent, credentials, fixed })
    }

    /// The names of the published files in a folder, sorted.
    pub(super) fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let key_prefix = format!("{}{folder}/", self.prefix);
        let (mut names, mut token) = (Vec::new(), None::<String>);
        loop {
            let page = self.page(&format!("{self}/{folder}"), &key_prefix, Some("/"), token.as_deref())?;
            let inner = page.contents.iter().filter_map(|object| object.key.strip_prefix(&key_prefix));
            names.extend(inner.filter(|name| digest_in_name(name.as_ref()).is_some()).map(str::to_owned));
            token = page.next_continuation_token;
            if token.is_none() {
                names.sort_unstable();
                return Ok(names);
            }
        }
    }

    /// One page of the keys that begin with `key_prefix`, up to the delimiter if there is one. `place` names the list
    /// in errors.
    pub(super) fn page(
        &self,
        place: &str,
        key_prefix: &str,
        delimiter: Option<&str>,
        token: Option<&str>,
    ) -> io::Result<ListObjectsV2Response> {
        self.with_retries(&format!("list {place}"), || {
            let credentials = self.credentials()?;
            let mut list = self.bucket.list_objects_v2(Some(&credentials));
            list.with_prefix(key_prefix);
            delimiter.into_iter().for_each(|delimiter| list.with_delimiter(delimiter));
            token.into_iter().for_each(|token| list.with_continuation_token(token));
            let bytes = read_body(self.agent.get(list.sign(SIGNATURE_VALIDITY).as_str()).call())?;
            let text = String::from_utf8(bytes).map_err(|_| transient("the response is not text"))?;
            // The parser would accept a truncated list as complete.
            if !text.trim_end().ends_with("ListBucketResult>") {
                return Err(transient("the response is cut off"));
            }
            ListObjectsV2::parse_response(&text).map_err(|_| transient("the response is not a list of a bucket"))
        })
    }

    /// Reads a file. If `is_valid` returns `false` for its bytes, they are requested again.
    pub(super) fn read(&self, folder: &str, name: &str, is_valid: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
        let key = format!("{}{folder}/{name}", self.prefix);
        self.with_retries(&format!("read {self}/{folder}/{name}"), || {
            let credentials = self.credentials()?;
            let bytes = read_body(
                self.agent
                    .get(self.bucket.get_object(Some(&credentials), &key).sign(SIGNATURE_VALIDITY).as_str())
                    .call(),
            )?;
            if is_valid(&bytes) { Ok(bytes) } else { Err(transient("its bytes do not match its name")) }
        })
    }

    /// Publishes a file, unless one with this name exists.
    pub(super) fn publish(&self, folder: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let key = format!("{}{folder}/{name}", self.prefix);
        // Whether the request is made conditional: the server then writes the file only if it does not exist.
        let mut conditional = true;
        self.with_retries(&format!("write {self}/{folder}/{name}"), || {
            let credentials = self.credentials()?;
            let mut put = self.bucket.put_object(Some(&credentials), &key);
            if conditional {
                put.headers_mut().insert("if-none-match", "*");
            }
            let request = self.agent.put(put.sign(SIGNATURE_VALIDITY).as_str());
            let request = if conditional { request.header("If-None-Match", "*") } else { request };
            let response = request.send(bytes).map_err(|error| transient(&error.to_string()))?;
            match response.status().as_u16() {
                // Another process has published it. The name contains the digest, so the bytes are the same.
                412 => Ok(()),
                409 => Err(transient("another process is writing the file")),
                // The server does not support the condition. Without it, the same bytes may be written twice.
                501 if std::mem::take(&mut conditional) => {
                    Err(transient("the server does not support conditional writes"))
                }
                _ => check_status(response).map(drop),
            }
        })
    }

    /// Repeats a request until it succeeds or fails permanently, at most [`MAX_ATTEMPTS`] times. If the server could
    /// not be reached or denied access, the error contains [`Unreachable`], because it says nothing about the object.
    pub(super) fn with_retries<T>(
        &self,
        action: &str,
        mut attempt: impl FnMut() -> Result<T, RequestError>,
    ) -> io::Result<T> {
        let mut attempts = 1;
        loop {
            let (kind, reason) = match attempt() {
                Ok(done) => return Ok(done),
                Err(RequestError::Transient(_, pause)) if attempts < MAX_ATTEMPTS => {
                    back_off(attempts, pause);
                    attempts += 1;
                    continue;
                }
                Err(RequestError::Transient(reason, _)) => {
                    (io::ErrorKind::TimedOut, format!("{reason} ({MAX_ATTEMPTS} attempts)"))
                }
                Err(RequestError::Permanent(kind, reason)) => (kind, reason),
            };
            let reason = format!("cannot {action}: {reason}");
            return Err(match kind {
                io::ErrorKind::TimedOut | io::ErrorKind::PermissionDenied => io::Error::new(kind, Unreachable(reason)),
                _ => io::Error::new(kind, reason),
            });
        }
    }

    /// The credentials of the environment or of the machine.
    pub(super) fn credentials(&self) -> Result<Credentials, RequestError> {
        let mut cached = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((credentials, obtained_at)) = &*cached
            && (self.fixed || obtained_at.elapsed() < CREDENTIALS_LIFETIME)
        {
            return Ok(credentials.clone());
        }
        let credentials = self.machine_credentials()?;
        *cached = Some((credentials.clone(), Instant::now()));
        Ok(credentials)
    }

    /// Credentials from the service of the container (ECS, EKS) or the machine (EC2).
    fn machine_credentials(&self) -> Result<Credentials, RequestError> {
        let relative =
            env_var(&["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]).map(|path| format!("http://169.254.170.2{path}"));
        let text = match relative.or_else(|| env_var(&["AWS_CONTAINER_CREDENTIALS_FULL_URI"])) {
            Some(address) => self.container_credentials(address)?,
            None => self.instance_credentials()?,
        };
        let response: CredentialsResponse = serde_json::from_str(&text)
            .map_err(|_| transient("the response with the machine's credentials is invalid"))?;
        Ok(match response.token {
            Some(token) => Credentials::new_with_token(response.access_key_id, response.secret_access_key, token),
            None => Credentials::new(response.access_key_id, response.secret_access_key),
        })
    }

    /// The response of a container's credential service, which may want a token from a file or a variable.
    fn container_credentials(&self, address: String) -> Result<String, RequestError> {
        let file = env_var(&["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]);
        let token = file.and_then(|file| std::fs::read_to_string(file).ok());
        let token = token.or_else(|| env_var(&["AWS_CONTAINER_AUTHORIZATION_TOKEN"]));
        self.get_text(address, token.as_ref().map(|token| ("Authorization", token.trim())))
    }

    /// The response of EC2's metadata service, version 2: a token first, then the role, then its credentials.
    fn instance_credentials(&self) -> Result<String, RequestError> {
        let no_credentials = || {
            let message = "there are no credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and this \
                           machine provides none";
            RequestError::Permanent(io::ErrorKind::PermissionDenied, message.to_owned())
        };
        if env_var(&["AWS_EC2_METADATA_DISABLED"]).is_some_and(|value| value == "true") {
            return Err(no_credentials());
        }
        let service = env_var(&["AWS_EC2_METADATA_SERVICE_ENDPOINT"]);
        let service = service.unwrap_or_else(|| "http://169.254.169.254".to_owned());
        let service = format!("{}/latest", service.trim_end_matches('/'));
        let request =
            self.agent.put(format!("{service}/api/token")).header("X-aws-ec2-metadata-token-ttl-seconds", "600");
        // Outside of AWS nothing answers at this address, so the time limit is short.
        let token = request.config().timeout_global(Some(Duration::from_secs(3))).build().send_empty();
        let token = String::from_utf8_lossy(&read_body(token).map_err(|_| no_credentials())?).into_owned();
        let header = Some(("X-aws-ec2-metadata-token", token.as_str()));
        let roles = format!("{service}/meta-data/iam/security-credentials/");
        let role = self.get_text(roles.clone(), header)?;
        self.get_text(format!("{roles}{}", role.lines().next().unwrap_or_default()), header)
    }

    fn get_text(&self, address: String, header: Option<(&str, &str)>) -> Result<String, RequestError> {
        let request = self.agent.get(&address);
        let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        read_body(request.call()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The response of the credential services of AWS.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsResponse {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
}

/// The value of the first of these variables that is set and not empty.
fn env_var(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// An error after which the request is repeated.
pub(super) fn transient(reason: &str) -> RequestError {
    RequestError::Transient(reason.to_owned(), None)
}

/// Waits before the next attempt: as long as the server asks for, otherwise 200 ms times 2 to the power of `attempts`,
/// at most [`MAX_BACK_OFF`].
pub(super) fn back_off(attempts: u32, pause: Option<Duration>) {
    std::thread::sleep(pause.unwrap_or(Duration::from_millis(200) * (1 << attempts)).min(MAX_BACK_OFF));
}

/// The body of a successful response.
fn read_body(response: Result<Response<Body>, ureq::Error>) -> Result<Vec<u8>, RequestError> {
    let response = check_status(response.map_err(|error| transient(&error.to_string()))?)?;
    let length = response.body().content_length();
    let mut bytes = Vec::new();
    let read = response.into_body().into_reader().take(MAX_FILE_BYTES).read_to_end(&mut bytes);
    read.map_err(|error| transient(&format!("the connection broke ({error})")))?;
    match length {
        Some(length) if length != bytes.len() as u64 => {
            Err(transient(&format!("only {} of {length} bytes were received", bytes.len())))
        }
        _ => Ok(bytes),
    }
}

/// Returns a response with a success status, and turns others into errors.
pub(super) fn check_status(response: Response<Body>) -> Result<Response<Body>, RequestError> {
    let status = response.status().as_u16();
    if (200..300).contains(&status) {
        return Ok(response);
    }
    let pause = response.headers().get("retry-after").and_then(|seconds| seconds.to_str().ok()?.parse().ok());
    let mut text = String::new();
    let _ = response.into_body().into_reader().take(10_000).read_to_string(&mut text);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let reason = format!("the server answered {status} {code}").trim_end().to_owned();
    match status {
        404 => Err(RequestError::Permanent(io::ErrorKind::NotFound, reason)),
        408 | 429 | 500 | 502 | 503 | 504 => Err(RequestError::Transient(reason, pause.map(Duration::from_secs))),
        // Some servers report these conditions with a status that otherwise means a permanent error.
        _ if matches!(&*code, "ExpiredToken" | "RequestTimeout" | "SlowDown") => {
            Err(RequestError::Transient(reason, None))
        }
        // The object is archived (403). Unlike other denials this concerns the object alone.
        403 if code == "InvalidObjectState" => {
            Err(RequestError::Permanent(io::ErrorKind::Other, format!("{reason}: it is archived")))
        }
        401 | 403 => Err(RequestError::Permanent(io::ErrorKind::PermissionDenied, reason)),
        _ => Err(RequestError::Permanent(io::ErrorKind::Other, reason)),
    }
}
