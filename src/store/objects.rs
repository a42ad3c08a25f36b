//! Objects in a bucket that this program did not publish, such as pictures. They are listed with their tags and read
//! from any byte. If the connection breaks, reading continues at the same byte.

use std::io::{self, Read};

use rusty_s3::S3Action;
use rusty_s3::actions::list_objects_v2::ListObjectsContent;
use ureq::http::Response;
use ureq::{Body, BodyReader};

use super::bucket::{Bucket, MAX_ATTEMPTS, RequestError, SIGNATURE_VALIDITY, back_off, check_status, transient};
use super::shared::{Object, Unreachable};

impl Bucket {
    /// The bucket and prefix of `s3://bucket/prefix`; `None` for another text.
    ///
    /// # Errors
    /// Like those of [`SharedStore::parse`](super::SharedStore::parse).
    pub fn parse(text: &str) -> Option<Result<Self, String>> {
        text.strip_prefix("s3://").map(Self::new)
    }

    /// Passes the objects under the prefix to `each`, page by page, in the order of their keys. Keys that end in `/`
    /// mark folders and are omitted.
    ///
    /// # Errors
    /// When the bucket cannot be listed; also the errors of `each`.
    pub fn objects<E: From<io::Error>>(&self, mut each: impl FnMut(Vec<Object>) -> Result<(), E>) -> Result<(), E> {
        let mut token = None::<String>;
        loop {
            let page = self.page(&self.to_string(), &self.prefix, None, token.as_deref())?;
            let objects = page.contents.into_iter().filter_map(|listed| self.object(listed));
            each(objects.filter(|object| !object.name.is_empty() && !object.name.ends_with('/')).collect())?;
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(());
            }
        }
    }

    /// The object with this name, if it exists.
    ///
    /// # Errors
    /// When the bucket cannot be listed.
    pub fn find(&self, name: &str) -> io::Result<Option<Object>> {
        let key = format!("{}{name}", self.prefix);
        // Keys are sorted, so other keys with this prefix come after it.
        let page = self.page(&format!("{self}/{name}"), &key, None, None)?;
        Ok(page.contents.into_iter().find(|listed| listed.key == key).and_then(|listed| self.object(listed)))
    }

    /// An entry of a list as an object; `None` if it is not under the prefix.
    fn object(&self, listed: ListObjectsContent) -> Option<Object> {
        let name = listed.key.strip_prefix(&self.prefix)?.to_owned();
        Some(Object { name, size: listed.size.unwrap_or(0), tag: listed.etag })
    }

    /// Checks that the bucket can be listed.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn check(&self) -> io::Result<()> {
        self.page(&self.to_string(), &self.prefix, Some("/"), None).map(drop)
    }

    /// Reads an object of `size` bytes from byte `start` on.
    ///
    /// # Errors
    /// When it cannot be read, or its size has changed.
    pub fn open(&self, name: &str, start: u64, size: u64) -> io::Result<impl Read + use<>> {
        let mut stream =
            Stream { bucket: self.clone(), name: name.to_owned(), position: start, size, tag: None, body: None };
        if start < size {
            stream.body = stream.request()?;
        }
        Ok(stream)
    }
}

/// A stream of the bytes of an object.
struct Stream {
    bucket: Bucket,
    name: String,
    /// The position of the next byte.
    position: u64,
    /// The size of the object in bytes.
    size: u64,
    /// The server's tag of the object (ETag), from the first response.
    tag: Option<String>,
    /// The body of the current response; `None` after the connection broke.
    body: Option<BodyReader<'static>>,
}

impl Stream {
    /// Requests the bytes from the current position on. The tag makes sure that all parts are from the same version of
    /// the object.
    fn request(&mut self) -> io::Result<Option<BodyReader<'static>>> {
        let (bucket, key) = (&self.bucket, format!("{}{}", self.bucket.prefix, self.name));
        let changed =
            || RequestError::Permanent(io::ErrorKind::NotFound, "it has changed since it was listed".to_owned());
        let response = bucket.with_retries(&format!("read {bucket}/{}", self.name), || {
            let credentials = bucket.credentials()?;
            let mut request =
                bucket.agent.get(bucket.bucket.get_object(Some(&credentials), &key).sign(SIGNATURE_VALIDITY).as_str());
            if self.position > 0 {
                request = request.header("Range", format!("bytes={}-", self.position));
            }
            if let Some(tag) = &self.tag {
                request = request.header("If-Match", tag);
            }
            let response = request.call().map_err(|error| transient(&error.to_string()))?;
            if matches!(response.status().as_u16(), 412 | 416) {
                return Err(changed());
            }
            let response = check_status(response)?;
            let length = response.body().content_length();
            // More bytes than listed: the object was replaced.
            if length.is_some_and(|length| first_byte(&response, self.position).saturating_add(length) > self.size) {
                return Err(changed());
            }
            Ok(response)
        })?;
        if self.tag.is_none() {
            self.tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        }
        // A server that ignores the range sends the object from its beginning. The bytes before the position are
        // skipped.
        let before = self.position - first_byte(&response, self.position);
        let mut body = response.into_body().into_reader();
        Ok(io::copy(&mut (&mut body).take(before), &mut io::sink()).is_ok().then_some(body))
    }
}

/// The position of the first byte of the response to a request for the bytes from `start` on. Servers may ignore the
/// range.
fn first_byte(response: &Response<Body>, start: u64) -> u64 {
    if response.status().as_u16() == 206 { start } else { 0 }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let limit = out.len().min(usize::try_from(self.size - self.position).unwrap_or(usize::MAX));
        if limit == 0 {
            return Ok(0);
        }
        for attempt in 1..=MAX_ATTEMPTS {
            if let Some(Ok(read @ 1..)) = self.body.as_mut().map(|body| body.read(&mut out[..limit])) {
                self.position += read as u64;
                return Ok(read);
            }
            // The connection broke, or the body was too short.
            if attempt > 1 {
                back_off(attempt, None);
            }
            self.body = self.request()?;
        }
        let message = format!("cannot read {}/{}: the connection broke {MAX_ATTEMPTS} times", self.bucket, self.name);
        Err(io::Error::new(io::ErrorKind::TimedOut, Unreachable(message)))
    }
}
