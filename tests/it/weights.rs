//! Downloads that go wrong: a proxy between the program and the hub truncates, stalls, redirects and lies. Also files
//! that are not weights, or hostile ones.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::hub::{Hub, HubBehaviour, pinned};
use crate::sandbox::{CommandOutput, Sandbox, put, run_command};
use crate::vgg16::{two_drawings, vectors, weights};

/// What the proxy does with the hub's responses.
#[derive(Clone, Debug)]
enum Fault {
    /// Forwards everything.
    None,
    /// Announces and sends only this many bytes of each large body, as if that were all of it.
    Short(usize),
    /// Sends this many bytes of the second large body, or of the whole file, and then nothing more.
    Stall(usize),
    /// Redirects to another address, which answers.
    Redirect,
    /// Redirects to another host, at this address.
    Abroad(String),
    /// Redirects in a circle.
    Circle,
    /// Redirects to this location.
    Place(&'static str),
    /// Waits this long before each response.
    Slow(Duration),
    /// Answers every request with this page, like the network of a hotel.
    Page(&'static str),
    /// Fails with this status the first times, as often as the number says.
    Status(u16, usize),
}

/// A proxy that forwards requests to a hub.
struct Proxy {
    address: String,
    requests: Arc<AtomicUsize>,
    /// The heads of all requests.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(hub: &Hub, fault: Fault) -> Self {
        Self::at("127.0.0.1:0", hub, fault)
    }

    fn at(place: &str, hub: &Hub, fault: Fault) -> Self {
        let listener = TcpListener::bind(place).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<AtomicUsize> = Arc::default();
        let behind = hub.address.clone();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (here, count, log) = (address.clone(), requests.clone(), heads.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (behind, here, fault, log) = (behind.clone(), here.clone(), fault.clone(), log.clone());
                let nth = count.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || pass_on(stream, &behind, &here, (&fault, nth), &log));
            }
        });
        Self { address, requests, heads }
    }

    fn command(&self, sandbox: &Sandbox, flags: &str) -> std::process::Command {
        let mut command = sandbox.command(&format!("embed in {} {flags}", pinned()));
        command.env("HF_ENDPOINT", &self.address);
        command
    }

    fn embed(&self, sandbox: &Sandbox, flags: &str) -> CommandOutput {
        run_command(&mut self.command(sandbox, flags))
    }
}

/// Bodies longer than this are tensors.
const LARGE: usize = 100_000;
/// Bodies longer than this are the whole file.
const WHOLE: usize = 8 << 20;

/// Returns `None` if the program closes the connection before it has read everything.
fn pass_on(
    client: TcpStream,
    behind: &str,
    here: &str,
    (fault, nth): (&Fault, usize),
    log: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut head = String::new();
    let mut lines = BufReader::new(client.try_clone().ok()?);
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    log.lock().unwrap().push(head.clone());
    let mut client = client;
    let plain = |status: &str, more: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    };
    let target = head.split(' ').nth(1)?;
    match fault {
        Fault::Slow(pause) => std::thread::sleep(*pause),
        Fault::Page(page) => {
            return client.write_all(plain("200 OK", "Content-Type: text/html\r\n", page).as_bytes()).ok();
        }
        Fault::Status(status, times) if nth < *times => {
            let after = if *status == 429 { "Retry-After: 1\r\n" } else { "" };
            return client.write_all(plain(&format!("{status} Sorry"), after, "").as_bytes()).ok();
        }
        Fault::Place(place) => {
            return client.write_all(plain("302 Found", place, "").as_bytes()).ok();
        }
        Fault::Circle => {
            let location = format!("Location: {here}{target}\r\n");
            return client.write_all(plain("302 Found", &location, "").as_bytes()).ok();
        }
        Fault::Redirect if !target.starts_with("/elsewhere") && head.to_lowercase().contains("range: bytes=") => {
            let location = format!("Location: {here}/elsewhere{target}\r\n");
            return client.write_all(redirected(behind, &head, &location)?.as_bytes()).ok();
        }
        Fault::Abroad(other) => {
            let location = format!("Location: {other}{target}\r\n");
            return client.write_all(redirected(behind, &head, &location)?.as_bytes()).ok();
        }
        _ => {}
    }
    let (answer, body) = ask(behind, &head.replace(" /elsewhere/", " /"))?;
    match fault {
        Fault::Short(length) if body.len() > LARGE => {
            let answer =
                answer.replace(&format!("Content-Length: {}", body.len()), &format!("Content-Length: {length}"));
            client.write_all(answer.as_bytes()).ok()?;
            client.write_all(&body[..*length]).ok()
        }
        Fault::Stall(after) if body.len() > LARGE && (nth > 4 || body.len() > WHOLE) => {
            client.write_all(answer.as_bytes()).ok()?;
            client.write_all(&body[..*after]).ok()?;
            std::thread::sleep(Duration::from_secs(600));
            None
        }
        _ => {
            client.write_all(answer.as_bytes()).ok()?;
            client.write_all(&body).ok()
        }
    }
}

/// A redirect to another location for the body, with the metadata headers of the hub's own response.
fn redirected(behind: &str, head: &str, location: &str) -> Option<String> {
    let (answer, _) = ask(behind, head)?;
    let named = answer.lines().filter(|line| line.starts_with("X-") || line.starts_with("ETag"));
    let named: String = named.map(|line| format!("{line}\r\n")).collect();
    Some(format!("HTTP/1.1 302 Found\r\n{location}{named}Content-Length: 0\r\nConnection: close\r\n\r\n"))
}

/// The hub's response: head and body.
fn ask(behind: &str, head: &str) -> Option<(String, Vec<u8>)> {
    let mut hub = TcpStream::connect(behind.strip_prefix("http://")?).ok()?;
    hub.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    hub.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    Some((String::from_utf8(answer[..end].to_vec()).ok()?, answer[end..].to_vec()))
}

/// Every file under `models/`, except the lock.
fn kept(sandbox: &Sandbox) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(sandbox.path("models")).into_iter().flatten().map(|e| e.into_path());
    files.filter(|path| path.is_file() && path.file_name().is_some_and(|name| name != "lock")).collect()
}

#[test]
fn short_answers_and_errors_are_tried_again_or_named() {
    let hub = Hub::start(HubBehaviour::Good);
    for (fault, code, expected) in [
        (Fault::None, 0, ""),
        (Fault::Short(5_000), 1, "the connection ended after 5000 of"),
        (Fault::Status(503, 2), 0, ""),
        (Fault::Status(429, 1), 0, ""),
        (Fault::Status(503, 100), 1, "the server answered 503"),
        (Fault::Status(304, 100), 1, "the server answered 304"),
        (Fault::Place(""), 1, "a redirect without a target"),
        (Fault::Place("Location: file:///etc/passwd\r\n"), 1, "redirects to"),
        (Fault::Place("Location: ht tp://[::bad\r\n"), 1, "redirects to"),
        (Fault::Status(404, 100), 1, "404"),
        (Fault::Status(401, 100), 1, "401"),
        (Fault::Redirect, 0, ""),
        (Fault::Circle, 1, "redirect"),
        (Fault::Page("<html><body>Please sign in</body></html>"), 1, "has sha256"),
    ] {
        let (proxy, sandbox) = (Proxy::start(&hub, fault.clone()), two_drawings());
        let ran = proxy.embed(&sandbox, "");
        assert_eq!(ran.code, code, "{fault:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{fault:?}: {}", ran.stderr);
        assert_eq!(kept(&sandbox).len(), usize::from(code == 0), "{fault:?}: {:?}", kept(&sandbox));
    }
}

#[test]
fn a_stalled_download_can_be_interrupted_and_goes_on_from_the_start() {
    let hub = Hub::start(HubBehaviour::Good);
    let (proxy, sandbox) = (Proxy::start(&hub, Fault::Stall(50_000)), two_drawings());
    let child = proxy.command(&sandbox, "").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    wait_until(|| proxy.requests.load(Ordering::SeqCst) > 6);
    let began = Instant::now();
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(kept(&sandbox).is_empty());
    let proxy = Proxy::start(&hub, Fault::None);
    assert_eq!(proxy.embed(&sandbox, "").code, 0);
}

/// A hub that responds late, asks for a long pause, or stalls in the middle of a whole file: the first signal ends the
/// wait.
#[test]
fn no_wait_for_the_network_outlasts_a_signal() {
    let hub = Hub::start(HubBehaviour::Good);
    let late = Fault::Slow(Duration::from_secs(600));
    for (fault, flags) in [(late, ""), (Fault::Status(429, 100), ""), (Fault::Stall(50_000), "--fetch file")] {
        let (proxy, sandbox) = (Proxy::start(&hub, fault.clone()), two_drawings());
        let child = proxy.command(&sandbox, flags).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        wait_until(|| proxy.requests.load(Ordering::SeqCst) > 0);
        std::thread::sleep(Duration::from_millis(200));
        let began = Instant::now();
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{fault:?}");
        assert!(began.elapsed() < Duration::from_secs(2), "{fault:?}");
    }
}

#[test]
fn the_token_is_shown_to_the_hub_alone() {
    let hub = Hub::start(HubBehaviour::Good);
    // Another host, as the hub uses for large files.
    let other = Proxy::at("127.0.0.2:0", &hub, Fault::None);
    let (proxy, sandbox) = (Proxy::start(&hub, Fault::Abroad(other.address.clone())), two_drawings());
    let ran = run_command(proxy.command(&sandbox, "").env("HF_TOKEN", "secret"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let heads = |proxy: &Proxy| proxy.heads.lock().unwrap().join("\n").to_lowercase();
    assert!(heads(&proxy).contains("authorization: bearer secret"), "the hub sees it");
    assert!(other.requests.load(Ordering::SeqCst) > 2 && !heads(&other).contains("secret"), "{}", heads(&other));
}

fn interrupt(child: &Child) {
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Two runs without weights: one downloads, the other waits, says so, and then uses the download, for any duration.
#[test]
fn two_cold_starts_fetch_once() {
    let hub = Hub::start(HubBehaviour::Good);
    let sandbox = two_drawings();
    let alone = Proxy::start(&hub, Fault::None);
    assert_eq!(alone.embed(&two_drawings(), "").code, 0);
    let needed = alone.requests.load(Ordering::SeqCst);
    let proxy = Proxy::start(&hub, Fault::Slow(Duration::from_millis(40)));
    let start =
        |flags: &str| proxy.command(&sandbox, flags).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let children = [start("--cache one"), start("--cache two")];
    let said: Vec<String> = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{stderr}");
            stderr
        })
        .collect();
    assert_eq!(proxy.requests.load(Ordering::SeqCst), needed, "fetched once");
    let waiting = said.iter().filter(|text| text.contains("waiting: another run is downloading the weights")).count();
    assert_eq!(waiting, 1, "{said:?}");
    assert_eq!(kept(&sandbox).len(), 1);
}

#[test]
#[ignore = "long: the download takes more than 10 s; scripts/soak/run.sh"]
fn two_cold_starts_over_a_slow_line() {
    let hub = Hub::start(HubBehaviour::Good);
    let (proxy, sandbox) = (Proxy::start(&hub, Fault::Slow(Duration::from_millis(600))), two_drawings());
    let began = Instant::now();
    let start =
        |flags: &str| proxy.command(&sandbox, flags).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    for mut child in [start("--cache one"), start("--cache two")] {
        assert!(child.wait().unwrap().success());
    }
    assert!(began.elapsed() > Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(kept(&sandbox).len(), 1);
}

#[test]
fn a_killed_download_leaves_nothing_that_counts() {
    let hub = Hub::start(HubBehaviour::Good);
    let sandbox = two_drawings();
    let proxy = Proxy::start(&hub, Fault::Slow(Duration::from_millis(15)));
    for requests in [2, 5, 12] {
        let from = proxy.requests.load(Ordering::SeqCst);
        let mut child = proxy.command(&sandbox, "").stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        wait_until(|| proxy.requests.load(Ordering::SeqCst) >= from + requests);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(kept(&sandbox).is_empty(), "{:?}", kept(&sandbox));
    }
    let fast = Proxy::start(&hub, Fault::None);
    assert_eq!(fast.embed(&sandbox, "").code, 0);
    let asked = fast.requests.load(Ordering::SeqCst);
    // From now on no request is made, with or without --offline.
    assert_eq!(fast.embed(&sandbox, "--offline").code, 0);
    assert_eq!(fast.embed(&sandbox, "").code, 0);
    assert_eq!(fast.requests.load(Ordering::SeqCst), asked);
}

/// A safetensors file with this header before `data` bytes of zeros.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn files_that_are_no_weights_are_named_for_what_they_are() {
    let sandbox = two_drawings();
    let good = std::fs::read(weights()).unwrap();
    let tensor = |shape: &str, dtype: &str, offsets: &str| {
        with_header(
            &format!("{{\"features.0.bias\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}"),
            4096,
        )
    };
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let huge = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    let lying = [&(90_u64 << 20).to_le_bytes()[..], b"{}"].concat();
    let cases: [(&str, Vec<u8>, &str); 20] = [
        ("nothing", Vec::new(), "the file ends after 0 bytes"),
        ("a page", b"<!doctype html><html><head><title>Not found</title>".to_vec(), "not a safetensors file"),
        ("a pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 553\n".to_vec(), "Git LFS"),
        ("a zip of a pickle", b"PK\x03\x04\0\0\0\0\0\0archive/data.pkl".to_vec(), "this is a PyTorch file (a pickle)"),
        ("a pickle", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), "torch.load(\"FILE\""),
        ("a larger header", [&(101_u64 << 20).to_le_bytes()[..], b"{}"].concat(), "not a safetensors file"),
        ("a header without end", huge, "not a safetensors file"),
        ("a header larger than the file", lying, "the file ends after 10 bytes"),
        ("no JSON", with_header("{\"features", 8), "malformed"),
        ("deep JSON", with_header(&deep, 8), "malformed"),
        ("an array", with_header("[1,2]", 8), "malformed"),
        ("nothing in it", with_header("{}", 0), "there is no tensor features.0"),
        ("backwards", tensor("[64]", "F32", "[256,0]"), "features.0.bias"),
        ("overflow", tensor("[64]", "F32", "[0,18446744073709551615]"), ""),
        ("overlong shape", tensor("[18446744073709551615,2]", "F32", "[0,256]"), ""),
        ("a product that wraps", tensor("[64,4294967296,4294967296]", "F32", "[0,256]"), ""),
        ("another shape", tensor("[63]", "F32", "[0,252]"), "shape [63]"),
        ("another type", tensor("[64]", "F16", "[0,128]"), "F16"),
        ("beyond the end", tensor("[64]", "F32", "[4000,4256]"), ""),
        ("cut", good[..good.len() / 2].to_vec(), "truncated"),
    ];
    for (name, bytes, expected) in cases {
        put(&sandbox.path("w.safetensors"), &bytes);
        let ran = sandbox.run("embed in --weights w.safetensors");
        assert_eq!(ran.code, 1, "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected) && ran.stderr.contains("w.safetensors"), "{name}: {}", ran.stderr);
        assert!(!ran.stderr.contains("panicked") && ran.stderr.len() < 600, "{name}: {}", ran.stderr);
    }
}

#[test]
fn numbers_that_are_none_are_refused() {
    let sandbox = two_drawings();
    let good = std::fs::read(weights()).unwrap();
    let start = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut bytes = good.clone();
        let at = start + 4_000_000;
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        put(&sandbox.path("w.safetensors"), &bytes);
        let ran = sandbox.run("embed in --weights w.safetensors");
        assert!(ran.code == 1 && ran.stderr.contains("not finite, in features."), "{}", ran.stderr);
    }
    // Finite numbers that overflow during the computation do not give vectors either.
    let mut bytes = good;
    for number in bytes[start..].chunks_exact_mut(4) {
        number.copy_from_slice(&3e38_f32.to_le_bytes());
    }
    put(&sandbox.path("w.safetensors"), &bytes);
    let ran = sandbox.run("embed in --weights w.safetensors");
    assert!(ran.code == 1 && ran.stderr.contains("its weights are not usable"), "{}", ran.stderr);
    assert!(!sandbox.path("cache/latest/embed.parquet").exists());
    put(&sandbox.path("w.safetensors"), &std::fs::read(weights()).unwrap());
    sandbox.ok("embed in --weights w.safetensors");
    assert!(vectors(&sandbox).values().flatten().all(|x| x.is_finite()));
}
