//! Weights from a hub on loopback, with its good and its bad days.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use crate::driver::{Ran, Story, ran};
use crate::formula;
use crate::vgg16::{two_drawings, vectors, weights};

const REVISION: &str = "3394518cba29aee1ea82a49d971be90d2dd1dab7";

/// How the hub behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    /// As the real one.
    Good,
    /// Answers 200 with everything, whatever range is asked for; names the file by no sha256.
    NoRanges,
    /// Sends half of what it announces and hangs up, every second time.
    Cuts,
    /// Answers 503 to the first two requests for bytes.
    Busy,
    /// Announces another file.
    Other,
    /// A byte of the body is not what it should be.
    Flips,
}

/// What the hub has: files of one commit of one repository.
struct Site {
    repo: &'static str,
    revision: &'static str,
    /// Name, bytes, and what they are announced as.
    files: Vec<(&'static str, Vec<u8>, String)>,
}

pub(crate) struct Hub {
    pub(crate) address: String,
    requests: Arc<AtomicUsize>,
    sent: Arc<AtomicU64>,
    tokens: Arc<Mutex<Vec<String>>>,
    listener: TcpListener,
}

impl Hub {
    /// With the weights of VGG16.
    pub(crate) fn start(mood: Mood) -> Self {
        let mut file = std::fs::read(weights()).unwrap();
        let etag = if mood == Mood::Other { "0".repeat(64) } else { sha256(&file) };
        if mood == Mood::Flips {
            let middle = file.len() / 2;
            file[middle] ^= 1;
        }
        let files = vec![("model.safetensors", file, etag)];
        Self::of(Site { repo: "timm/vgg16.tv_in1k", revision: REVISION, files }, mood)
    }

    fn of(site: Site, mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let hub = Self {
            address,
            requests: Arc::default(),
            sent: Arc::default(),
            tokens: Arc::default(),
            listener: listener.try_clone().unwrap(),
        };
        let (requests, sent, tokens) = (hub.requests.clone(), hub.sent.clone(), hub.tokens.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { break };
                // One connection, one request: simple, and what `Connection: close` says.
                let count = requests.fetch_add(1, Ordering::SeqCst);
                answer(stream, &site, mood, count, &sent, &tokens);
            }
        });
        hub
    }

    #[track_caller]
    fn embed(&self, story: &Story, flags: &str) -> Ran {
        self.run(story.command(&format!("embed in {flags}")))
    }

    #[track_caller]
    fn run(&self, mut command: Command) -> Ran {
        ran(command.env("HF_ENDPOINT", &self.address).env("HF_TOKEN", "secret"))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // The thread ends when its listener fails.
        let _ = self.listener.set_nonblocking(true);
        let _ = TcpStream::connect(self.listener.local_addr().unwrap());
    }
}

fn answer(stream: TcpStream, site: &Site, mood: Mood, count: usize, sent: &AtomicU64, tokens: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let Some(request) = head.first() else { return };
    let header = |name: &str| {
        head.iter().find_map(|line| {
            line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned())
        })
    };
    tokens.lock().unwrap().push(header("authorization").unwrap_or_default());
    let mut out = stream;
    let at = |name: &str| format!("GET /{}/resolve/{}/{name} ", site.repo, site.revision);
    let Some((_, file, etag)) = site.files.iter().find(|(name, ..)| request.starts_with(&at(name))) else {
        let _ = write!(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    };
    let range = header("range").and_then(|r| {
        let (from, to) = r.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?))
    });
    let probe = range == Some((0, 0));
    if mood == Mood::Busy && !probe && count <= 2 {
        let _ = write!(out, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    let names = if mood == Mood::NoRanges {
        "ETag: \"plain\"\r\n".to_owned()
    } else {
        format!("ETag: \"x\"\r\nX-Linked-ETag: \"{etag}\"\r\nX-Linked-Size: {}\r\n", file.len())
    };
    let (status, body, extra) = match range.filter(|_| mood != Mood::NoRanges) {
        Some((from, to)) => {
            let body = &file[from..=to.min(file.len() - 1)];
            ("206 Partial Content", body, format!("Content-Range: bytes {from}-{to}/{}\r\n", file.len()))
        }
        None => ("200 OK", file.as_slice(), String::new()),
    };
    let announced = body.len();
    let body = if mood == Mood::Cuts && !probe && count % 2 == 1 { &body[..body.len() / 2] } else { body };
    let _ = write!(
        out,
        "HTTP/1.1 {status}\r\n{names}X-Repo-Commit: {}\r\nAccept-Ranges: bytes\r\n{extra}Content-Length: {announced}\r\nConnection: close\r\n\r\n",
        site.revision
    );
    let _ = out.write_all(body);
    sent.fetch_add(body.len() as u64, Ordering::SeqCst);
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `--sha256` of the weights that the test hub has.
pub(crate) fn pinned() -> String {
    format!("--sha256 {}", sha256(&std::fs::read(weights()).unwrap()))
}

#[test]
fn only_the_tensors_needed_are_fetched_and_only_once() {
    let (hub, story) = (Hub::start(Mood::Good), two_drawings());
    let first = hub.embed(&story, &pinned());
    assert_eq!(first.code, 0, "{}", first.stderr);
    let file = std::fs::metadata(weights()).unwrap().len();
    let sent = hub.sent.load(Ordering::SeqCst);
    assert!(sent < file - 60_000, "{sent} of {file} bytes: the dense layer was left there");
    assert!(hub.tokens.lock().unwrap().iter().all(|token| token == "Bearer secret"));
    let header = story.artifact("embed").header;
    assert_eq!(header.facts["repo"], "timm/vgg16.tv_in1k");
    assert_eq!(header.facts["revision"], REVISION);

    // A warm start makes no request, with or without --offline.
    let requests = hub.requests.load(Ordering::SeqCst);
    std::fs::remove_dir_all(story.path("cache")).unwrap();
    for flag in ["", "--offline"] {
        assert_eq!(hub.embed(&story, &format!("{} {flag}", pinned())).code, 0);
    }
    assert_eq!(hub.requests.load(Ordering::SeqCst), requests);

    // The same numbers out of a file are the same model.
    let from_hub = vectors(&story);
    let local = story.json(&format!("embed in --weights {}", weights().display()));
    assert_eq!(local["counts"]["embedded"], 0);
    assert_eq!(vectors(&story), from_hub);
}

#[test]
fn damaged_weights_are_noticed_and_fetched_again() {
    let (hub, story) = (Hub::start(Mood::Good), two_drawings());
    assert_eq!(hub.embed(&story, &pinned()).code, 0);
    let kept: Vec<_> =
        walkdir::WalkDir::new(story.path("models")).into_iter().map(|e| e.unwrap().into_path()).collect();
    let kept = kept.into_iter().find(|p| p.extension().is_some_and(|s| s == "safetensors")).unwrap();
    let mut bytes = std::fs::read(&kept).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    crate::driver::put(&kept, &bytes);
    let again = hub.embed(&story, &pinned());
    assert!(again.code == 0 && again.stderr.contains("was damaged"), "{}", again.stderr);
    assert_eq!(story.json(&format!("embed in --offline {}", pinned()))["counts"]["embedded"], 0);
}

#[test]
fn cuts_and_busy_servers_are_tried_again() {
    for mood in [Mood::Cuts, Mood::Busy] {
        let (hub, story) = (Hub::start(mood), two_drawings());
        let ran = hub.embed(&story, &pinned());
        assert!(ran.code == 0 && ran.stderr.contains("trying again"), "{mood:?}: {}", ran.stderr);
    }
}

#[test]
fn a_mirror_without_ranges_is_checked_as_a_whole() {
    let (hub, story) = (Hub::start(Mood::NoRanges), two_drawings());
    let ran = hub.embed(&story, &pinned());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let wrong = two_drawings();
    let ran = hub.embed(&wrong, "");
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("has sha256") && ran.stderr.contains("57b026918159"), "{}", ran.stderr);
    assert!(!wrong.path("models/vgg16").exists(), "nothing wrong is kept");
}

#[test]
fn another_file_than_the_pinned_one_is_refused() {
    let (hub, story) = (Hub::start(Mood::Other), two_drawings());
    let ran = hub.embed(&story, &pinned());
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("000000000000") && ran.stderr.contains("set embed.sha256"), "{}", ran.stderr);
    let (hub, story) = (Hub::start(Mood::Flips), two_drawings());
    let ran = hub.embed(&story, &format!("{} --fetch file", pinned()));
    assert!(ran.code == 1 && ran.stderr.contains("is pinned"), "{}", ran.stderr);
}

#[test]
fn the_hubs_local_cache_is_used_if_its_file_is_the_pinned_one() {
    let story = two_drawings();
    let snapshot = format!("hf-home/hub/models--timm--vgg16.tv_in1k/snapshots/{REVISION}/model.safetensors");
    story.put(&snapshot, &std::fs::read(weights()).unwrap());
    assert_eq!(story.json(&format!("embed in --offline {}", pinned()))["counts"]["embedded"], 2);
    let other = two_drawings();
    other.put(&snapshot, &std::fs::read(weights()).unwrap());
    let ran = other.run("embed in --offline");
    assert!(ran.code == 1 && ran.stderr.contains("does not have the sha256 57b026918159"), "{}", ran.stderr);
}

#[test]
fn without_weights_and_network_one_breath_says_all() {
    let story = two_drawings();
    for flags in ["--offline", ""] {
        let mut command = story.command(&format!("embed in {flags}"));
        let ran = ran(command.env("HF_ENDPOINT", "http://127.0.0.1:9"));
        assert_eq!(ran.code, 1);
        for expected in [
            "model.safetensors of timm/vgg16.tv_in1k",
            REVISION,
            "57b026918159a6bf9faf8405c3a551903768e7138989d9c6224a14227203fad8",
            "--weights FILE",
            "--model efficientnet-lite0",
        ] {
            assert!(ran.stderr.contains(expected), "{}", ran.stderr);
        }
    }
    assert!(story.ok("status in").contains("embed    stale: the weights of vgg16 are not here"));
}

/// A network of the same names and shapes may have another activation: LAION's CLIP has.
#[test]
fn another_network_of_the_same_shapes_is_refused() {
    let file = std::fs::read(formula::weights("dinov2-small")).unwrap();
    let hub = |config: Option<&[u8]>| {
        let mut files = vec![("model.safetensors", file.clone(), sha256(&file))];
        files.extend(config.map(|config| ("config.json", config.to_vec(), "e".repeat(40))));
        Hub::of(Site { repo: "me/dino", revision: "0123456789012345678901234567890123456789", files }, Mood::Good)
    };
    let flags = "--model dinov2-small --repo me/dino --revision 0123456789012345678901234567890123456789";
    let flags = format!("{flags} --sha256 {}", sha256(&file));
    let gelu: &[u8] = br#"{"hidden_act": "gelu", "num_attention_heads": 6}"#;
    let other: &[u8] = br#"{"hidden_act": "quick_gelu", "num_attention_heads": 6}"#;
    let story = two_drawings();
    let ran = hub(Some(other)).embed(&story, &flags);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for expected in ["me/dino at 0123456789", "another network than dinov2-small", "\"quick_gelu\" at hidden_act"] {
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
    assert!(!story.path("models/dinov2-small").exists(), "nothing wrong is kept");
    // Where nothing says what it is, it is used, and that is said.
    let ran = hub(None).embed(&story, &flags);
    assert!(ran.code == 0 && ran.stderr.contains("config.json of me/dino is not to be had"), "{}", ran.stderr);
    let ran = hub(Some(gelu)).embed(&two_drawings(), &flags);
    assert!(ran.code == 0 && !ran.stderr.contains("config.json"), "{}", ran.stderr);
    // Beside a local file too.
    std::os::unix::fs::symlink(formula::weights("dinov2-small"), story.path("local.safetensors")).unwrap();
    let local = "embed in --model dinov2-small --weights local.safetensors";
    story.put("config.json", gelu);
    story.ok(local);
    story.put("config.json", other);
    let ran = story.run(local);
    assert!(ran.code == 1 && ran.stderr.contains("local.safetensors: this is another network"), "{}", ran.stderr);
}

#[test]
fn the_hubs_own_variable_keeps_it_offline() {
    let (hub, story) = (Hub::start(Mood::Good), two_drawings());
    let run = |value: &str| {
        let mut command = story.command(&format!("embed in {}", pinned()));
        command.env("HF_HUB_OFFLINE", value);
        hub.run(command)
    };
    for value in ["1", "ON", "true"] {
        let ran = run(value);
        assert!(ran.code == 1 && ran.stderr.contains("HF_HUB_OFFLINE asks for no request"), "{value}: {}", ran.stderr);
    }
    assert_eq!(hub.requests.load(Ordering::SeqCst), 0);
    assert_eq!(run("0").code, 0);
}

/// What could not be kept is not fetched, let alone by every run.
#[test]
fn weights_that_cannot_be_kept_are_not_fetched() {
    let (hub, story) = (Hub::start(Mood::Good), two_drawings());
    story.put("models/note.txt", b"a folder of somebody else");
    let Some(command) = story.as_nobody(&format!("embed in {}", pinned())) else { return };
    let ran = hub.run(command);
    assert!(ran.code == 1 && ran.stderr.contains("cannot keep the weights of vgg16 under models"), "{}", ran.stderr);
    assert!(ran.stderr.contains("Permission denied"), "{}", ran.stderr);
    assert_eq!(hub.requests.load(Ordering::SeqCst), 0);
}

#[test]
fn search_fetches_the_other_half_and_the_vocabulary() {
    const REVISION: &str = "b33cedfd0df4e43b8238760678fcc89e1a0d38b3";
    let file = std::fs::read(formula::weights("clip-vit-base-patch32")).unwrap();
    let (size, etag) = (file.len() as u64, sha256(&file));
    // As the hub has small files: named by git's digest, which is no sha256.
    let vocabulary = include_bytes!("../../src/model/golden/tokenizer.json").to_vec();
    let config = br#"{"vision_config": {"hidden_act": "quick_gelu"}, "text_config": {}}"#.to_vec();
    let files = vec![
        ("model.safetensors", file, etag.clone()),
        ("tokenizer.json", vocabulary, "f".repeat(40)),
        ("config.json", config, "e".repeat(40)),
    ];
    let hub = Hub::of(Site { repo: "me/clip", revision: REVISION, files }, Mood::Good);
    let story = two_drawings();
    let table = format!("[embed]\nmodel = \"clip-vit-base-patch32\"\nrepo = \"me/clip\"\nsha256 = \"{etag}\"\n");
    story.put("pipeline.toml", table.as_bytes());
    // The index is first made with a file, and names no origin; from the hub come the same numbers.
    story.ok(&format!("embed in --weights {}", formula::weights("clip-vit-base-patch32").display()));
    let ran = hub.embed(&story, "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let pictures = hub.sent.load(Ordering::SeqCst);
    assert!((340_000_000..360_000_000).contains(&pictures), "{pictures} of {size} bytes");
    let search = || {
        let mut command = story.command("search --json");
        command.arg("a dog on a beach");
        hub.run(command)
    };
    let ran = search();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("tokenizer.json of me/clip is unpinned"), "{}", ran.stderr);
    let both = hub.sent.load(Ordering::SeqCst);
    assert!(both - pictures < 260_000_000, "{} of {size} bytes", both - pictures);
    // Everything is kept now.
    let pictures = |stdout: &str| serde_json::from_str::<serde_json::Value>(stdout).unwrap()["pictures"].clone();
    let (requests, first) = (hub.requests.load(Ordering::SeqCst), pictures(&ran.stdout));
    assert!(!first.as_array().unwrap().is_empty());
    assert_eq!(pictures(&search().stdout), first);
    assert_eq!(hub.requests.load(Ordering::SeqCst), requests);
    assert!(story.ok("verify").contains("0 damaged"));
}
