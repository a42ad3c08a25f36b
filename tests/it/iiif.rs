//! A IIIF server on loopback: its manifests and collections as sources.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, picture, png, run_command};

/// The responses of the server, and the requests that it received.
struct Museum {
    address: String,
    listener: TcpListener,
    site: Arc<Mutex<Site>>,
}

#[derive(Default)]
struct Site {
    documents: Vec<(String, Value)>,
    /// Numbers of pictures that do not exist.
    lost: Vec<u32>,
    /// The first request for a picture is answered with "too many requests".
    busy: bool,
    asked: Vec<String>,
}

impl Museum {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let museum = Self { address, listener: listener.try_clone().unwrap(), site: Arc::default() };
        let site = museum.site.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { break };
                answer(stream, &mut site.lock().unwrap());
            }
        });
        museum
    }

    /// Publishes an object with the pictures of these numbers.
    fn shows(&self, name: &str, pictures: &[u32], field: &str) {
        let service =
            |i: u32| json!({"id": format!("{}/image/{i}", self.address), "type": "ImageService3", "profile": "level2"});
        let canvas = |i: &u32| {
            json!({"type": "Canvas", "label": {"none": [format!("{i} recto")]}, "items": [{"items": [{"body":
            {"id": format!("{}/image/{i}/full/max/0/default.jpg", self.address), "type": "Image", "width": 3000, "height": 2000,
             "service": [service(*i)]}}]}]})
        };
        let manifest = json!({"@context": "http://iiif.io/api/presentation/3/context.json", "type": "Manifest",
            "label": {"en": [name]}, "metadata": [{"label": {"en": ["Artist"]}, "value": {"en": [field]}},
                {"label": {"en": ["Kind"]}, "value": {"en": ["print"]}}, {"label": {"en": ["Date"]}, "value": {"en": ["1890"]}}],
            "homepage": [{"id": format!("https://museum.example/{name}"), "type": "Text"}],
            "items": pictures.iter().map(canvas).collect::<Vec<_>>()});
        self.publish(name, manifest);
    }

    fn publish(&self, name: &str, document: Value) {
        let mut site = self.site.lock().unwrap();
        site.documents.retain(|(other, _)| other != name);
        site.documents.push((name.to_owned(), document));
    }

    /// The requests since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.site.lock().unwrap().asked)
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

impl Drop for Museum {
    fn drop(&mut self) {
        // The thread ends when the listener is closed.
        let _ = self.listener.set_nonblocking(true);
        let _ = TcpStream::connect(self.listener.local_addr().unwrap());
    }
}

fn answer(mut stream: TcpStream, site: &mut Site) {
    let (mut request, mut tag) = (String::new(), String::new());
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let Ok(line) = line else { return };
        if request.is_empty() {
            request = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        } else if let Some(given) = line.to_ascii_lowercase().strip_prefix("if-none-match: ") {
            tag = given.to_owned();
        } else if line.is_empty() {
            break;
        }
    }
    site.asked.push(if tag.is_empty() { request.clone() } else { format!("{request} unless {tag}") });
    let found = match request.strip_prefix("image/") {
        Some(_) if std::mem::take(&mut site.busy) => {
            let _ = write!(
                stream,
                "HTTP/1.1 429 Slow down\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            return;
        }
        Some(rest) => {
            let number: u32 = rest.split('/').next().unwrap().parse().unwrap();
            (!site.lost.contains(&number)).then(|| (png(&picture(number)), "\"p\"".to_owned()))
        }
        None => site.documents.iter().find(|(name, _)| request.split('?').next() == Some(name)).map(|(_, document)| {
            let bytes = document.to_string().into_bytes();
            let tag = format!("\"{}\"", blake3::hash(&bytes).to_hex());
            (bytes, tag)
        }),
    };
    let _ = match found {
        None => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        Some((_, its)) if its == tag => {
            write!(stream, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n")
        }
        Some((bytes, its)) => {
            let head = format!(
                "HTTP/1.1 200 OK\r\nETag: {its}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                bytes.len()
            );
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes))
        }
    };
}

const RUN: &str = "--model scattering --perplexity 2";

#[test]
fn a_manifest_is_fetched_once_and_its_words_are_fields() {
    let (museum, sandbox) = (Museum::open(), Sandbox::new());
    museum.shows("horse", &[1, 2, 3, 4, 5], "A. Person");
    museum.site.lock().unwrap().busy = true;
    sandbox.ok(&format!("run {} {RUN}", museum.at("horse")));
    let asked = museum.asked();
    assert_eq!(asked[..2], ["horse", "image/1/full/1024,/0/default.jpg"]);
    assert_eq!(asked.len(), 7, "one document, five pictures, one of them asked for twice: {asked:?}");
    let images = sandbox.images();
    assert_eq!(images.len(), 5);
    let first = images.iter().find(|row| row.caption.as_deref() == Some("horse, 1 recto")).unwrap();
    assert!(first.path.starts_with("horse-1-recto-") && first.path.ends_with(".jpg"), "{}", first.path);
    assert_eq!(first.taken_precision.map(|precision| precision.to_string()).as_deref(), Some("year"));
    assert_eq!(*first.source, *format!("{} horse", museum.address.trim_start_matches("http://")));
    let fields: Vec<tsne_grid::artifact::rows::FieldRow> = sandbox.latest();
    let of = |field: &str| {
        fields.iter().find(|row| row.field == field && row.image == first.image).map(|row| row.value.clone())
    };
    assert_eq!(of("Artist").as_deref(), Some("A. Person"));
    assert_eq!(of("Kind of the object").as_deref(), Some("print"));
    assert_eq!(of("link").as_deref(), Some("https://museum.example/horse"));

    // Nothing changed: only the document is requested, with its ETag.
    assert!(sandbox.stages_run("run").is_empty());
    assert!(matches!(museum.asked().as_slice(), [one] if one.starts_with("horse unless")));
    assert!(sandbox.stages_run("run --offline").is_empty());
    sandbox.ok("status --check");
    assert!(museum.asked().is_empty(), "neither --offline nor status ask");

    // One picture is removed, one added; the others are requested with their ETags.
    museum.shows("horse", &[2, 3, 4, 5, 6], "A. Person");
    sandbox.ok("run");
    let asked = museum.asked();
    assert_eq!(asked.iter().filter(|asked| asked.ends_with("unless \"p\"")).count(), 4, "{asked:?}");
    assert_eq!((asked.len(), sandbox.images().len()), (6, 5));
}

#[test]
fn a_collection_is_followed_and_what_is_lost_is_accounted_for() {
    let (museum, sandbox) = (Museum::open(), Sandbox::new());
    museum.shows("horse", &[1, 2, 3], "A");
    museum.shows("rider", &[4, 5, 6], "B");
    let listed = ["horse", "gone", "rider", "prints"].map(|name| json!({"id": museum.at(name), "type": "Manifest"}));
    museum.publish(
        "prints",
        json!({"@context": "http://iiif.io/api/presentation/3/context.json", "type": "Collection",
        "items": listed}),
    );
    museum.site.lock().unwrap().lost = vec![5];
    let ran = sandbox.run(&format!("run {} {RUN}", museum.at("prints")));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("/gone is skipped: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("1 picture could not be downloaded"), "{}", ran.stderr);
    assert_eq!(sandbox.images().len(), 5);
    let skipped = sandbox.skipped();
    assert!(skipped.iter().any(|row| row.path.starts_with("rider-5-recto")), "{skipped:?}");
    museum.site.lock().unwrap().lost.clear();
    sandbox.ok("run");
    assert_eq!(sandbox.images().len(), 6);
}

#[test]
fn a_stranger_is_not_followed_into_the_own_network_or_out_of_the_folder() {
    let (museum, sandbox) = (Museum::open(), Sandbox::new());
    let canvas = |address: &str| {
        json!({"type": "Canvas", "label": "../../../out", "items": [{"items": [{"body":
        {"id": address, "type": "Image"}}]}]})
    };
    let hostile = |addresses: &[&str]| {
        json!({"@context": "http://iiif.io/api/presentation/3/context.json", "type": "Manifest",
        "label": "x", "items": addresses.iter().map(|address| canvas(address)).collect::<Vec<_>>()})
        .to_string()
    };
    // A manifest from elsewhere names a server of the own network, and a local file.
    let inside = museum.at("image/1/full/max/0/default.jpg");
    sandbox.put("manifest.json", hostile(&[&inside, "file:///etc/passwd"]).as_bytes());
    let ran = sandbox.run(&format!("run manifest.json {RUN}"));
    assert_ne!(ran.code, 0);
    assert!(museum.asked().is_empty(), "it was asked");
    assert!(ran.stderr.contains("own network"), "{}", ran.stderr);
    // The user names the address of the same document, so its server may be asked.
    museum.publish(
        "m",
        serde_json::from_str(&hostile(&[&inside, &museum.at("image/2"), &museum.at("image/3")])).unwrap(),
    );
    sandbox.ok(&format!("run {} {RUN}", museum.at("m")));
    assert!(sandbox.images().iter().all(|row| row.path.starts_with("x-out-")), "{:?}", sandbox.images());
    // `gc` deletes the pictures of the document that is not used any more.
    let folders = || std::fs::read_dir(sandbox.path("cache/iiif")).unwrap().count();
    sandbox.ok(&format!("run {} {RUN} --replace", museum.at("m?again")));
    assert_eq!(folders(), 3);
    sandbox.ok("gc");
    assert_eq!(folders(), 1);
    let offline = ran_offline(&sandbox, &museum.at("never"));
    assert!(offline.contains("has not been downloaded"), "{offline}");
}

fn ran_offline(sandbox: &Sandbox, address: &str) -> String {
    let ran = run_command(&mut sandbox.command(&format!("run {address} --offline")));
    assert_ne!(ran.code, 0);
    ran.stderr
}
