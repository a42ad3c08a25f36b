//! The objects of a bucket as what they are to whoever put them there: listed with their tags, and read from any byte on. A
//! stream that breaks goes on where it broke.

use std::io::{self, Read};

use rusty_s3::S3Action;
use rusty_s3::actions::list_objects_v2::ListObjectsContent;
use ureq::http::Response;
use ureq::{Body, BodyReader};

use super::bucket::{ATTEMPTS, Bucket, Fault, SIGNED, again, answered, pause};
use super::place::{Object, Unreachable};

impl Bucket {
    /// The place that is written `s3://bucket/prefix`, if it is one.
    ///
    /// # Errors
    /// As of [`Place::at`](super::Place::at).
    pub fn at(text: &str) -> Option<Result<Self, String>> {
        text.strip_prefix("s3://").map(Self::new)
    }

    /// Hands on the objects under the prefix, page by page, in the order of their keys; what ends in `/` is none.
    ///
    /// # Errors
    /// When the bucket cannot be listed, or what `each` gives.
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

    /// The object of this name, if there is one.
    ///
    /// # Errors
    /// When the bucket cannot be listed.
    pub fn find(&self, name: &str) -> io::Result<Option<Object>> {
        let key = format!("{}{name}", self.prefix);
        // Whatever else begins so comes after it.
        let page = self.page(&format!("{self}/{name}"), &key, None, None)?;
        Ok(page.contents.into_iter().find(|listed| listed.key == key).and_then(|listed| self.object(listed)))
    }

    /// What a list says of an object, if that is under the prefix.
    fn object(&self, listed: ListObjectsContent) -> Option<Object> {
        let name = listed.key.strip_prefix(&self.prefix)?.to_owned();
        Some(Object { name, size: listed.size.unwrap_or(0), tag: listed.etag })
    }

    /// Makes sure that the bucket can be asked.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check(&self) -> io::Result<()> {
        self.page(&self.to_string(), &self.prefix, Some("/"), None).map(drop)
    }

    /// The bytes of an object that has so many, from byte `at` on.
    ///
    /// # Errors
    /// When it is not to be had, or is another than when it had so many bytes.
    pub fn open(&self, name: &str, at: u64, size: u64) -> io::Result<impl Read + use<>> {
        let mut stream = Stream { bucket: self.clone(), name: name.to_owned(), at, size, tag: None, body: None };
        if at < size {
            stream.body = stream.request()?;
        }
        Ok(stream)
    }
}

/// The bytes of an object on their way.
struct Stream {
    bucket: Bucket,
    name: String,
    /// The next byte.
    at: u64,
    /// How many it has.
    size: u64,
    /// The server's tag of what was read so far.
    tag: Option<String>,
    /// What is being read; none of what broke.
    body: Option<BodyReader<'static>>,
}

impl Stream {
    /// Asks for the bytes from here on, of the very object of which some were read.
    fn request(&mut self) -> io::Result<Option<BodyReader<'static>>> {
        let (bucket, key) = (&self.bucket, format!("{}{}", self.bucket.prefix, self.name));
        let changed = || Fault::Never(io::ErrorKind::NotFound, "it is another than when it was listed".to_owned());
        let response = bucket.attempts(&format!("read {bucket}/{}", self.name), || {
            let credentials = bucket.credentials()?;
            let mut request =
                bucket.agent.get(bucket.bucket.get_object(Some(&credentials), &key).sign(SIGNED).as_str());
            if self.at > 0 {
                request = request.header("Range", format!("bytes={}-", self.at));
            }
            if let Some(tag) = &self.tag {
                request = request.header("If-Match", tag);
            }
            let response = request.call().map_err(|error| again(&error.to_string()))?;
            if matches!(response.status().as_u16(), 412 | 416) {
                return Err(changed());
            }
            let response = answered(response)?;
            let said = response.body().content_length();
            if said.is_some_and(|said| first(&response, self.at).saturating_add(said) > self.size) {
                return Err(changed());
            }
            Ok(response)
        })?;
        if self.tag.is_none() {
            self.tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        }
        let before = self.at - first(&response, self.at);
        let mut body = response.into_body().into_reader();
        Ok(io::copy(&mut (&mut body).take(before), &mut io::sink()).is_ok().then_some(body))
    }
}

/// The first byte of an answer to who asked for those from `at` on: a server may know no ranges.
fn first(response: &Response<Body>, at: u64) -> u64 {
    if response.status().as_u16() == 206 { at } else { 0 }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(usize::try_from(self.size - self.at).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        for tried in 1..=ATTEMPTS {
            if let Some(Ok(read @ 1..)) = self.body.as_mut().map(|body| body.read(&mut out[..most])) {
                self.at += read as u64;
                return Ok(read);
            }
            // It broke, or ended too early.
            if tried > 1 {
                pause(tried, None);
            }
            self.body = self.request()?;
        }
        let why = format!("cannot read {}/{}: the connection breaks, {ATTEMPTS} times", self.bucket, self.name);
        Err(io::Error::new(io::ErrorKind::TimedOut, Unreachable(why)))
    }
}
