//! Zips that are broken or hostile: one clear line each, and nothing is written outside the cache and the output.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;

use crate::sandbox::{Sandbox, picture, png, zip_of};
use tsne_grid::artifact::rows::ImageRow;

const RUN: &str = "embed --model scattering";

/// Writes `bytes` at a distance from every occurrence of `signature`.
fn patch(zip: &mut [u8], signature: &[u8], at: usize, bytes: &[u8]) {
    let places: Vec<usize> =
        zip.windows(4).enumerate().filter(|(_, window)| *window == signature).map(|(place, _)| place).collect();
    assert!(!places.is_empty());
    for place in places {
        zip[place + at..place + at + bytes.len()].copy_from_slice(bytes);
    }
}

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";

fn refused(zip: &[u8], expected: &str) {
    let sandbox = Sandbox::new();
    sandbox.put("a.zip", zip);
    let ran = sandbox.run(&format!("{RUN} a.zip"));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let errors: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("error")).collect();
    assert!(errors.len() == 1 && errors[0].contains("a.zip") && errors[0].contains(expected), "{}", ran.stderr);
    let mut left: Vec<_> =
        std::fs::read_dir(sandbox.path("")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.retain(|name| name != "cache" && name != "a.zip");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_is_no_honest_zip_is_refused_in_one_line() {
    let (one, two) = (png(&picture(1)), png(&picture(2)));
    let good = zip_of(&[("a.png", &one), ("b.png", &two)]);
    refused(&good[..good.len() / 2], "its end is missing");
    // The second entry of the directory points at the data of the first.
    let mut overlapping = good.clone();
    patch(&mut overlapping, CENTRAL, 42, &[0; 4]);
    refused(&overlapping, "overlap");
    // A directory that claims more entries than allowed is not read at all.
    let mut crowd = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for i in 0..200_001 {
        crowd.start_file(i.to_string(), SimpleFileOptions::default()).unwrap();
    }
    let crowd = crowd.finish().unwrap().into_inner();
    refused(&crowd, "has 200001 entries; the limit is 200000 (limits.max_zip_entries)");
    // Nor is a directory followed by a second, false record.
    let mut false_end = crowd.clone();
    let mut record = [b"PK\x05\x06".as_slice(), &[0; 18]].concat();
    record[8..12].copy_from_slice(&[1, 0, 1, 0]);
    record[12..20].copy_from_slice(&[60, 0, 0, 0, 0xF0, 0xFF, 0xFF, 0xFF]);
    let comment = false_end.len() - 2;
    false_end[comment..].copy_from_slice(&(record.len() as u16).to_le_bytes());
    false_end.extend(record);
    refused(&false_end, "has 200001 entries; the limit is 200000 (limits.max_zip_entries)");
    let mut lost = good;
    let end = lost.len() - 6;
    lost[end..end + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    refused(&lost, "not a readable zip");
}

#[test]
fn entries_that_are_not_what_they_seem_are_named_and_the_rest_is_read() {
    let good = png(&picture(1));
    let sandbox = Sandbox::new();
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("link.png", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    zip.start_file("good.png", SimpleFileOptions::default()).unwrap();
    zip.write_all(&good).unwrap();
    sandbox.put("links.zip", &zip.finish().unwrap().into_inner());
    let mut encrypted = zip_of(&[("secret.png", &good)]);
    patch(&mut encrypted, LOCAL, 6, &[1]);
    patch(&mut encrypted, CENTRAL, 8, &[1]);
    sandbox.put("encrypted.zip", &encrypted);
    // An entry that claims ten bytes and unpacks to more.
    let mut lying = zip_of(&[("lie.png", &good)]);
    patch(&mut lying, LOCAL, 22, &10_u32.to_le_bytes());
    patch(&mut lying, CENTRAL, 24, &10_u32.to_le_bytes());
    sandbox.put("lying.zip", &lying);
    let mut flipped = zip_of(&[("flipped.png", &png(&picture(2)))]);
    let middle = flipped.len() / 2 - 30;
    flipped[middle] ^= 0x55;
    sandbox.put("flipped.zip", &flipped);
    sandbox.ok(&format!("{RUN} links.zip encrypted.zip lying.zip flipped.zip"));
    let paths: Vec<String> = sandbox.images().into_iter().map(|row| row.path).collect();
    assert_eq!(paths, ["good.png"]);
    let skipped: Vec<_> = sandbox.skipped().into_iter().map(|row| (row.path, row.reason.to_string())).collect();
    let expected = [
        ("secret.png", "encrypted"),
        ("flipped.png", "unreadable"),
        ("link.png", "not-a-file"),
        ("lie.png", "unreadable"),
    ];
    assert_eq!(skipped, expected.map(|(path, reason)| (path.to_owned(), reason.to_owned())));
    let advice = |path: &str| sandbox.skipped().into_iter().find(|row| row.path == path).unwrap().detail;
    assert!(advice("secret.png").contains("unpack the zip with its password"), "{}", advice("secret.png"));
    assert!(advice("flipped.png").contains("download the zip again"), "{}", advice("flipped.png"));
}

#[test]
fn messages_in_a_zip_are_not_even_complained_of() {
    let sandbox = Sandbox::new();
    let (post, private) = (png(&picture(1)), png(&picture(2)));
    let index: &[u8] = br#"[{"media": [{"uri": "media/posts/a.png", "title": "mine"}]}]"#;
    let mut zip = zip_of(&[
        ("media/posts/a.png", &post),
        ("your_instagram_activity/media/posts_1.json", index),
        ("your_instagram_activity/messages/inbox/x/1.png", &private),
    ]);
    // The messages are encrypted: reading them would cause a message.
    let last = zip.windows(4).rposition(|window| window == CENTRAL).unwrap();
    zip[last + 8] |= 1;
    let last = zip.windows(4).rposition(|window| window == LOCAL).unwrap();
    zip[last + 6] |= 1;
    sandbox.put("a.zip", &zip);
    let ran = sandbox.run(&format!("{RUN} --strict a.zip"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(sandbox.images().len(), 1);
    let skipped: Vec<_> = sandbox.skipped().into_iter().map(|row| (row.path, row.detail)).collect();
    let line = "private: 1 file of messages, which is never opened";
    assert_eq!(skipped, [(".".to_owned(), line.to_owned())]);
    assert!(!ran.stderr.contains("messages"), "{}", ran.stderr);
}

#[test]
fn names_are_read_with_either_slash_and_once() {
    let sandbox = Sandbox::new();
    let zip = zip_of(&[
        ("media\\posts\\a.png", &png(&picture(1))),
        ("media/posts/a.png", &png(&picture(2))),
        ("./media//posts/./b.png", &png(&picture(3))),
        ("messages\\inbox\\friend\\1.png", &png(&picture(4))),
        ("media\\posts\\.hidden\\c.png", &png(&picture(5))),
        ("__MACOSX\\d.png", &png(&picture(6))),
    ]);
    sandbox.put("a.zip", &zip);
    sandbox.ok(&format!("{RUN} a.zip"));
    let paths: Vec<String> = sandbox.images().into_iter().map(|row| row.path).collect();
    assert_eq!(paths, ["media/posts/a.png", "media/posts/b.png"]);
    let skipped: Vec<_> = sandbox.skipped().into_iter().map(|row| (row.path, row.detail)).collect();
    let line = "private: 1 file of messages, which is never opened";
    assert_eq!(
        skipped,
        [(".", line), ("media/posts/a.png", "a second entry of the same name")]
            .map(|(path, why)| (path.to_owned(), why.to_owned()))
    );
}

#[test]
fn a_zip_that_begins_with_a_program_is_a_zip() {
    let sandbox = Sandbox::new();
    let zip = zip_of(&[("a.png", &png(&picture(1)))]);
    sandbox.put("self.zip", &[b"#!/bin/sh\nexit\n", zip.as_slice()].concat());
    sandbox.ok(&format!("{RUN} self.zip"));
    assert_eq!(sandbox.images()[0].path, "a.png");
}

#[test]
fn a_zip_inside_a_folder_is_named_as_such() {
    let sandbox = Sandbox::with_photos(2);
    sandbox.put("photos/old.zip", &zip_of(&[("a.txt", b"no picture")]));
    sandbox.put("photos/broken.zip", b"PK\x03\x04 and no more");
    let ran = sandbox.run(&format!("{RUN} photos"));
    let skipped = sandbox.skipped();
    assert_eq!((ran.code, skipped.len()), (0, 2), "{skipped:?}");
    assert!(skipped.iter().all(|row| row.detail.contains("name it as a source of its own")), "{skipped:?}");
    // It may be a download that was cut off, with all its pictures.
    assert!(ran.stderr.contains("broken.zip ") && ran.stderr.contains("continues without it"), "{}", ran.stderr);
}

#[test]
fn zips_with_pictures_in_a_folder_are_sources() {
    let sandbox = Sandbox::new();
    sandbox.ok("sample downloads --images 30 --zip --parts 3");
    let zips: Vec<String> = std::fs::read_dir(sandbox.path("downloads"))
        .unwrap()
        .map(|entry| format!("downloads/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    let run = format!("embed --model scattering {}", zips.join(" "));
    sandbox.ok(&run);
    let named = sandbox.images();
    assert!(named.iter().any(|row| row.caption.is_some()));
    let said = sandbox.run("embed downloads --model scattering");
    assert!(
        said.code == 0 && said.stderr.contains("3 zips with pictures found in a folder and read as well ("),
        "{}",
        said.stderr
    );
    let of = |rows: &[ImageRow]| -> std::collections::BTreeSet<(String, Option<std::sync::Arc<str>>)> {
        rows.iter().map(|row| (row.path.clone(), row.caption.clone())).collect()
    };
    assert_eq!(of(&sandbox.images()), of(&named));
    // The inspection cache works for these zips as for other sources.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    sandbox.ok("embed");
    let again = sandbox.run("embed");
    assert!(again.stderr.contains("nothing to do") && !again.stderr.contains("to check"), "{}", again.stderr);
    // A zip that is also named as a source is read once.
    let both = sandbox.json(&format!("embed downloads {} --model scattering", zips[0]));
    assert_eq!(both["counts"]["duplicates"], 0, "{both}");
}

#[test]
fn a_method_that_is_not_read_is_called_that() {
    let sandbox = Sandbox::new();
    let (good, other) = (png(&picture(1)), png(&picture(2)));
    for (name, method) in [("lzma", 14_u16), ("bzip2", 12), ("zstd", 93), ("new", 77)] {
        let mut zip = zip_of(&[("good.png", &good), ("other.png", &other)]);
        let last = zip.windows(4).rposition(|window| window == CENTRAL).unwrap();
        zip[last + 10..last + 12].copy_from_slice(&method.to_le_bytes());
        let last = zip.windows(4).rposition(|window| window == LOCAL).unwrap();
        zip[last + 8..last + 10].copy_from_slice(&method.to_le_bytes());
        sandbox.put("a.zip", &zip);
        sandbox.ok(&format!("{RUN} a.zip"));
        assert_eq!(sandbox.images().len(), 1, "{name}");
        let row = sandbox.skipped().remove(0);
        assert_eq!((row.path.as_str(), row.reason.to_string().as_str()), ("other.png", "unsupported"), "{name}");
        assert!(row.detail.starts_with("compressed with an unsupported method") && !row.detail.contains("download"));
    }
}

#[test]
fn the_large_kind_of_deflate_is_read() {
    let sandbox = Sandbox::new();
    // Up to a match length of 257, Deflate and Deflate64 have the same format.
    let mut zip = zip_of(&[("a.png", &png(&picture(1)))]);
    patch(&mut zip, LOCAL, 8, &9_u16.to_le_bytes());
    patch(&mut zip, CENTRAL, 10, &9_u16.to_le_bytes());
    sandbox.put("a.zip", &zip);
    sandbox.ok(&format!("{RUN} a.zip"));
    assert_eq!(sandbox.images()[0].path, "a.png");
}

#[test]
fn entries_of_one_name_are_listed() {
    let sandbox = Sandbox::new();
    let names = ["a.png", "b.png", "c.png", "d/", ".h.png"];
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (i, name) in names.iter().enumerate() {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(&png(&picture(i as u32))).unwrap();
    }
    let mut zip = zip.finish().unwrap().into_inner();
    // The library refuses to write a name twice, so the names are changed afterwards.
    let rename = |zip: &mut Vec<u8>, from: &[u8], to: &[u8]| {
        let places: Vec<usize> = (0..zip.len() - from.len()).filter(|&at| zip[at..].starts_with(from)).collect();
        places.into_iter().for_each(|at| zip[at..at + to.len()].copy_from_slice(to));
    };
    rename(&mut zip, b"b.png", b"a.png");
    rename(&mut zip, b"c.png", b"a.png");
    for program in [b"".as_slice(), b"#!/bin/sh\nexit\n"] {
        sandbox.put("a.zip", &[program, zip.as_slice()].concat());
        sandbox.ok(&format!("{RUN} a.zip"));
        assert_eq!(sandbox.images().len(), 1);
        let rows: Vec<_> = sandbox.skipped().into_iter().map(|row| (row.path, row.detail)).collect();
        let second = ("a.png".to_owned(), "a second entry of the same name".to_owned());
        assert_eq!(rows, [second.clone(), second]);
    }
}

#[test]
fn one_bad_zip_among_several_is_listed() {
    let sandbox = Sandbox::new();
    let good = zip_of(&[("a.png", &png(&picture(1))), ("b.png", &png(&picture(2)))]);
    sandbox.put("good.zip", &good);
    sandbox.put("half.zip", &good[..good.len() / 2]);
    sandbox.put("page.zip", b"<html>sign in to download</html>");
    let ran = sandbox.run(&format!("{RUN} half.zip good.zip page.zip --strict"));
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let ran = sandbox.run(&format!("{RUN} half.zip good.zip page.zip"));
    assert!(ran.code == 0 && ran.stderr.contains("half.zip is not a readable zip"), "{}", ran.stderr);
    assert_eq!(sandbox.images().len(), 2);
    let rows: Vec<_> =
        sandbox.skipped().into_iter().map(|row| (row.path, row.source, row.reason.to_string())).collect();
    let row = |name: &str| (name.to_owned(), name.to_owned(), "unreadable".to_owned());
    assert_eq!(rows, [row("half.zip"), row("page.zip")]);
    let said = "not a readable zip: its end is missing; is the file complete?";
    assert!(sandbox.skipped().iter().all(|row| row.detail == said), "{:?}", sandbox.skipped());
    let here = sandbox.path("").display().to_string();
    let absolute = sandbox.path("half.zip").display().to_string();
    sandbox.ok(&format!("{RUN} {absolute} good.zip"));
    assert!(!sandbox.skipped().iter().any(|row| row.detail.contains(&here)));
    // Without another source the run fails.
    sandbox.put("empty/notes.txt", b"words");
    for sources in ["half.zip", "half.zip page.zip", "half.zip empty"] {
        let ran = sandbox.run(&format!("{RUN} {sources}"));
        assert!(ran.code == 1 && ran.stderr.contains("its end is missing"), "{sources}: {}", ran.stderr);
    }
}
