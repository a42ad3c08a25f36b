//! Weights from a hub on loopback that behaves well or badly.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use crate::formula_weights;
use crate::sandbox::{CommandOutput, Sandbox, run_command};
use crate::vgg16::{two_drawings, vectors, weights};

const REVISION: &str = "3394518cba29aee1ea82a49d971be90d2dd1dab7";

/// How the hub behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum HubBehaviour {
    /// Like the real one.
    Good,
    /// Answers 200 with the whole file for every range, and names no sha256 of the file.
    NoRanges,
    /// Sends half of the bytes that it announces and closes the connection, every second time.
    Cuts,
    /// Answers 503 to the first two requests for bytes.
    Busy,
    /// Announces another file.
    Other,
    /// One byte of the body is wrong.
    Flips,
}

/// The content of the hub: files of one commit of one repository.
struct Site {
    repo: &'static str,
    revision: &'static str,
    /// Name, bytes, and the announced ETag.
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
    pub(crate) fn start(mood: HubBehaviour) -> Self {
        let mut file = std::fs::read(weights()).unwrap();
        let etag = if mood == HubBehaviour::Other { "0".repeat(64) } else { sha256(&file) };
        if mood == HubBehaviour::Flips {
            let middle = file.len() / 2;
            file[middle] ^= 1;
        }
        let files = vec![("model.safetensors", file, etag)];
        Self::of(Site { repo: "timm/vgg16.tv_in1k", revision: REVISION, files }, mood)
    }

    fn of(site: Site, mood: HubBehaviour) -> Self {
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
                // One request per connection, as `Connection: close` says.
                let count = requests.fetch_add(1, Ordering::SeqCst);
                answer(stream, &site, mood, count, &sent, &tokens);
            }
        });
        hub
    }

    #[track_caller]
    fn embed(&self, sandbox: &Sandbox, flags: &str) -> CommandOutput {
        self.run(sandbox.command(&format!("embed in {flags}")))
    }

    #[track_caller]
    fn run(&self, mut command: Command) -> CommandOutput {
        run_command(command.env("HF_ENDPOINT", &self.address).env("HF_TOKEN", "secret"))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // The thread ends when the listener is closed.
        let _ = self.listener.set_nonblocking(true);
        let _ = TcpStream::connect(self.listener.local_addr().unwrap());
    }
}

fn answer(
    stream: TcpStream,
    site: &Site,
    mood: HubBehaviour,
    count: usize,
    sent: &AtomicU64,
    tokens: &Mutex<Vec<String>>,
) {
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
    if mood == HubBehaviour::Busy && !probe && count <= 2 {
        let _ = write!(out, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    let names = if mood == HubBehaviour::NoRanges {
        "ETag: \"plain\"\r\n".to_owned()
    } else {
        format!("ETag: \"x\"\r\nX-Linked-ETag: \"{etag}\"\r\nX-Linked-Size: {}\r\n", file.len())
    };
    let (status, body, extra) = match range.filter(|_| mood != HubBehaviour::NoRanges) {
        Some((from, to)) => {
            let body = &file[from..=to.min(file.len() - 1)];
            ("206 Partial Content", body, format!("Content-Range: bytes {from}-{to}/{}\r\n", file.len()))
        }
        None => ("200 OK", file.as_slice(), String::new()),
    };
    let announced = body.len();
    let body = if mood == HubBehaviour::Cuts && !probe && count % 2 == 1 { &body[..body.len() / 2] } else { body };
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

/// `--sha256` of the weights in the test hub.
pub(crate) fn pinned() -> String {
    format!("--sha256 {}", sha256(&std::fs::read(weights()).unwrap()))
}

#[test]
fn only_the_tensors_needed_are_fetched_and_only_once() {
    let (hub, sandbox) = (Hub::start(HubBehaviour::Good), two_drawings());
    let first = hub.embed(&sandbox, &pinned());
    assert_eq!(first.code, 0, "{}", first.stderr);
    let file = std::fs::metadata(weights()).unwrap().len();
    let sent = hub.sent.load(Ordering::SeqCst);
    assert!(sent < file - 60_000, "{sent} of {file} bytes: the dense layer was left there");
    assert!(hub.tokens.lock().unwrap().iter().all(|token| token == "Bearer secret"));
    let header = sandbox.artifact("embed").header;
    assert_eq!(header.findings["repo"], "timm/vgg16.tv_in1k");
    assert_eq!(header.findings["revision"], REVISION);

    // A run with cached weights makes no request, with or without --offline.
    let requests = hub.requests.load(Ordering::SeqCst);
    std::fs::remove_dir_all(sandbox.path("cache")).unwrap();
    for flag in ["", "--offline"] {
        assert_eq!(hub.embed(&sandbox, &format!("{} {flag}", pinned())).code, 0);
    }
    assert_eq!(hub.requests.load(Ordering::SeqCst), requests);

    // The same numbers from a local file are the same model.
    let from_hub = vectors(&sandbox);
    let local = sandbox.json(&format!("embed in --weights {}", weights().display()));
    assert_eq!(local["counts"]["embedded"], 0);
    assert_eq!(vectors(&sandbox), from_hub);
}

#[test]
fn damaged_weights_are_noticed_and_fetched_again() {
    let (hub, sandbox) = (Hub::start(HubBehaviour::Good), two_drawings());
    assert_eq!(hub.embed(&sandbox, &pinned()).code, 0);
    let kept: Vec<_> =
        walkdir::WalkDir::new(sandbox.path("models")).into_iter().map(|e| e.unwrap().into_path()).collect();
    let kept = kept.into_iter().find(|p| p.extension().is_some_and(|s| s == "safetensors")).unwrap();
    let mut bytes = std::fs::read(&kept).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    crate::sandbox::put(&kept, &bytes);
    let again = hub.embed(&sandbox, &pinned());
    assert!(again.code == 0 && again.stderr.contains("was damaged"), "{}", again.stderr);
    assert_eq!(sandbox.json(&format!("embed in --offline {}", pinned()))["counts"]["embedded"], 0);
}

#[test]
fn cuts_and_busy_servers_are_tried_again() {
    for mood in [HubBehaviour::Cuts, HubBehaviour::Busy] {
        let (hub, sandbox) = (Hub::start(mood), two_drawings());
        let ran = hub.embed(&sandbox, &pinned());
        assert!(ran.code == 0 && ran.stderr.contains("trying again"), "{mood:?}: {}", ran.stderr);
    }
}

#[test]
fn a_mirror_without_ranges_is_checked_as_a_whole() {
    let (hub, sandbox) = (Hub::start(HubBehaviour::NoRanges), two_drawings());
    let ran = hub.embed(&sandbox, &pinned());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let wrong = two_drawings();
    let ran = hub.embed(&wrong, "");
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("has sha256") && ran.stderr.contains("57b026918159"), "{}", ran.stderr);
    assert!(!wrong.path("models/vgg16").exists(), "nothing wrong is kept");
}

#[test]
fn another_file_than_the_pinned_one_is_refused() {
    let (hub, sandbox) = (Hub::start(HubBehaviour::Other), two_drawings());
    let ran = hub.embed(&sandbox, &pinned());
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("000000000000") && ran.stderr.contains("set embed.sha256"), "{}", ran.stderr);
    let (hub, sandbox) = (Hub::start(HubBehaviour::Flips), two_drawings());
    let ran = hub.embed(&sandbox, &format!("{} --fetch file", pinned()));
    assert!(ran.code == 1 && ran.stderr.contains("is pinned"), "{}", ran.stderr);
}

#[test]
fn the_hubs_local_cache_is_used_if_its_file_is_the_pinned_one() {
    let sandbox = two_drawings();
    let snapshot = format!("hf-home/hub/models--timm--vgg16.tv_in1k/snapshots/{REVISION}/model.safetensors");
    sandbox.put(&snapshot, &std::fs::read(weights()).unwrap());
    assert_eq!(sandbox.json(&format!("embed in --offline {}", pinned()))["counts"]["embedded"], 2);
    let other = two_drawings();
    other.put(&snapshot, &std::fs::read(weights()).unwrap());
    let ran = other.run("embed in --offline");
    assert!(ran.code == 1 && ran.stderr.contains("does not have the sha256 57b026918159"), "{}", ran.stderr);
}

#[test]
fn without_weights_and_network_one_breath_says_all() {
    let sandbox = two_drawings();
    for flags in ["--offline", ""] {
        let mut command = sandbox.command(&format!("embed in {flags}"));
        let ran = run_command(command.env("HF_ENDPOINT", "http://127.0.0.1:9"));
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
    assert!(sandbox.ok("status in").contains("embed    stale: the weights of vgg16 are not here"));
}

/// A network of the same names and shapes may have another activation, such as LAION's CLIP.
#[test]
fn another_network_of_the_same_shapes_is_refused() {
    let file = std::fs::read(formula_weights::weights("dinov2-small")).unwrap();
    let hub = |config: Option<&[u8]>| {
        let mut files = vec![("model.safetensors", file.clone(), sha256(&file))];
        files.extend(config.map(|config| ("config.json", config.to_vec(), "e".repeat(40))));
        Hub::of(
            Site { repo: "me/dino", revision: "0123456789012345678901234567890123456789", files },
            HubBehaviour::Good,
        )
    };
    let flags = "--model dinov2-small --repo me/dino --revision 0123456789012345678901234567890123456789";
    let flags = format!("{flags} --sha256 {}", sha256(&file));
    let gelu: &[u8] = br#"{"hidden_act": "gelu", "num_attention_heads": 6}"#;
    let other: &[u8] = br#"{"hidden_act": "quick_gelu", "num_attention_heads": 6}"#;
    let sandbox = two_drawings();
    let ran = hub(Some(other)).embed(&sandbox, &flags);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for expected in ["me/dino at 0123456789", "this network is not dinov2-small", "\"quick_gelu\" at hidden_act"] {
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
    assert!(!sandbox.path("models/dinov2-small").exists(), "nothing wrong is kept");
    // If there is no config.json, the weights are used, with a warning.
    let ran = hub(None).embed(&sandbox, &flags);
    assert!(ran.code == 0 && ran.stderr.contains("config.json of me/dino cannot be read"), "{}", ran.stderr);
    let ran = hub(Some(gelu)).embed(&two_drawings(), &flags);
    assert!(ran.code == 0 && !ran.stderr.contains("config.json"), "{}", ran.stderr);
    // The same check applies to a config.json next to a local file.
    std::os::unix::fs::symlink(formula_weights::weights("dinov2-small"), sandbox.path("local.safetensors")).unwrap();
    let local = "embed in --model dinov2-small --weights local.safetensors";
    sandbox.put("config.json", gelu);
    sandbox.ok(local);
    sandbox.put("config.json", other);
    let ran = sandbox.run(local);
    assert!(
        ran.code == 1 && ran.stderr.contains("local.safetensors: this network is not dinov2-small"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_hubs_own_variable_keeps_it_offline() {
    let (hub, sandbox) = (Hub::start(HubBehaviour::Good), two_drawings());
    let run = |value: &str| {
        let mut command = sandbox.command(&format!("embed in {}", pinned()));
        command.env("HF_HUB_OFFLINE", value);
        hub.run(command)
    };
    for value in ["1", "ON", "true"] {
        let ran = run(value);
        assert!(ran.code == 1 && ran.stderr.contains("HF_HUB_OFFLINE forbids requests"), "{value}: {}", ran.stderr);
    }
    assert_eq!(hub.requests.load(Ordering::SeqCst), 0);
    assert_eq!(run("0").code, 0);
}

/// If the weights cannot be stored, they are not downloaded: otherwise every run would download them.
#[test]
fn weights_that_cannot_be_kept_are_not_fetched() {
    let (hub, sandbox) = (Hub::start(HubBehaviour::Good), two_drawings());
    sandbox.put("models/note.txt", b"a folder of somebody else");
    let Some(command) = sandbox.as_nobody(&format!("embed in {}", pinned())) else { return };
    let ran = hub.run(command);
    assert!(ran.code == 1 && ran.stderr.contains("cannot store the weights of vgg16 under models"), "{}", ran.stderr);
    assert!(ran.stderr.contains("Permission denied"), "{}", ran.stderr);
    assert_eq!(hub.requests.load(Ordering::SeqCst), 0);
}

#[test]
fn search_fetches_the_other_half_and_the_vocabulary() {
    const REVISION: &str = "b33cedfd0df4e43b8238760678fcc89e1a0d38b3";
    let file = std::fs::read(formula_weights::weights("clip-vit-base-patch32")).unwrap();
    let (size, etag) = (file.len() as u64, sha256(&file));
    // The hub names small files by git's digest, which is not a sha256.
    let vocabulary = include_bytes!("../../src/model/golden/tokenizer.json").to_vec();
    let config = br#"{"vision_config": {"hidden_act": "quick_gelu"}, "text_config": {}}"#.to_vec();
    let files = vec![
        ("model.safetensors", file, etag.clone()),
        ("tokenizer.json", vocabulary, "f".repeat(40)),
        ("config.json", config, "e".repeat(40)),
    ];
    let hub = Hub::of(Site { repo: "me/clip", revision: REVISION, files }, HubBehaviour::Good);
    let sandbox = two_drawings();
    let table = format!("[embed]\nmodel = \"clip-vit-base-patch32\"\nrepo = \"me/clip\"\nsha256 = \"{etag}\"\n");
    sandbox.put("pipeline.toml", table.as_bytes());
    // The index is first made from a file, and names no origin; the hub has the same numbers.
    sandbox.ok(&format!("embed in --weights {}", formula_weights::weights("clip-vit-base-patch32").display()));
    let ran = hub.embed(&sandbox, "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let pictures = hub.sent.load(Ordering::SeqCst);
    assert!((340_000_000..360_000_000).contains(&pictures), "{pictures} of {size} bytes");
    let search = || {
        let mut command = sandbox.command("search --json");
        command.arg("a dog on a beach");
        hub.run(command)
    };
    let ran = search();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("tokenizer.json of me/clip is not pinned"), "{}", ran.stderr);
    let both = hub.sent.load(Ordering::SeqCst);
    assert!(both - pictures < 260_000_000, "{} of {size} bytes", both - pictures);
    // By now everything is cached.
    let pictures = |stdout: &str| serde_json::from_str::<serde_json::Value>(stdout).unwrap()["pictures"].clone();
    let (requests, first) = (hub.requests.load(Ordering::SeqCst), pictures(&ran.stdout));
    assert!(!first.as_array().unwrap().is_empty());
    assert_eq!(pictures(&search().stdout), first);
    assert_eq!(hub.requests.load(Ordering::SeqCst), requests);
    assert!(sandbox.ok("verify").contains("0 damaged"));
}
