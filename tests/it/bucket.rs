//! Shards and sources in a bucket on loopback, whose server behaves well or badly.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tsne_grid::store::Digest;

use crate::sandbox::{CommandOutput, Sandbox, run_command};

pub(crate) const SECRET: &str = "a-secret-that-nobody-says";

/// How the server behaves. `Busy`, `Cuts`, `Lies` and the short responses of `Old` concern every third request only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ServerBehaviour {
    /// Always behaves correctly.
    Good,
    /// Responds with 429 and `Retry-After`, the next time with 503.
    Busy,
    /// Sends half of the bytes that it announces, then closes the connection.
    Cuts,
    /// Announces fewer bytes than the object has.
    Lies,
    /// Does not respond to the third request if it is a `GET`; it stalls for longer than the client waits.
    Stalls,
    /// Supports neither `If-None-Match` nor ranges; also sends only half of an object.
    Old,
    /// Refuses every request with 403.
    Closed,
    /// Lists the objects, but refuses to send any of them.
    Shy,
}

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) objects: Objects,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start(behaviour: ServerBehaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { address, objects: Arc::default(), heads: Arc::default() };
        let (objects, heads, count) = (server.objects.clone(), server.heads.clone(), Arc::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (objects, heads, count) = (objects.clone(), heads.clone(), count.clone());
                std::thread::spawn(move || {
                    respond(stream, behaviour, count.fetch_add(1, Ordering::SeqCst), &objects, &heads)
                });
            }
        });
        server
    }

    pub(crate) fn run(&self, sandbox: &Sandbox, line: &str) -> CommandOutput {
        let variables = [
            ("AWS_ENDPOINT_URL", self.address.as_str()),
            ("AWS_ACCESS_KEY_ID", "a-key"),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", "eu-central-1"),
        ];
        let ran = run_command(sandbox.command(line).envs(variables));
        for secret in [SECRET, "X-Amz-Signature", "a-key"] {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{}", ran.stderr);
        }
        ran
    }

    #[track_caller]
    pub(crate) fn ok(&self, sandbox: &Sandbox, line: &str) {
        let ran = self.run(sandbox, line);
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
    }
}

/// Reads one request, records its head, and responds. `number` counts the requests of the server from 0.
fn respond(
    stream: TcpStream,
    behaviour: ServerBehaviour,
    number: usize,
    objects: &Objects,
    heads: &Mutex<Vec<String>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
    let header = |name: &str| {
        head.lines()
            .find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)))
            .map(|(_, v)| v.to_owned())
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    heads.lock().unwrap().push(head.clone());
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = percent_decoded(path);
    let path = path.trim_start_matches("/bucket").trim_start_matches('/').to_owned();
    let (key, misbehaves) = (path.clone(), number % 3 == 1);
    let (status, bytes) = match (behaviour, method) {
        (ServerBehaviour::Closed, _) => ("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>".to_vec()),
        (ServerBehaviour::Busy, _) if misbehaves => {
            if number.is_multiple_of(2) {
                ("503 Slow Down", Vec::new())
            } else {
                ("429 Too Many Requests", Vec::new())
            }
        }
        (ServerBehaviour::Shy, "GET") if !query.contains("list-type=2") => {
            ("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>".to_vec())
        }
        (ServerBehaviour::Stalls, "GET") if number == 2 => {
            std::thread::sleep(Duration::from_secs(30));
            return;
        }
        (_, "PUT") => {
            let mut objects = objects.lock().unwrap();
            let only_if_absent = header("if-none-match").is_some();
            match behaviour {
                ServerBehaviour::Old if only_if_absent => {
                    ("501 Not Implemented", b"<Error><Code>NotImplemented</Code></Error>".to_vec())
                }
                _ if only_if_absent && objects.contains_key(&path) => ("412 Precondition Failed", Vec::new()),
                _ => {
                    objects.insert(path, body);
                    ("200 OK", Vec::new())
                }
            }
        }
        _ if query.contains("list-type=2") => ("200 OK", list(query, &objects.lock().unwrap())),
        _ => match objects.lock().unwrap().get(&path) {
            Some(bytes) if header("if-match").is_some_and(|expected| expected != etag_of(bytes)) => {
                ("412 Precondition Failed", Vec::new())
            }
            Some(bytes) => match header("range").filter(|_| behaviour != ServerBehaviour::Old) {
                Some(range) => {
                    let first: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
                    ("206 Partial Content", bytes[first..].to_vec())
                }
                None => ("200 OK", bytes.clone()),
            },
            None => ("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
        },
    };
    let cuts_off = behaviour == ServerBehaviour::Cuts || (behaviour == ServerBehaviour::Old && method == "GET");
    let sent = if cuts_off && misbehaves { bytes.len() / 2 } else { bytes.len() };
    let announced = if behaviour == ServerBehaviour::Lies && misbehaves { bytes.len() / 3 } else { bytes.len() };
    let etag =
        objects.lock().unwrap().get(&key).map(|bytes| format!("ETag: {}\r\n", etag_of(bytes))).unwrap_or_default();
    let retry_after = if status.starts_with("429") { "Retry-After: 0\r\n" } else { "" };
    let mut stream = stream;
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {announced}\r\n{etag}{retry_after}Connection: close\r\n\r\n"
    );
    let _ = stream.write_all(&bytes[..sent]);
}

/// The ETag of these bytes.
fn etag_of(bytes: &[u8]) -> String {
    format!("\"{}\"", Digest::of(bytes).short(16))
}

/// One page of a list of objects. It has at most three keys, so that lists have several pages.
fn list(query: &str, objects: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let parameter = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .map(percent_decoded)
            .unwrap_or_default()
    };
    let (prefix, after, delimiter) = (parameter("prefix"), parameter("continuation-token"), parameter("delimiter"));
    let is_listed = |(key, _): &(&String, &Vec<u8>)| {
        let is_direct = |rest: &str| delimiter.is_empty() || !rest.contains(&delimiter);
        key.strip_prefix(&prefix).is_some_and(is_direct) && **key > after
    };
    let keys: Vec<(&String, &Vec<u8>)> = objects.iter().filter(is_listed).collect();
    let page = keys.iter().take(3).map(|(key, bytes)| {
        let (key, etag) = (key.replace('/', "%2F").replace(' ', "+"), etag_of(bytes).replace('"', "&quot;"));
        format!("<Contents><Key>{key}</Key><ETag>{etag}</ETag><Size>{}</Size></Contents>", bytes.len())
    });
    let page: String = page.collect();
    let more = if keys.len() > 3 {
        format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>", keys[2].0)
    } else {
        "<IsTruncated>false</IsTruncated>".to_owned()
    };
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><EncodingType>url</EncodingType>{more}{page}</ListBucketResult>").into_bytes()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn shard(i: usize) -> String {
    format!("embed --model scattering --list list.parquet --shard {i}/5 --out s3://bucket/some/place --tiles")
}

const GATHER: &str = "run --list list.parquet --shards s3://bucket/some/place --model scattering --perplexity 3";

#[test]
fn shards_in_a_bucket_are_those_of_a_folder_whatever_its_mood() {
    let sandbox = Sandbox::with_photos(15);
    sandbox.ok("run photos --model scattering --perplexity 3 -o one.png");
    sandbox.ok("list photos --artifact list.parquet");
    for behaviour in [
        ServerBehaviour::Good,
        ServerBehaviour::Busy,
        ServerBehaviour::Cuts,
        ServerBehaviour::Lies,
        ServerBehaviour::Old,
        ServerBehaviour::Stalls,
    ] {
        let server = Server::start(behaviour);
        for i in 0..5 {
            server.ok(&sandbox, &shard(i));
        }
        let objects = server.objects.lock().unwrap().clone();
        assert_eq!(objects.len(), 15, "{behaviour:?}: what was found, vectors and thumbnails of five shards");
        assert!(objects.keys().all(|key| key.starts_with("some/place/")));
        let again = server.run(&sandbox, &shard(2));
        assert!(again.code == 0 && again.stderr.contains("all of it was there"), "{behaviour:?}: {}", again.stderr);
        server.ok(&sandbox, &format!("{GATHER} --cache {behaviour:?} -o {behaviour:?}.png"));
        for table in ["images", "skipped", "project", "assign"] {
            let read = |cache: &str| sandbox.read(&format!("{cache}/latest/{table}.parquet"));
            assert!(read(&format!("{behaviour:?}")) == read("cache"), "{behaviour:?}: {table}");
        }
        assert!(sandbox.read(&format!("{behaviour:?}.png")) == sandbox.read("one.png"), "{behaviour:?}");
        assert_eq!(*server.objects.lock().unwrap(), objects, "{behaviour:?}: nothing is written twice");
        let heads = server.heads.lock().unwrap();
        assert!(heads.iter().all(|head| head.contains("X-Amz-Signature=") && !head.contains(SECRET)), "{behaviour:?}");
        assert!(
            heads
                .iter()
                .filter(|head| head.starts_with("PUT"))
                .any(|head| head.to_lowercase().contains("if-none-match: *"))
        );
    }
}

#[test]
fn what_a_bucket_refuses_or_has_damaged_is_told() {
    let sandbox = Sandbox::with_photos(5);
    sandbox.ok("list photos --artifact list.parquet");
    let closed = Server::start(ServerBehaviour::Closed).run(&sandbox, &shard(0));
    assert!(closed.code == 1 && closed.stderr.contains("403 AccessDenied"), "{}", closed.stderr);
    let server = Server::start(ServerBehaviour::Good);
    let empty = server.run(&sandbox, GATHER);
    assert!(empty.code == 1 && empty.stderr.contains("s3://bucket/some/place has no shard"), "{}", empty.stderr);
    let line = "embed --model scattering --list list.parquet --shard 0/1 --out s3://";
    let nameless = server.run(&sandbox, line);
    assert!(nameless.code == 2 && nameless.stderr.contains("s3://bucket/prefix"), "{}", nameless.stderr);
    let nobody = run_command(
        sandbox
            .command(&shard(0))
            .envs([("AWS_ENDPOINT_URL", server.address.as_str()), ("AWS_EC2_METADATA_DISABLED", "true")]),
    );
    assert!(nobody.code == 1 && nobody.stderr.contains("there are no credentials"), "{}", nobody.stderr);
}

#[test]
fn a_machine_has_credentials_of_its_own() {
    let sandbox = Sandbox::with_photos(5);
    sandbox.ok("list photos --artifact list.parquet");
    let server = Server::start(ServerBehaviour::Good);
    // The same server plays the credentials service of the machine.
    let role = r#"{"Code": "Success", "AccessKeyId": "its-key", "SecretAccessKey": "s", "Token": "its-token", "Expiration": "2030-01-01T00:00:00Z"}"#;
    let roles = "latest/meta-data/iam/security-credentials/";
    for (path, text) in [(roles.to_owned(), "role"), (format!("{roles}role"), role), ("given".to_owned(), role)] {
        server.objects.lock().unwrap().insert(path, text.as_bytes().to_vec());
    }
    let before = server.objects.lock().unwrap().len();
    for (name, value) in [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.address.clone()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/given", server.address)),
    ] {
        let line = shard(0).replace("some/place", name);
        let ran = run_command(sandbox.command(&line).env("AWS_ENDPOINT_URL", &server.address).env(name, value));
        assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
        let heads = server.heads.lock().unwrap();
        assert!(
            heads.iter().any(|head| head.contains(name) && head.contains("its-key") && head.contains("its-token")),
            "{name}"
        );
    }
    assert!(server.objects.lock().unwrap().len() > before + 4);
}
