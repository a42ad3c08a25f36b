//! Real folders: files that systems, photo libraries and other programs leave among the pictures.

use tsne_grid::artifact::SkipReason;

use crate::sandbox::{Sandbox, picture, png, zip_of};

const RUN: &str = "embed --model scattering";

fn paths(sandbox: &Sandbox) -> Vec<String> {
    sandbox.images().into_iter().map(|row| row.path).collect()
}

fn skipped(sandbox: &Sandbox) -> Vec<(String, SkipReason)> {
    sandbox.skipped().into_iter().map(|row| (row.path, row.reason)).collect()
}

const SYSTEM: [(&str, &str); 7] = [
    ("@eaDir/1.png/SYNOPHOTO_THUMB_XL.png", "@eaDir"),
    ("2024/@eaDir/2.png/SYNOPHOTO_THUMB_SM.png", "2024/@eaDir"),
    ("#recycle/deleted.png", "#recycle"),
    ("$Recycle.Bin/S-1-5/$RABC.png", "$Recycle.Bin"),
    ("lost+found/#123.png", "lost+found"),
    ("Mine.photoslibrary/resources/derivatives/A.png", "Mine.photoslibrary/resources"),
    ("old.photolibrary/Thumbnails/2012/B.png", "old.photolibrary/Thumbnails"),
];
const OWN: [&str; 4] =
    ["1.png", "2024/2.png", "Mine.photoslibrary/originals/0/A.png", "old.photolibrary/Masters/2012/B.png"];

#[test]
fn what_systems_keep_for_themselves_is_a_line_a_folder() {
    let sandbox = Sandbox::new();
    let mut files = Vec::new();
    for (i, path) in OWN.into_iter().chain(SYSTEM.map(|(path, _)| path)).enumerate() {
        files.push((path, png(&picture(i as u32))));
    }
    files.push(("@eaDir/1.png/SYNOINDEX_MEDIA_INFO", b"x".to_vec()));
    for (path, bytes) in &files {
        sandbox.put(&format!("in/{path}"), bytes);
    }
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (*path, bytes.as_slice())).collect();
    sandbox.put("in.zip", &zip_of(&files));
    let mut folders: Vec<(String, SkipReason)> =
        SYSTEM.map(|(_, folder)| (folder.to_owned(), SkipReason::NotSelected)).to_vec();
    folders.sort();
    for source in ["in", "in.zip"] {
        let counts = sandbox.json(&format!("{RUN} {source}"))["counts"].clone();
        assert_eq!((&counts["inputs"], &counts["defective"]), (&11.into(), &0.into()), "{source}");
        assert_eq!(paths(&sandbox), OWN, "{source}");
        assert_eq!(skipped(&sandbox), folders, "{source}");
        let detail = sandbox.skipped().into_iter().find(|row| row.path == "@eaDir").unwrap().detail;
        assert_eq!(
            detail,
            "thumbnails of a Synology NAS (2 files); to have it read, name the folder as a source of its own"
        );
    }
    // A folder that is named as a source is read.
    sandbox.ok(&format!("{RUN} in/#recycle"));
    assert_eq!(paths(&sandbox), ["deleted.png"]);
    sandbox.ok(&format!("{RUN} in/Mine.photoslibrary"));
    assert_eq!(paths(&sandbox), ["originals/0/A.png"]);
}

#[test]
fn a_mere_name_excludes_the_folders_of_that_name_and_what_fits_nothing_is_said() {
    let sandbox = Sandbox::new();
    for (i, path) in ["1.png", "raw/2.png", "2024/raw/deep/3.png", "2024/rawer/4.png", "2024/5.png"].iter().enumerate()
    {
        sandbox.put(&format!("in/{path}"), &png(&picture(i as u32)));
    }
    let ran = sandbox.run(&format!("{RUN} in --exclude raw"));
    assert!(ran.code == 0 && !ran.stderr.contains("matches none of"), "{}", ran.stderr);
    assert_eq!(paths(&sandbox), ["1.png", "2024/5.png", "2024/rawer/4.png"]);
    sandbox.ok(&format!("{RUN} in --include 2024/ --exclude 5.png"));
    assert_eq!(paths(&sandbox), ["2024/raw/deep/3.png", "2024/rawer/4.png"]);
    let ran = sandbox.run(&format!("{RUN} in --exclude Raw --exclude *.tiff --exclude 1.png --include **/*.png"));
    let said: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("none of the inputs")).collect();
    assert!(
        said.len() == 1 && said[0].contains("source.exclude `Raw`, source.exclude `*.tiff` match"),
        "{}",
        ran.stderr
    );
}

#[test]
fn messages_outside_of_a_known_export_are_a_line_and_are_not_opened() {
    let sandbox = Sandbox::new();
    for (i, path) in [
        "fb/your_facebook_activity/messages/e2ee_cutover/friend_1/photos/1.png",
        "fb/your_facebook_activity/posts/media/2.png",
        "fb/old/messages/friend_2/photos/3.png",
        "fb/old/messages/photos/4.png",
        "fb/messages/5.png",
    ]
    .iter()
    .enumerate()
    {
        sandbox.put(path, &png(&picture(i as u32)));
    }
    let thread = br#"{"participants": [{"name": "A"}], "messages": [{"sender_name": "A", "content": "hello"}]}"#;
    sandbox.put("fb/old/messages/friend_2/message_1.json", thread);
    sandbox.ok(&format!("{RUN} --strict fb"));
    assert_eq!(paths(&sandbox), ["messages/5.png", "your_facebook_activity/posts/media/2.png"]);
    let folders = ["old/messages", "your_facebook_activity/messages"];
    assert_eq!(skipped(&sandbox), folders.map(|folder| (folder.to_owned(), SkipReason::NotSelected)));
    assert_eq!(sandbox.skipped()[0].detail, "messages (3 files), which are never opened");
}
