//! Pictures in a bucket: the result is that of a folder; they are read in place, and only once.

use std::collections::BTreeMap;

use crate::bucket::{SECRET, Server, ServerBehaviour};
use crate::sandbox::{Sandbox, encoded, picture, png, run_command};

const RUN: &str = "--model scattering --perplexity 3";
const PLACE: &str = "s3://bucket/some/photos";

/// Pictures in folders, one of them twice, one truncated, one file that is not a picture, and a table about one
/// picture.
fn collection() -> Sandbox {
    let sandbox = Sandbox::with_photos(9);
    let jpeg = encoded(&picture(1000), image::ImageFormat::Jpeg);
    sandbox.put("photos/cut.jpg", &jpeg[..jpeg.len() / 3]);
    sandbox.put("photos/again.png", &png(&picture(3)));
    sandbox.put("photos/a/2024-05-06 12.00.00.png", &png(&picture(1001)));
    sandbox.put("photos/a-b/c.png", &png(&picture(1002)));
    sandbox.put("photos/note.txt", b"no picture");
    sandbox.put("photos/.hidden.png", &png(&picture(1003)));
    sandbox.put("photos/about.csv", b"path,caption,place\n000.png,one,Rom\nnone.png,,\n");
    sandbox
}

/// Copies `photos` into the bucket.
fn upload(sandbox: &Sandbox, server: &Server) {
    let root = sandbox.path("photos");
    for file in walkdir::WalkDir::new(&root).into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
        let key = format!("some/photos/{}", file.path().strip_prefix(&root).unwrap().to_str().unwrap());
        server.objects.lock().unwrap().insert(key, std::fs::read(file.path()).unwrap());
    }
    server.objects.lock().unwrap().insert("some/photos/".into(), Vec::new());
    server.objects.lock().unwrap().insert("some/photos-of-others/x.png".into(), png(&picture(1004)));
}

fn tables(sandbox: &Sandbox, cache: &str) -> BTreeMap<&'static str, Vec<u8>> {
    let tables = ["images", "skipped", "fields", "project", "assign"];
    tables.into_iter().map(|table| (table, sandbox.read(&format!("{cache}/latest/{table}.parquet")))).collect()
}

/// The objects that were requested since the last call.
fn read_since(server: &Server) -> Vec<String> {
    let heads = std::mem::take(&mut *server.heads.lock().unwrap());
    let read = heads.iter().filter(|head| head.starts_with("GET") && !head.contains("list-type=2"));
    read.map(|head| head.split(['?', ' ']).nth(1).unwrap().to_owned()).collect()
}

#[test]
fn a_prefix_is_what_a_folder_is_and_is_read_once() {
    let sandbox = collection();
    sandbox.ok(&format!("run photos {RUN} -o one.png"));
    for mood in [
        ServerBehaviour::Good,
        ServerBehaviour::Busy,
        ServerBehaviour::Cuts,
        ServerBehaviour::Lies,
        ServerBehaviour::Old,
    ] {
        let server = Server::start(mood);
        upload(&sandbox, &server);
        let run = format!("run {PLACE} {RUN} --cache {mood:?} -o {mood:?}.png");
        server.ok(&sandbox, &run);
        assert!(tables(&sandbox, &format!("{mood:?}")) == tables(&sandbox, "cache"), "{mood:?}");
        assert!(sandbox.read(&format!("{mood:?}.png")) == sandbox.read("one.png"), "{mood:?}");
        let read = read_since(&server);
        assert!(read.iter().any(|path| path.ends_with("/000.png")), "{read:?}");
        assert!(!read.iter().any(|path| path.contains("hidden") || path.contains("others")), "{read:?}");
        let again = server.run(&sandbox, &format!("run --cache {mood:?} -o {mood:?}.png"));
        assert!(again.code == 0 && again.stderr.contains("nothing to do"), "{mood:?}: {}", again.stderr);
        // Files that are not pictures are read again, as in a folder.
        let read = read_since(&server);
        assert!(read.iter().all(|path| path.ends_with(".txt") || path.ends_with(".csv")), "{mood:?}: {read:?}");
        server.objects.lock().unwrap().insert("some/photos/001.png".into(), png(&picture(2000)));
        let changed = server.run(&sandbox, &run);
        assert!(changed.code == 0 && changed.stderr.contains("1 new"), "{mood:?}: {}", changed.stderr);
        let read = read_since(&server);
        assert!(read.iter().any(|path| path.ends_with("001.png")), "{mood:?}: {read:?}");
        assert!(!read.iter().any(|path| path.ends_with("002.png")), "{mood:?}: {read:?}");
        for file in walkdir::WalkDir::new(sandbox.path(&format!("{mood:?}"))).into_iter().flatten() {
            let Ok(bytes) = std::fs::read(file.path()) else { continue };
            let says = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!says(SECRET) && !says("X-Amz") && !says(&server.address), "{}", file.path().display());
        }
    }
}

#[test]
fn a_list_and_its_pictures_in_a_bucket_are_shared_as_others_are() {
    let sandbox = collection();
    sandbox.ok(&format!("run photos {RUN} -o one.png"));
    let server = Server::start(ServerBehaviour::Cuts);
    upload(&sandbox, &server);
    server.ok(&sandbox, &format!("list {PLACE} --artifact list.parquet"));
    server.objects.lock().unwrap().insert("lists/list.parquet".into(), sandbox.read("list.parquet"));
    let list = "--list s3://bucket/lists/list.parquet";
    for i in 0..3 {
        server.ok(&sandbox, &format!("embed --model scattering {list} --shard {i}/3 --out s3://bucket/shards --tiles"));
    }
    read_since(&server);
    server.ok(&sandbox, &format!("run {list} --shards s3://bucket/shards {RUN} --cache many -o many.png"));
    let read = read_since(&server);
    assert!(!read.iter().any(|path| path.contains("photos")), "nothing is read where it is put together: {read:?}");
    assert!(tables(&sandbox, "many") == tables(&sandbox, "cache"));
    assert!(sandbox.read("many.png") == sandbox.read("one.png"));
    let nowhere = server.run(&sandbox, "embed --list s3://bucket/lists/none.parquet --shard 0/1 --out place");
    assert!(
        nowhere.code == 1 && nowhere.stderr.contains("no list at s3://bucket/lists/none.parquet"),
        "{}",
        nowhere.stderr
    );
}

#[test]
fn what_cannot_be_had_is_said_in_a_line_and_nothing_is_taken_for_unreadable() {
    let sandbox = collection();
    let run = format!("run {PLACE} {RUN}");
    let server = Server::start(ServerBehaviour::Good);
    let said = |ran: crate::sandbox::CommandOutput, code: i32, words: &str| {
        assert!(ran.code == code && ran.stderr.contains(words), "{}: {}", ran.code, ran.stderr);
        assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{}", ran.stderr);
    };
    said(server.run(&sandbox, &run), 1, "there are no objects under s3://bucket/some/photos/");
    said(server.run(&sandbox, &format!("{run} --offline")), 1, "which cannot be used with --offline");
    said(server.run(&sandbox, &format!("run s3:// {RUN}")), 2, "s3://bucket/prefix");
    said(
        Server::start(ServerBehaviour::Closed).run(&sandbox, &run),
        1,
        "cannot list s3://bucket/some/photos: the server answered 403 AccessDenied",
    );
    upload(&sandbox, &server);
    server.ok(&sandbox, &format!("list {PLACE} --artifact list.parquet"));
    let shy = Server::start(ServerBehaviour::Shy);
    upload(&sandbox, &shy);
    let shard = "embed --model scattering --list list.parquet --shard 0/1 --out place";
    for place in ["--shards s3://bucket/shards", "--shard 0/1 --out s3://bucket/shards"] {
        said(
            server.run(&sandbox, &format!("embed --list list.parquet {place} --offline")),
            1,
            "cannot be used with --offline",
        );
    }
    said(
        server.run(&sandbox, "run --list s3://bucket/list.parquet --shards place --offline"),
        1,
        "list.parquet is in a bucket, which cannot be used with --offline",
    );
    for line in [run.as_str(), shard] {
        let ran = shy.run(&sandbox, line);
        assert!(ran.code == 1 && ran.stderr.contains("the server answered 403 AccessDenied"), "{}", ran.stderr);
    }
    assert!(!sandbox.path("place").join("found").exists(), "a machine that may not read says nothing of pictures");
    let nobody = run_command(
        sandbox
            .command(shard)
            .envs([("AWS_ENDPOINT_URL", server.address.as_str()), ("AWS_EC2_METADATA_DISABLED", "true")]),
    );
    assert!(nobody.code == 1 && nobody.stderr.contains("there are no credentials"), "{}", nobody.stderr);
    // An object that was deleted after it was listed is unreadable, as a file would be.
    server.objects.lock().unwrap().remove("some/photos/002.png");
    server.ok(&sandbox, shard);
    server.ok(&sandbox, &format!("run --list list.parquet --shards place {RUN}"));
    let skipped: Vec<tsne_grid::artifact::rows::SkippedRow> = sandbox.latest();
    assert!(skipped.iter().any(|row| row.path == "002.png" && row.detail.contains("404 NoSuchKey")), "{skipped:?}");
}
